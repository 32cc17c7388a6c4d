"""One odd entry never stops a vault: it is named, and everything else is stored."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backups.engine.backup import scanner, sources
from backups.engine.backup.blobwriter import BlobWriter
from backups.engine.backup.run import BackupResult
from backups.engine.format import BlobType, format_time, parse_time
from backups.engine.format.gonames import shown_path
from tests.backups.engine.backing import Studio
from tests.backups.engine.places import SECRET
from tests.nasty import FAR_FUTURE, ODD, Nasty, deeper_than_a_path
from tests.restic import stock

noise = random.Random(6)


@pytest.fixture
def wide_dates() -> Iterator[Path]:
    """A folder in memory, whose file system keeps every date; ext4 moves those before 1901 and after 2446."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


@pytest.fixture
def studio(wide_dates: Path) -> Studio:
    studio = Studio(wide_dates)
    studio.write({"healthy.jpg": noise.randbytes(5000)})
    return studio


def told(result: BackupResult) -> set[str]:
    return {path for path, _ in (*result.unreadable, *result.unstable, *result.partly)}


def paths(studio: Studio, names: set[bytes]) -> set[str]:
    return {shown_path(os.fsencode(studio.source) + b"/" + name) for name in names}


def assert_kept(studio: Studio, tree: Nasty, result: BackupResult) -> None:
    read = {os.fsencode(path): content for path, content in studio.read_back(result).items()}
    assert {name: read.get(name) for name in tree.healthy} == tree.healthy
    assert told(result) == paths(studio, tree.told)


@pytest.mark.parametrize("odd", [*ODD, deeper_than_a_path], ids=lambda odd: odd.__name__)
def test_an_odd_entry_is_stored_or_named_and_the_others_are_stored(
    studio: Studio, odd: Callable[[Nasty, bytes], None]
) -> None:
    """restic #705, #1173, #2174 (dates); xattr #82, borg #1462 and #6988 (names of attributes)."""
    tree = Nasty(os.fsencode(studio.source))
    tree.healthy[b"healthy.jpg"] = (studio.source / "healthy.jpg").read_bytes()
    odd(tree, b"odd")
    for result in (studio.backup(), studio.backup()):  # the second meets it in the cache: it must not fall silent
        assert_kept(studio, tree, result)
    studio.check()


@pytest.mark.stock
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(ODD), st.integers(0, 99)), min_size=1, max_size=12, unique_by=lambda x: x[1]))
def test_whatever_odd_entries_meet_in_a_folder_every_healthy_one_is_stored(
    wide_dates: Path, odd: list[tuple[Callable[[Nasty, bytes], None], int]]
) -> None:
    root = wide_dates / "example"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    studio = Studio(root)
    tree = Nasty(os.fsencode(studio.source))
    for make, number in odd:
        make(tree, b"%d" % number)
    for result in (studio.backup(), studio.backup()):
        assert_kept(studio, tree, result)
    stock.check(studio.places["a"].path, SECRET)


def test_stock_restic_restores_what_is_dated_beyond_its_clock(studio: Studio, tmp_path: Path) -> None:
    path = studio.source / "DSC00551.JPG"
    path.write_bytes(b"of the year 2300")
    os.utime(path, ns=(0, FAR_FUTURE))
    result = studio.backup()
    stock.restore(studio.places["a"].path, SECRET, result.snapshot_id, tmp_path / "back")
    assert (tmp_path / "back" / str(path).lstrip("/")).read_bytes() == b"of the year 2300"


@pytest.mark.parametrize("year", [-5000, -1, 0, 1, 999, 1969, 2026, 9999, 10_000, 30_828])
def test_every_date_is_written_so_that_restic_can_read_it(year: int) -> None:
    """restic #705 (a camera's year 30828), #2174, #2253: Go's JSON reads four digits, no more and no less."""
    moment = int((year - 1970) * 365.2425 * 86400) * 10**9 + 86400 * 180 * 10**9
    text = format_time(moment)
    assert parse_time(text) == (moment if 1 <= year <= 9999 else parse_time(text))
    assert text[:4] == f"{min(max(year, 1), 9999):04d}"


def test_any_error_about_one_entry_costs_that_entry_only(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.write({"broken.jpg": b"x", "sub/deep.jpg": b"y"})
    honest = scanner.FileToRead
    hits = []

    def listing(slot: int, name: bytes, size: int) -> scanner.FileToRead:
        if name == b"broken.jpg":
            hits.append(name)
            raise ValueError("nobody foresaw this")
        return honest(slot, name, size)

    monkeypatch.setattr(scanner, "FileToRead", listing)
    result = studio.backup()
    assert hits and told(result) == {f"{studio.source}/broken.jpg"}
    assert set(studio.read_back(result)) == {"healthy.jpg", "sub/deep.jpg"}


def test_an_unreadable_file_does_not_have_its_whole_folder_read_again_each_time(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.write({"locked.jpg": b"x"})
    honest = sources._open_unseen

    def refusing(name: bytes, flags: int, folder_fd: int) -> int:
        if name == b"locked.jpg":
            raise PermissionError(13, "Permission denied")
        return honest(name, flags, folder_fd)

    monkeypatch.setattr(sources, "_open_unseen", refusing)
    first, second = studio.backup(), studio.backup()
    assert told(first) == told(second) == {f"{studio.source}/locked.jpg"}
    assert first.bytes_read == 5000 and second.bytes_read == 0


def test_what_vanishes_between_listing_and_reading_is_no_alarm(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files such as .lrcat.lock: an alarm about them would soon be looked past."""
    studio.write({"cat.lrcat.lock": b"x"})
    honest = sources._open_unseen
    hits = []

    def vanishing(name: bytes, flags: int, folder_fd: int) -> int:
        if name == b"cat.lrcat.lock":
            hits.append(name)
            (studio.source / "cat.lrcat.lock").unlink(missing_ok=True)
        return honest(name, flags, folder_fd)

    monkeypatch.setattr(sources, "_open_unseen", vanishing)
    result = studio.backup()
    assert hits and not told(result) and result.files_total == 1
    assert set(studio.read_back(result)) == {"healthy.jpg"}


def test_attributes_that_cannot_be_read_are_told(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    os.setxattr(studio.source / "healthy.jpg", "user.rating", b"5")

    def refusing(*_: object, **__: object) -> bytes:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "getxattr", refusing)
    result = studio.backup()
    assert told(result) == {f"{studio.source}/healthy.jpg"} and "user.rating" in result.partly[0][1]


def test_a_folder_whose_list_is_larger_than_a_pack_is_stored(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """40,000 RAWs of 30 MB in one folder, or 750,000 small files: the tree blob outgrows every buffer."""
    lists = noise.randbytes(40_000_000)  # stands for the ids of so many pieces, which do not compress
    honest = BlobWriter.store
    sent: list[bytes] = []

    def store(writer: BlobWriter, plain: bytes | memoryview, *, compressible: bool = True) -> bytes:
        if writer._type is BlobType.TREE and not sent:
            sent.append(honest(writer, lists))
        return honest(writer, plain, compressible=compressible)

    monkeypatch.setattr(BlobWriter, "store", store)
    studio.backup()
    repository = studio.places["a"].open()
    repository.load_index()
    assert bytes(repository.load_blob(BlobType.TREE, sent[0])) == lists
    studio.check()
