"""Several sources in one run: each has its own patterns, its own count, and is missed without stopping the others."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from backups.engine.backup import scanner as scanning
from backups.engine.backup.run import BackupResult, SourceFolder
from backups.engine.backup.selection import FoundSource
from backups.engine.format import FileKind
from tests.backups.engine.backing import Studio, read_files
from tests.backups.engine.places import SECRET
from tests.restic import stock

noise = random.Random(7)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture
def previews(studio: Studio, tmp_path: Path) -> Path:
    folder = tmp_path / "previews"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "catalogue.lrcat"):
        (folder / name).write_bytes(noise.randbytes(500))
    studio.write({"final 1.jpg": b"final", "final 2.jpg": b"final too"})
    return folder


def found(result: BackupResult, folder: Path) -> FoundSource:
    return next(source for source in result.sources if source.name == str(folder))


def stored(studio: Studio, result: BackupResult, folder: Path) -> list[str]:
    return sorted(read_files(studio.places["a"], result.tree, folder.parent))


@pytest.mark.stock
def test_patterns_of_one_source_hold_for_it_alone_and_the_snapshot_says_so(studio: Studio, previews: Path) -> None:
    """duplicati #4751, #1471: what was left out of previews was missing from the finals as well."""
    result = studio.backup(sources=(SourceFolder(str(previews), ("*.jpg",)), str(studio.source)))

    assert stored(studio, result, previews) == [
        "previews/catalogue.lrcat", "source/final 1.jpg", "source/final 2.jpg"
    ]  # fmt: skip
    assert found(result, previews).left_out["*.jpg"].files == 2
    assert found(result, studio.source).files == 2 and found(result, previews).files == 1
    recorded = studio.places["a"].open().load_document(FileKind.SNAPSHOTS, result.snapshot_id)
    assert recorded["excludes"] == [f"{previews}/**/*.jpg"]
    stock.check(studio.places["a"].path, SECRET)


def test_a_source_within_another_keeps_what_the_other_leaves_out(studio: Studio) -> None:
    studio.write({"work/finals/a.jpg": b"a", "work/finals/b.tif": b"bb", "work/scratch.jpg": b"c", "top.jpg": b"d"})
    finals = studio.source / "work" / "finals"

    result = studio.backup(sources=(SourceFolder(str(studio.source), ("work/",)), str(finals)))

    assert sorted(studio.read_back(result)) == ["top.jpg", "work/finals/a.jpg", "work/finals/b.tif"]
    assert (found(result, finals).files, found(result, finals).size_bytes) == (2, 3)
    assert found(result, studio.source).files == 1
    assert found(result, studio.source).left_out["work/"].folders == 1


def test_what_two_sources_hold_is_counted_for_each_by_its_own_patterns(studio: Studio) -> None:
    studio.write({"finals/a.jpg": b"a", "finals/b.tif": b"bb", "c.jpg": b"ccc"})
    finals = studio.source / "finals"

    result = studio.backup(sources=(SourceFolder(str(studio.source), ("*.jpg",)), str(finals)))

    assert sorted(studio.read_back(result)) == ["finals/a.jpg", "finals/b.tif"]
    assert (found(result, studio.source).files, found(result, studio.source).size_bytes) == (1, 2)
    assert (found(result, finals).files, found(result, finals).size_bytes) == (2, 3)


def test_a_missing_source_is_told_and_the_others_are_stored(studio: Studio, previews: Path) -> None:
    """duplicati #6149: with one folder away nothing else was backed up either."""
    gone = previews.parent / "card"

    result = studio.backup(sources=(str(gone), str(previews), str(studio.source)))

    assert "is not there" in found(result, gone).missing
    assert result.files_total == 5
    document = studio.places["a"].open().load_document(FileKind.SNAPSHOTS, result.snapshot_id)
    assert document["paths"] == sorted([str(previews), str(studio.source)])
    studio.check()


def test_a_source_that_cannot_be_listed_stops_no_other(
    studio: Studio, previews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit: list[bytes] = []
    honest = scanning.Scanner.scan

    def scan(self: scanning.Scanner, folder: scanning.Folder, root_fd: int) -> Any:
        if folder.path == os.fsencode(previews):
            hit.append(folder.path)
            raise OSError(5, "Input/output error")
        return honest(self, folder, root_fd)

    monkeypatch.setattr(scanning.Scanner, "scan", scan)
    result = studio.backup(sources=(str(previews), str(studio.source)))
    assert hit and "Input/output error" in found(result, previews).missing
    assert sorted(studio.read_back(result)) == ["final 1.jpg", "final 2.jpg"]


def test_a_source_behind_a_link_in_another_is_told_because_only_the_link_is_stored(
    studio: Studio, previews: Path
) -> None:
    (studio.source / "link").symlink_to(previews.parent)
    behind = studio.source / "link" / "previews"

    result = studio.backup(sources=(str(studio.source), str(behind)))

    assert "behind a link" in found(result, behind).missing


def test_disks_below_a_source_are_counted_by_themselves_also_when_they_are_gone(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was mounted below the source is an empty folder now; the sum of all files hides it."""
    studio.write({"card/1.jpg": b"1", "card/deep/2.jpg": b"22", "top.jpg": b"top"})
    card = os.fsencode(studio.source / "card")
    honest = os.fstat

    def elsewhere(fd: int) -> os.stat_result:
        status = honest(fd)
        if os.readlink(f"/proc/self/fd/{fd}").startswith(os.fsdecode(card)):
            named = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
            return os.stat_result([*status[:2], 4711, *status[3:10]], named)
        return status

    with monkeypatch.context() as patch:
        patch.setattr("backups.engine.backup.scanner.os.fstat", elsewhere)
        (mount,) = found(studio.backup(), studio.source).mounts
    assert (mount.path, mount.device, mount.mounted, mount.files, mount.size_bytes) == (card, 4711, True, 2, 3)

    (Path(os.fsdecode(card)) / "1.jpg").unlink()
    known = SourceFolder(str(studio.source), mounts=(card,))
    (mount,) = found(studio.backup(sources=(known,)), studio.source).mounts
    assert (mount.mounted, mount.files) == (False, 1)


def test_a_wrong_pattern_leaves_nothing_out_and_is_told(studio: Studio) -> None:
    studio.write({"z.jpg": b"z"})
    result = studio.backup(excludes=("[z-a].jpg",))
    assert studio.read_back(result) == {"z.jpg": b"z"}
    assert found(result, studio.source).faults[0][0] == "[z-a].jpg"
