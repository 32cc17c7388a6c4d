"""A sample reads a few blobs at random, says truthfully how many, and finds what it looks at."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from backups.engine.format import BlobType
from backups.engine.format.repository import Repository
from backups.engine.upkeep.check import check
from backups.engine.upkeep.copies import Place as Copy
from backups.engine.upkeep.findings import Kind, Sample, Verdict
from backups.engine.upkeep.sample import sample
from providers.stores.errors import StoreUnavailable
from providers.stores.local import LocalStore
from tests.backups.engine.places import PREFIX, Place, fresh_vault, make_place
from tests.backups.engine.writing import Folder, write_snapshot

FOLDER: Folder = {b"photos": {b"%d.jpg" % i: os.urandom(5000) for i in range(12)}, b"plan.txt": b"18:00 dinner\n" * 50}
EVERYTHING = 10**9


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = make_place(tmp_path / "location")
    write_snapshot([Repository.create(place.store, PREFIX, fresh_vault())], FOLDER)
    return place


def test_within_its_budget_it_reads_what_it_says(place: Place) -> None:
    repository = place.open()
    index = repository.load_index()
    read, findings = sample(place, repository.master, index, bytes_max=16_000, rng=random.Random(4))
    assert findings == []
    assert 1 <= read.read < len(index) == read.total
    assert read.bytes_read <= 16_000


def test_one_blob_is_read_however_small_the_budget(place: Place) -> None:
    repository = place.open()
    read, _ = sample(place, repository.master, repository.load_index(), bytes_max=1)
    assert read.read == 1


def test_each_sample_looks_at_others(place: Place) -> None:
    repository = place.open()
    index = repository.load_index()
    picks = {
        sample(place, repository.master, index, bytes_max=6_000, rng=random.Random(seed))[0].bytes_read
        for seed in range(12)
    }
    assert len(picks) > 1


def test_a_flipped_byte_is_found_when_its_blob_is_looked_at(place: Place) -> None:
    entry = next(iter(place.open().load_index().entries(BlobType.DATA).values()))
    name = f"data/{entry.pack_id[:2]}/{entry.pack_id}"
    content = bytearray(place.files()[name])
    content[entry.offset + 20] ^= 1
    place.overwrite(name, bytes(content))
    result = check(place, place.open().master, sample_bytes=EVERYTHING)
    assert result.verdict is Verdict.DAMAGED
    assert [finding.kind for finding in result.findings] == [Kind.PACK_DAMAGED]
    assert result.damaged == {name}
    assert result.sample is not None and result.sample.read == result.sample.total


def test_without_a_sample_the_structure_says_nothing_of_it(place: Place) -> None:
    assert check(place, place.open().master).sample is None


class Silent(LocalStore):
    """Answers listings and small files, no packs."""

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if "/data/" in f"/{name}" and length is not None:
            raise StoreUnavailable("no answer")
        return super().get(name, offset=offset, length=length)


def test_what_could_not_be_read_is_not_counted_as_covered(place: Place) -> None:
    repository = place.open()
    silent = Copy(Silent(place.store.options), PREFIX)
    read, findings = sample(silent, repository.master, repository.load_index(), bytes_max=EVERYTHING)
    assert (read.read, read.bytes_read) == (0, 0)
    assert {finding.kind for finding in findings} == {Kind.NOT_READ}


def test_the_share_is_told_truthfully() -> None:
    assert str(Sample(1204, 40_000, 1)) == "1,204 of 40,000 blobs, 3 %"
    assert str(Sample(12, 40_000, 1)) == "12 of 40,000 blobs, less than 1 %"
    assert str(Sample(39_999, 40_000, 1)) == "39,999 of 40,000 blobs, 99 %"
    assert str(Sample(0, 40_000, 0)) == "0 of 40,000 blobs, 0 %"
