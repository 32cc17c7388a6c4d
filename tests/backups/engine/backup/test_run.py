from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path

import pytest

from backups.engine.backup import crew as backup_crew
from backups.engine.errors import Damaged, SourceMissing, SourceUnreadable
from backups.engine.format.crypto import MasterKey
from backups.engine.progress import Progress
from tests.backups.engine.backing import Studio, node_at
from tests.backups.engine.places import SECRET
from tests.restic import stock
from tests.restic.trees import assert_equal, every_kind_of_node
from wedbackup.core.clock import SystemClock

noise = random.Random(2)
PARENT_FOLDERS = 5000  # [bytes] their times change while other tests run, so their trees are new each time


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little there is to read, worker processes read it."""
    monkeypatch.setattr(backup_crew, "PROCESSES_FROM_BYTES", -1)


@pytest.mark.stock
@pytest.mark.parametrize("from_bytes", [-1, 1 << 40], ids=["worker processes", "own thread"])
def test_stock_restic_restores_every_kind_of_node_from_every_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_bytes: int
) -> None:
    monkeypatch.setattr(backup_crew, "PROCESSES_FROM_BYTES", from_bytes)
    studio = Studio(tmp_path, places=2)
    studio.source.rmdir()
    every_kind_of_node(studio.source)
    (studio.source / "disk").unlink(missing_ok=True)  # restic 0.14 cannot restore its device number
    result = studio.backup()
    assert not result.unreadable and not result.unstable
    studio.check()
    for key, place in studio.places.items():
        stock.restore(place.path, SECRET, result.snapshot_id, tmp_path / f"restored-{key}")
        assert_equal(tmp_path / f"restored-{key}" / str(studio.source).lstrip("/"), studio.source)


def test_all_places_hold_the_same_bytes(tmp_path: Path) -> None:
    studio = Studio(tmp_path, places=3)
    studio.write({f"{i}.jpg": noise.randbytes(50_000) for i in range(20)})
    result = studio.backup()
    first = studio.places["a"].files()
    assert all(place.files() == first for place in studio.places.values())
    assert all(outcome.complete and outcome.packs_confirmed == 2 for outcome in result.outcomes.values())


def test_an_unchanged_source_is_not_read_and_makes_the_same_tree(studio: Studio) -> None:
    studio.write({f"{i // 5}/{i}.jpg": noise.randbytes(1000) for i in range(50)})
    first = studio.backup()
    second = studio.backup()
    assert (second.files_unchanged, second.bytes_read, second.parent) == (50, 0, first.snapshot_id)
    assert studio.source_tree(second) == studio.source_tree(first)
    studio.check()


def test_only_what_changed_is_read(studio: Studio) -> None:
    studio.write({f"{i // 5}/{i}.jpg": noise.randbytes(1000) for i in range(50)})
    studio.backup()
    studio.write({"3/17.jpg": b"retouched", "3/new.jpg": b"late guest"})
    (studio.source / "4" / "20.jpg").unlink()
    result = studio.backup()
    assert (result.files_new, result.files_changed, result.files_unchanged) == (1, 1, 48)
    assert result.bytes_read == len(b"retouched" + b"late guest")
    read = studio.read_back(result)
    assert read["3/17.jpg"] == b"retouched" and "4/20.jpg" not in read and len(read) == 50
    studio.check()


def test_without_its_cache_everything_is_read_and_nothing_stored_again(studio: Studio) -> None:
    studio.write({f"{i}.jpg": noise.randbytes(2000) for i in range(30)})
    first = studio.backup()
    studio.cache.write_bytes(b"this is no database" * 100)
    second = studio.backup()
    assert second.bytes_read == first.bytes_read
    assert second.bytes_stored < PARENT_FOLDERS
    assert studio.source_tree(second) == studio.source_tree(first)


def test_damaged_nodes_in_the_cache_empty_it_and_the_next_run_is_whole(studio: Studio) -> None:
    studio.write({"top.txt": b"top", "deep/a.txt": b"a"})
    studio.backup()
    with sqlite3.connect(studio.cache) as connection:
        assert connection.execute("UPDATE folder SET nodes=?", (b"rot",)).rowcount == 2
    connection.close()
    (studio.source / "deep" / "a.txt").write_bytes(b"b")  # the folder above is unchanged but for this one's tree
    with pytest.raises(Damaged, match="was emptied"):
        studio.backup()
    assert studio.read_back(studio.backup()) == {"top.txt": b"top", "deep/a.txt": b"b"}
    studio.check()


def test_a_file_written_just_before_the_scan_is_read_again_next_time(studio: Studio) -> None:
    """Its time stamp could hide a second change within the same tick of the file system's clock."""
    studio.write({"a.txt": b"one"})
    runs = [studio.backup(clock=SystemClock()) for _ in range(2)]
    assert [run.bytes_read for run in runs] == [3, 3]


def test_files_of_a_camera_in_another_time_zone_are_read_once(studio: Studio) -> None:
    """Here: dated hours ahead, they counted as written a moment ago, and were read in full at every run."""
    studio.write({"far.cr3": b"tomorrow", "b/near.cr3": b"today"})
    then = SystemClock().utcnow().timestamp() + 9 * 3600
    os.utime(studio.source / "far.cr3", (then, then))
    assert [studio.backup().bytes_read for _ in range(2)] == [13, 0]
    (studio.source / "far.cr3").write_bytes(b"tomorroW")
    os.utime(studio.source / "far.cr3", (then + 60, then + 60))
    assert studio.backup().bytes_read == 8


def test_equal_content_is_stored_once(studio: Studio, processes: None) -> None:
    content = noise.randbytes(3_000_000)
    studio.write({f"card-{i}/DSC.raw": content for i in range(5)})
    result = studio.backup()
    assert result.bytes_read == 15_000_000
    assert result.bytes_stored < 2.2 * len(content)  # two workers may begin with the same bytes at the same moment
    assert studio.backup(cache_path=None).bytes_stored < PARENT_FOLDERS


def test_an_insertion_stores_only_what_is_around_it(studio: Studio) -> None:
    content = noise.randbytes(20_000_000)
    studio.write({"film.mp4": content})
    studio.backup()
    studio.write({"film.mp4": b"ten bytes!" + content})
    result = studio.backup()
    assert result.bytes_stored < 4_000_000
    assert studio.read_back(result)["film.mp4"] == b"ten bytes!" + content


def test_a_sparse_file_takes_almost_no_room(studio: Studio) -> None:
    with open(studio.source / "disk.img", "wb") as file:
        file.truncate(300_000_000)
        file.seek(150_000_000)
        file.write(b"something")
    result = studio.backup()
    assert result.bytes_stored < 100_000
    studio.check()


def test_several_sources_share_one_tree_from_the_root(studio: Studio, tmp_path: Path) -> None:
    other = tmp_path / "other" / "deep"
    other.mkdir(parents=True)
    (other / "b.txt").write_bytes(b"b")
    studio.write({"a.txt": b"a"})
    result = studio.backup(sources=(str(studio.source), str(other), str(tmp_path / "other")))
    paths = {entry["path"] for entry in stock.ls(studio.places["a"].path, SECRET, result.snapshot_id)}
    assert {str(studio.source / "a.txt"), str(other / "b.txt")} <= paths
    assert result.files_total == 2


def test_excluded_names_and_folders_are_left_out(studio: Studio) -> None:
    studio.write(
        {"keep.jpg": b"1", "Thumbs.db": b"2", "cache/x.jpg": b"3", "deep/a/b/c.tmp": b"4", "deep/a/d.jpg": b"5"}
    )
    result = studio.backup(excludes=("Thumbs.db", "cache/", "deep/**/*.tmp"))
    assert sorted(studio.read_back(result)) == ["deep/a/d.jpg", "keep.jpg"]


def test_a_missing_source_says_so(studio: Studio) -> None:
    studio.source.rmdir()
    with pytest.raises(SourceMissing, match="is not there"):
        studio.backup()
    assert studio.names("a", "snapshots") == set()


def test_a_source_that_is_a_file_or_a_relative_path_is_refused(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (str(tmp_path / "file"), "relative/path"):
        with pytest.raises(SourceMissing):
            studio.backup(sources=(path,))


def test_an_empty_source_is_a_snapshot_of_nothing(studio: Studio) -> None:
    result = studio.backup()
    assert (result.files_total, result.folders_total) == (0, 1)
    studio.check()


def test_a_source_whose_mount_goes_away_meanwhile_is_missing_and_not_empty(studio: Studio, tmp_path: Path) -> None:
    studio.write({"a.txt": b"a"})

    hit: list[bool] = []

    def listener(progress: Progress) -> None:
        if progress.step == "scan" and not hit:
            hit.append(True)
            os.rename(studio.source, tmp_path / "unmounted")
            studio.source.mkdir()

    with pytest.raises(SourceMissing, match="was replaced"):
        studio.backup(listener)
    assert hit and studio.names("a", "snapshots") == set()


def test_what_cannot_be_read_is_listed_and_the_rest_is_stored(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.write({"good.txt": b"good", "secret.txt": b"?", "closed/x.txt": b"?"})
    honest = os.open

    def refusing(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path in (b"secret.txt", b"closed"):
            raise PermissionError(13, "Permission denied")
        return honest(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refusing)
    result = studio.backup()
    assert sorted(result.unreadable) == [
        (str(studio.source / "closed"), "Permission denied"),
        (str(studio.source / "secret.txt"), "Permission denied"),
    ]
    monkeypatch.undo()
    assert studio.read_back(result) == {"good.txt": b"good"}
    again = studio.backup()
    assert not again.unreadable and len(studio.read_back(again)) == 3


def test_an_unreadable_source_is_an_error(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = os.open

    def refusing(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == os.fsencode(studio.source):
            raise PermissionError(13, "Permission denied")
        return honest(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(SourceUnreadable):
        studio.backup()


def test_a_folder_that_becomes_a_link_leads_nowhere(studio: Studio, tmp_path: Path) -> None:
    """Whoever may write into the source must not make us read what we can and they cannot."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "x.txt").write_bytes(b"not for them")
    studio.write({"deep/x.txt": b"theirs"})

    def listener(progress: Progress) -> None:
        if progress.step == "read" and not (studio.source / "deep").is_symlink():
            os.rename(studio.source / "deep", tmp_path / "moved")
            os.symlink(tmp_path / "private", studio.source / "deep")

    result = studio.backup(listener)
    assert (studio.source / "deep").is_symlink()
    assert [path for path, _ in result.unreadable] == [str(studio.source / "deep" / "x.txt")]
    assert studio.read_back(result) == {}


def test_hard_links_say_that_they_are_one_file(studio: Studio) -> None:
    studio.write({"one": b"same"})
    os.link(studio.source / "one", studio.source / "two")
    result = studio.backup()
    one, two = (node_at(studio.places["a"], result, studio.source / name) for name in ("one", "two"))
    assert (one.inode, one.device_id, one.links) == (two.inode, two.device_id, 2)


def test_progress_grows_to_the_totals_and_comes_in_measure(studio: Studio, processes: None) -> None:
    studio.write({f"{i}.raw": noise.randbytes(1_000_000) for i in range(40)})
    seen: list[Progress] = []
    result = studio.backup(seen.append)
    done = [progress.bytes_done for progress in seen]
    assert done == sorted(done)
    last = seen[-1]
    assert (last.step, last.total_known, last.files_done, last.bytes_done) == ("done", True, 40, 40_000_000)
    assert (last.files_total, last.bytes_total) == (40, 40_000_000)
    assert last.location_bytes == {"a": result.bytes_stored} and last.bytes_new == result.bytes_stored
    assert [p.step for p in seen if p.step != "read"][:3] == ["open", "scan", "upload"] or "index" in {
        p.step for p in seen
    }


def test_bits_that_flip_in_memory_are_found_before_they_leave(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = MasterKey.seal_into
    hits = []

    def flipping(self: MasterKey, plain: bytes, target: memoryview, offset: int) -> int:
        hits.append(offset)
        return honest(self, bytes([plain[0] ^ 1]) + bytes(plain[1:]), target, offset)

    studio.write({"a.raw": noise.randbytes(10_000)})
    monkeypatch.setattr(MasterKey, "seal_into", flipping)
    with pytest.raises(Damaged):
        studio.backup()
    assert hits and studio.names("a", "snapshots") == set()
