"""What is known to be damaged is stored again: from another copy, from what is good in it, or from the source."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from backups.engine.backup.run import BackupResult
from backups.engine.format import BlobType
from backups.engine.restore.browse import walk_tree
from backups.engine.restore.vault_reader import VaultReader
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from tests.backups.engine.backing import Studio, read_files


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    studio = Studio(tmp_path, places=3)
    studio.write({f"{number:02}.raw": os.urandom(200_000) for number in range(12)})
    studio.backup()
    return studio


def flip(studio: Studio, name: str, keys: str, offset: int = 1000) -> None:
    for key in keys:
        content = bytearray(studio.places[key].files(name.split("/")[0])[name])
        content[offset] ^= 1
        studio.places[key].overwrite(name, bytes(content))


def truncate(studio: Studio, name: str, keys: str) -> None:
    for key in keys:
        whole = studio.places[key].files(name.split("/")[0])[name]
        studio.places[key].overwrite(name, whole[: len(whole) // 2])


def remove(studio: Studio, name: str, keys: str) -> None:
    for key in keys:
        os.unlink(studio.places[key].path / name)


def pack(studio: Studio, of: Callable[..., str] = max) -> str:
    """Return the name of the pack with the files (max) or with the trees (min)."""
    packs = studio.places["a"].files("data")
    return of(packs, key=lambda name: len(packs[name]))


def backup_knowing(studio: Studio, name: str, keys: str, **stores: object) -> BackupResult:
    request = studio.request(**stores)  # type: ignore[arg-type]
    places = tuple(
        dataclasses.replace(place, damaged=frozenset({name} if place.key in keys else ()))
        for place in request.destinations
    )
    return studio.backup(destinations=places)


@pytest.mark.stock
@pytest.mark.parametrize(
    ("harm", "of"), [(flip, max), (truncate, max), (flip, min)], ids=["files rot", "files are cut", "trees rot"]
)
def test_a_pack_known_to_be_rotten_everywhere_is_stored_again_from_the_source(
    studio: Studio, harm: Callable[..., None], of: Callable[..., str]
) -> None:
    """kopia #3492, restic #828, #3023: the content was "there already", so the intact source was never read again."""
    name = pack(studio, of)
    harm(studio, name, "abc")
    result = backup_knowing(studio, name, "abc")
    assert len(studio.read_back(result)) == 12
    assert all(name not in studio.names(key, "data") for key in "abc")
    assert all(name in result.outcomes[key].mended for key in "abc")
    studio.check()


@pytest.mark.stock
def test_what_is_good_in_a_rotten_pack_is_kept_when_the_source_has_it_no_more(studio: Studio) -> None:
    """One flipped bit is one lost file, not the whole pack (what restic's `repair packs` does by hand)."""
    first = studio.backup()
    name = pack(studio)
    flip(studio, name, "abc")
    for path in studio.source.iterdir():
        path.unlink()
    studio.write({"other.txt": b"other"})
    result = backup_knowing(studio, name, "abc")
    assert studio.read_back(result) == {"other.txt": b"other"}
    place = studio.places["b"]
    reader = VaultReader({"b": place.open()}, studio.vault.master)
    index = reader.load_index()
    files = [node for _, node in walk_tree(reader, first.tree) if node.type == "file"]
    whole = [node for node in files if all(index.has(BlobType.DATA, blob) for blob in node.content)]
    assert (len(files), len(whole)) == (12, 11)
    blobs = [blob for node in whole for blob in node.content]
    assert all(plain is not None for _, plain in reader.read_blobs(BlobType.DATA, blobs))


@pytest.mark.stock
def test_a_bit_that_flipped_elsewhere_in_each_copy_loses_nothing(studio: Studio) -> None:
    name = pack(studio)
    for key, offset in zip("abc", (1_000, 900_000, 2_000_000), strict=True):
        flip(studio, name, key, offset)
    before = {path.name: path.read_bytes() for path in studio.source.iterdir()}
    for path in studio.source.iterdir():
        path.unlink()
    studio.write({"other.txt": b"other"})
    first = studio.places["a"].open().snapshots()[0]
    backup_knowing(studio, name, "abc")
    assert read_files(studio.places["a"], first.tree, studio.source) == before
    studio.check()


@pytest.mark.stock
def test_a_pack_known_to_be_rotten_at_one_place_comes_back_from_another(studio: Studio) -> None:
    name = pack(studio)
    flip(studio, name, "b")
    result = backup_knowing(studio, name, "b")
    assert result.bytes_read == 0 and name in result.outcomes["b"].mended
    studio.check()


@pytest.mark.parametrize("harm", [remove, truncate])
def test_packs_that_vanished_at_one_place_are_told_of(studio: Studio, harm: Callable[..., None]) -> None:
    """truth-web 11, the lifecycle rule: the listings that each backup takes could have noticed at once."""
    name = pack(studio)
    harm(studio, name, "c")
    result = studio.backup()
    assert result.outcomes["c"].vanished == {name} and name in result.outcomes["c"].mended
    assert not result.outcomes["a"].vanished and not result.outcomes["b"].vanished
    studio.check()


@pytest.mark.stock
def test_an_index_known_to_be_rotten_everywhere_is_made_again_from_the_packs(studio: Studio) -> None:
    name = next(iter(studio.names("a", "index")))
    flip(studio, name, "abc", 60)
    result = backup_knowing(studio, name, "abc")
    assert result.bytes_read == 0
    assert all(name not in studio.names(key, "index") for key in "abc")
    studio.check()


def test_a_rotten_pack_that_a_place_did_not_answer_for_is_not_given_up(studio: Studio) -> None:
    """A line that breaks is no proof: what could not be read may be whole."""
    name = pack(studio)
    flip(studio, name, "abc")
    fault = StoreFault(Effect.CUT, operation=Operation.GET, match=name, times=None)
    silent = FaultyStore(studio.places["c"].store, [fault])
    result = backup_knowing(studio, name, "abc", stores={"c": silent})
    assert fault.hits
    assert name in studio.names("c", "data")
    reader = VaultReader({key: place.open() for key, place in studio.places.items()}, studio.vault.master)
    reader.load_index()
    blobs = [blob for _, node in walk_tree(reader, result.tree) for blob in node.content]
    assert blobs and all(plain is not None for _, plain in reader.read_blobs(BlobType.DATA, blobs))


@pytest.mark.stock
@pytest.mark.parametrize(
    ("kind", "keys"), [("index", "a"), ("index", "abc"), ("keys", "a"), ("keys", "abc"), ("snapshots", "a")]
)
def test_a_small_file_that_was_cut_off_is_put_again_before_a_copy_is_complete(
    studio: Studio, kind: str, keys: str
) -> None:
    """restic #2269 (files of no bytes after a full disk), kopia #4033 (months with indexes that nobody could read).

    The cache on this machine knew what they had said, so nobody looked, and stock restic could open no copy.
    """
    (name,) = studio.names("a", kind)
    for key in keys:
        studio.places[key].overwrite(name, b"")
    result = studio.backup()
    assert all(result.outcomes[key].complete for key in "abc")
    if kind != "keys":
        assert all(name in result.outcomes[key].damaged and name in result.outcomes[key].mended for key in keys)
    studio.check()
    assert len(studio.read_back(result)) == 12


def test_a_snapshot_that_is_cut_off_everywhere_is_damage(studio: Studio) -> None:
    """kopia #4033. The cache alone still had it: every copy was confirmed, and nobody could restore that state."""
    (name,) = studio.names("a", "snapshots")
    for key in "abc":
        studio.places[key].overwrite(name, b"")
    outcomes = studio.backup().outcomes
    assert all(name in outcomes[key].damaged and name not in outcomes[key].mended for key in "abc")
