from __future__ import annotations

import pytest

from backups.engine.errors import Damaged
from backups.engine.format import BlobType
from backups.engine.format.repository import Repository
from backups.engine.format.tree import encode_node, encode_tree
from backups.engine.restore import browse
from backups.engine.restore.browse import NotInSnapshot, find, locate, open_once, read_range, walk_tree
from backups.engine.restore.vault_reader import VaultReader
from providers.stores.memory import MemoryStore
from tests.backups.engine.places import PREFIX, fresh_vault
from tests.backups.engine.writing import Folder, SnapshotWriter, status, write_snapshot


def open_snapshot(folder: Folder) -> tuple[VaultReader, bytes]:
    vault = Repository.create(MemoryStore(), PREFIX, fresh_vault())
    write_snapshot([vault], folder)
    reader = VaultReader({"memory": vault}, vault.master)
    (snapshot,) = reader.snapshots()
    reader.load_index()
    return reader, snapshot.tree


def test_walking_gives_every_entry_with_its_path() -> None:
    reader, tree = open_snapshot({b"photos": {b"best": {b"kiss.jpg": b"x"}}, b"plan.txt": b"18:00"})
    assert {path for path, _ in walk_tree(reader, tree)} == {
        b"photos", b"photos/best", b"photos/best/kiss.jpg", b"plan.txt",
    }  # fmt: skip
    assert [path for path, _ in find(reader, tree, lambda path, node: node.size == 5)] == [b"plan.txt"]


def test_what_the_snapshot_does_not_have_is_told() -> None:
    reader, tree = open_snapshot({b"plan.txt": b"18:00"})
    assert locate(reader, tree, b"/plan.txt").size == 5
    for path in (b"plan", b"plan.txt/x", b"photos/kiss.jpg"):
        with pytest.raises(NotInSnapshot):
            locate(reader, tree, path)


@pytest.mark.parametrize(("offset", "length"), [(0, None), (999, 2), (1000, 1000), (2345, 0), (9_999, 5), (10_000, 9)])
def test_ranges_are_cut_exactly_across_pieces(offset: int, length: int | None) -> None:
    plain = bytes(i * 7 % 251 for i in range(10_000))
    reader, tree = open_snapshot({b"film": plain})
    got = b"".join(map(bytes, read_range(reader, locate(reader, tree, b"film"), offset=offset, length=length)))
    assert got == plain[offset : None if length is None else offset + length]


def test_a_few_trees_that_claim_billions_of_entries_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "ENTRIES_MAX", 5000)
    reader, tree = open_snapshot_of_shared_trees()
    with pytest.raises(Damaged, match="more than 5000 entries"):
        list(walk_tree(reader, tree))
    assert len(list(open_once(reader, {tree: b""}))) == 41, "each tree is looked at once"


def open_snapshot_of_shared_trees() -> tuple[VaultReader, bytes]:
    """Forty folders, each of which names the next one twice: 2^40 paths."""
    vault = Repository.create(MemoryStore(), PREFIX, fresh_vault())
    writer = SnapshotWriter([vault])
    tree = writer.tree({b"boom": b"x"})
    for _ in range(40):
        nodes = [encode_node(name, status(0o040750), subtree=tree) for name in (b"a", b"b")]
        tree = writer.blob(BlobType.TREE, encode_tree(nodes))
    writer.write({b"unused": b""})
    reader = VaultReader({"memory": vault}, vault.master)
    reader.load_index()
    return reader, tree
