"""Repositories that the stock program made, read by us."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backups.engine.errors import WrongKey
from backups.engine.restore.browse import find, locate, read_file, read_range, walk_tree
from backups.engine.restore.plan import Subset
from backups.engine.restore.result import Existing
from backups.engine.restore.run import restore
from backups.engine.restore.vault_reader import VaultReader
from tests.backups.engine.places import SECRET, Place, make_place
from tests.restic import stock
from tests.restic.trees import assert_equal, every_kind_of_node

pytestmark = pytest.mark.stock


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_kind_of_node(tmp_path_factory.mktemp("source") / "wedding")


@pytest.fixture(scope="module")
def place(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A repository with a second key and three snapshots: absolute paths, relative paths, one file."""
    place = make_place(tmp_path_factory.mktemp("stock") / "location")
    stock.init(place.path, SECRET)
    stock.backup(place.path, SECRET, source)
    stock.backup(place.path, SECRET, source, relative=True)
    stock.backup(place.path, SECRET, source / "plan.txt")
    stock.add_key(place.path, SECRET, b"second secret", place.root.parent)
    return place


def base_of(source: Path) -> bytes:
    return os.fsencode(source).lstrip(b"/")


@pytest.mark.parametrize("by_processes", [False, True], ids=["threads", "processes"])
def test_every_kind_of_node_comes_back(
    source: Path, place: Place, tmp_path: Path, by_processes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_processes:
        monkeypatch.setattr("backups.engine.restore.run.PROCESSES_FROM_FILES", 1)
    reader = VaultReader.open({"stock": place}, SECRET)
    absolute, relative, _ = reader.snapshots()
    for number, (snapshot, base) in enumerate([(absolute, base_of(source)), (relative, b"")]):
        result = restore(reader, snapshot, str(tmp_path / f"out{number}"), base=base)
        assert result.complete and not result.refused, (result.misses, result.refused)
        assert result.proof is not None and result.proof.checked > 300
        assert_equal(tmp_path / f"out{number}", source)
    sparse = (tmp_path / "out0" / "film.raw").stat()
    assert sparse.st_size == 60_000_000 and sparse.st_blocks * 512 < 30_000_000


@pytest.mark.parametrize("compression", ["off", "max"])
def test_compression_or_none_makes_no_difference(source: Path, tmp_path: Path, compression: str) -> None:
    place = make_place(tmp_path / "location")
    stock.init(place.path, SECRET)
    stock.backup(place.path, SECRET, source, compression=compression, relative=True)
    reader = VaultReader.open({"stock": place}, SECRET)
    assert restore(reader, reader.snapshots()[-1], str(tmp_path / "out")).complete
    assert_equal(tmp_path / "out", source)


def test_we_list_what_restic_lists(source: Path, place: Place) -> None:
    reader = VaultReader.open({"stock": place}, SECRET)
    snapshot = reader.snapshots()[0]
    reader.load_index()
    theirs = {entry["path"]: entry["type"] for entry in stock.ls(place.path, SECRET, snapshot.snapshot_id)}
    ours = {"/" + path.decode(errors="replace"): node.type for path, node in walk_tree(reader, snapshot.tree)}
    assert ours == theirs


def test_a_file_is_found_and_read_in_ranges(source: Path, place: Place) -> None:
    reader = VaultReader.open({"stock": place}, SECRET)
    snapshot = reader.snapshots()[0]
    reader.load_index()
    ((path, node),) = find(reader, snapshot.tree, lambda path, node: path.endswith(b"dance.cr3"))
    whole = (source / "photos" / "raw" / "dance.cr3").read_bytes()
    assert b"".join(map(bytes, read_file(reader, node))) == whole
    assert locate(reader, snapshot.tree, path) == node
    for offset, length in [(0, 1), (5_000_000, 3_000_000), (11_999_990, 100), (12_000_000, 5), (3, None), (7, 0)]:
        end = None if length is None else offset + length
        got = b"".join(map(bytes, read_range(reader, node, offset=offset, length=length)))
        assert got == whole[offset:end], (offset, length)


def test_documents_first_then_the_rest(source: Path, place: Place, tmp_path: Path) -> None:
    reader = VaultReader.open({"stock": place}, SECRET)
    snapshot = reader.snapshots()[1]
    first = Subset(accepts=lambda path, node: path.endswith(b".txt"))
    restore(reader, snapshot, str(tmp_path / "out"), subset=first)
    assert (tmp_path / "out" / "plan.txt").exists() and not (tmp_path / "out" / "film.raw").exists()
    result = restore(reader, snapshot, str(tmp_path / "out"), existing=Existing.KEEP)
    assert result.complete and result.kept >= 2


def test_each_key_opens_and_a_wrong_one_is_told(place: Place) -> None:
    assert len(VaultReader.open({"stock": place}, b"second secret").snapshots()) == 3
    with pytest.raises(WrongKey, match="none of the vault's 2 key files"):
        VaultReader.open({"stock": place}, b"guess")
