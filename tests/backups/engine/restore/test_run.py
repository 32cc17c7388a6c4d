from __future__ import annotations

import errno
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from backups.engine.errors import Cancelled, NoSpace, UnsafeTarget
from backups.engine.format.repository import Repository
from backups.engine.progress import CancelToken, Progress
from backups.engine.restore import worker as restore_worker
from backups.engine.restore.browse import NotInSnapshot
from backups.engine.restore.crew import CrewBroken, ProcessCrew
from backups.engine.restore.plan import Subset
from backups.engine.restore.result import Existing, RestoreResult, TargetFull
from backups.engine.restore.run import restore
from backups.engine.restore.survey import Made, make_folders
from backups.engine.restore.target import Target, write_sparse
from backups.engine.restore.vault_reader import VaultReader
from tests.backups.engine.backing import Studio
from tests.backups.engine.places import NOW, PREFIX, SECRET, Place, fresh_vault, make_place
from tests.backups.engine.writing import Folder, Link, write_snapshot

NOISE = os.urandom(9500)
WEDDING: Folder = {
    b"photos": {b"first dance.jpg": NOISE, b"best": {b"kiss.jpg": NOISE[2000:7000]}, b"empty": {}},
    b"plan.txt": b"18:00 dinner\n" * 500,
    b"nothing": b"",
    b"newest": Link(b"photos/first dance.jpg"),
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path / "location")


def back_up(place: Place, folder: Folder) -> None:
    write_snapshot([Repository.create(place.store, PREFIX, fresh_vault())], folder)


def restored(place: Place, target: Path, **options: Any) -> RestoreResult:
    reader = VaultReader.open({"here": place}, SECRET)
    return restore(reader, reader.snapshots()[-1], str(target), **options)


def content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file() and not f.is_symlink()}


def test_everything_comes_back_with_its_attributes_and_a_proof(place: Place, tmp_path: Path) -> None:
    back_up(place, WEDDING)
    seen: list[Progress] = []
    result = restored(place, tmp_path / "out", listener=seen.append)
    assert result.complete and str(result.proof) == "4 of 4 files equal"
    assert content(tmp_path / "out") == {
        "photos/first dance.jpg": NOISE,
        "photos/best/kiss.jpg": NOISE[2000:7000],
        "plan.txt": b"18:00 dinner\n" * 500,
        "nothing": b"",
    }
    assert os.readlink(tmp_path / "out" / "newest") == "photos/first dance.jpg"
    assert (tmp_path / "out" / "photos" / "empty").is_dir()
    for path, mode in (("photos", 0o750), ("photos/best/kiss.jpg", 0o640), ("newest", 0o777)):
        status = (tmp_path / "out" / path).lstat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (mode, NOW), path
    assert sorted(os.listdir(tmp_path / "out")) == ["newest", "nothing", "photos", "plan.txt"], "no staging left"
    assert seen[-1].step == "verify" and seen[-1].files_done == seen[-1].files_total == 4


def test_a_part_is_restored_with_the_folders_that_lead_to_it(place: Place, tmp_path: Path) -> None:
    back_up(place, WEDDING)
    restored(place, tmp_path / "a", subset=Subset(paths=(b"photos/best",)))
    assert list(content(tmp_path / "a")) == ["photos/best/kiss.jpg"]
    restored(place, tmp_path / "b", subset=Subset(accepts=lambda path, node: path.endswith(b".txt")))
    assert os.listdir(tmp_path / "b") == ["plan.txt"]
    restored(place, tmp_path / "c", base=b"photos/best")
    assert os.listdir(tmp_path / "c") == ["kiss.jpg"]
    with pytest.raises(NotInSnapshot):
        restored(place, tmp_path / "d", base=b"films")


def test_a_restore_by_processes_gives_the_same(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up(place, WEDDING)
    monkeypatch.setattr("backups.engine.restore.run.PROCESSES_FROM_FILES", 1)
    by_processes = restored(place, tmp_path / "a")
    monkeypatch.undo()
    restored(place, tmp_path / "b")
    assert by_processes.complete and str(by_processes.proof) == "4 of 4 files equal"
    assert content(tmp_path / "a") == content(tmp_path / "b")


# --- what is in the target already ------------------------------------------------------------------------------


def test_by_default_nothing_is_written_when_anything_is_there(place: Place, tmp_path: Path) -> None:
    back_up(place, WEDDING)
    (tmp_path / "plan.txt").write_text("the couple's own notes")
    with pytest.raises(UnsafeTarget, match=r"plan\.txt"):
        restored(place, tmp_path)
    assert (tmp_path / "plan.txt").read_text() == "the couple's own notes"
    assert not (tmp_path / "photos").exists()


@pytest.mark.parametrize(
    ("existing", "expected", "counts"),
    [
        (Existing.OVERWRITE, b"18:00 dinner\n" * 500, (4, 0, 0)),
        (Existing.KEEP, b"changed".ljust(6500), (2, 2, 0)),
        (Existing.IF_CHANGED, b"18:00 dinner\n" * 500, (3, 0, 1)),
    ],
)
def test_files_that_are_there_are_replaced_kept_or_compared_as_told(
    place: Place, tmp_path: Path, existing: Existing, expected: bytes, counts: tuple[int, int, int]
) -> None:
    back_up(place, WEDDING)
    out = tmp_path / "out"
    (out / "photos").mkdir(parents=True)
    (out / "plan.txt").write_bytes(b"changed".ljust(6500))  # the same size: only reading tells
    (out / "photos" / "first dance.jpg").write_bytes(NOISE)
    result = restored(place, out, existing=existing)
    assert result.complete
    assert (out / "plan.txt").read_bytes() == expected
    assert (result.files, result.kept, result.unchanged) == counts
    assert (out / "photos" / "first dance.jpg").read_bytes() == NOISE


def test_a_link_in_the_place_of_a_file_is_replaced_itself(place: Place, tmp_path: Path) -> None:
    back_up(place, WEDDING)
    outside = tmp_path / "outside.txt"
    outside.write_text("not ours")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.txt").symlink_to(outside)
    restored(place, tmp_path / "out", existing=Existing.OVERWRITE)
    assert outside.read_text() == "not ours"
    assert not (tmp_path / "out" / "plan.txt").is_symlink()


@pytest.mark.parametrize("existing", list(Existing))
def test_a_link_in_the_place_of_a_folder_stops_the_restore(place: Place, tmp_path: Path, existing: Existing) -> None:
    back_up(place, WEDDING)
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photos").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafeTarget, match="photos"):
        restored(place, tmp_path / "out", existing=existing)
    assert os.listdir(tmp_path / "outside") == []
    assert os.listdir(tmp_path / "out") == ["photos"]


def test_a_folder_swapped_for_a_link_while_we_work_is_not_followed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(place, WEDDING)
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    swapped: list[bool] = []

    def swap(progress: Progress) -> None:
        if progress.step == "restore" and not swapped and (out / "photos" / "best").is_dir():
            os.rename(out / "photos", out / "moved")
            (out / "photos").symlink_to(outside)
            swapped.append(True)

    result = restored(place, out, listener=swap, verify=False)
    assert swapped
    assert os.listdir(outside) == [] and not result.complete


def test_a_folder_in_the_place_of_a_file_is_left_alone_and_told(place: Place, tmp_path: Path) -> None:
    back_up(place, WEDDING)
    (tmp_path / "out" / "plan.txt" / "mine").mkdir(parents=True)
    result = restored(place, tmp_path / "out", existing=Existing.OVERWRITE)
    assert [miss.path for miss in result.misses] == [b"plan.txt"]
    assert (tmp_path / "out" / "plan.txt" / "mine").is_dir()
    assert str(result.proof) == "3 of 3 files equal"


def test_a_file_that_appears_while_we_work_is_not_overwritten_unless_told(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(place, {b"a": b"1", b"b": b"2"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "bystander").write_text("so that the folder is not ours alone")

    def appear(*arguments: Any) -> Made:
        (out / "a").write_text("theirs")
        return make_folders(*arguments)

    monkeypatch.setattr("backups.engine.restore.run.make_folders", appear)
    result = restored(place, out, existing=Existing.KEEP)
    assert (out / "a").read_text() == "theirs" and (out / "b").read_text() == "2"
    assert [str(miss) for miss in result.misses] == ["a: something of that name is there and was not replaced"]


# --- hostile snapshots --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"..", b".", b"../x", b"/etc/x", b"a/b", b"nul\0byte", b""])
@pytest.mark.parametrize("entry", [b"evil", {b"x": b"evil"}, Link(b"/etc")], ids=["file", "folder", "link"])
def test_names_that_would_leave_the_folder_are_refused_and_the_rest_is_restored(
    place: Place, tmp_path: Path, name: bytes, entry: Any
) -> None:
    back_up(place, {name: entry, b"honest": b"good"})
    result = restored(place, tmp_path / "deep" / "out")
    assert [miss.path for miss in result.misses] == [name]
    assert "an honest backup has no such entry" in result.misses[0].reason
    assert content(tmp_path / "deep") == {"out/honest": b"good"}
    assert sorted(os.listdir(tmp_path)) == ["deep", "location"]


@pytest.mark.parametrize(
    "name",
    [
        b"two\nlines", b"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xe2\x80\xaegpj.exe", b"n" * 255, b"no utf-8 \xff\xfe",
        b"quote\"back\\slash", b"-rf", b"...", b" ", b"\x7f\x1b[31m", "naïve 💍.jpg".encode(),
    ],
)  # fmt: skip
def test_strange_but_legal_names_come_back_byte_for_byte(place: Place, tmp_path: Path, name: bytes) -> None:
    back_up(place, {name: b"x", b"d": {name: {name: b"y"}}})
    assert restored(place, tmp_path / "out").complete
    out = os.fsencode(tmp_path / "out")
    assert name in os.listdir(out)
    with open(b"/".join([out, b"d", name, name]), "rb") as file:
        assert file.read() == b"y"


def test_a_link_and_a_folder_of_one_name_cannot_lead_outside(place: Place, tmp_path: Path) -> None:
    class Twice(bytes):
        """A name that equals another one only in its bytes, to get two nodes of one name into a tree."""

        __hash__ = object.__hash__

        def __eq__(self, other: object) -> bool:
            return self is other

    outside = tmp_path / "outside"
    outside.mkdir()
    hostile: Any = {Twice(b"way"): Link(bytes(outside)), Twice(b"way"): {b"x": b"evil"}}
    back_up(place, hostile)
    result = restored(place, tmp_path / "out")
    assert os.listdir(outside) == []
    assert [str(miss) for miss in result.misses] == ["way: a second entry of the same name"]


def test_a_very_deep_snapshot_is_no_problem(place: Place, tmp_path: Path) -> None:
    folder: Folder = {b"bottom": b"reached"}
    for _ in range(150):
        folder = {b"down" * 10: folder}
    back_up(place, folder)
    result = restored(place, tmp_path / "out")
    assert result.complete and result.folders == 150 and str(result.proof) == "1 of 1 files equal"


# --- trouble ------------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_restore_and_tells_what_is_whole(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {b"%03d" % i: os.urandom(3000) for i in range(60)}
    back_up(place, files)
    write, room = write_sparse, [50_000]

    def writing(fd: int, plain: bytes | memoryview, offset: int) -> bool:
        room[0] -= len(plain)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, plain, offset)

    monkeypatch.setattr(restore_worker, "write_sparse", writing)
    with pytest.raises(TargetFull, match="of 60 files are restored and whole") as caught:
        restored(place, tmp_path / "out")
    assert isinstance(caught.value, NoSpace)
    there = content(tmp_path / "out")
    assert 0 < len(there) == caught.value.result.files < 60
    assert all(files[name.encode()] == plain for name, plain in there.items())


def test_a_killed_restore_process_ends_the_restore_with_a_clear_error(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(place, {b"%03d" % i: os.urandom(3000) for i in range(500)})
    started: list[ProcessCrew] = []

    def start() -> ProcessCrew:
        started.append(ProcessCrew())
        return started[0]

    def kill(progress: Progress) -> None:
        if progress.files_done == 1:
            os.kill(started[0].pids[0], signal.SIGKILL)

    monkeypatch.setattr("backups.engine.restore.run.PROCESSES_FROM_FILES", 1)
    monkeypatch.setattr("backups.engine.restore.run.ProcessCrew", start)
    with pytest.raises(CrewBroken, match="ended before its work"):
        restored(place, tmp_path / "out", listener=kill)
    assert all(len(plain) == 3000 for plain in content(tmp_path / "out").values())


def test_cancelling_stops_soon_and_leaves_only_whole_files(place: Place, tmp_path: Path) -> None:
    files = {b"%03d" % i: os.urandom(3000) for i in range(100)}
    back_up(place, files)
    cancel = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.files_done >= 3:
            cancel.cancel()

    with pytest.raises(Cancelled):
        restored(place, tmp_path / "out", listener=stop, cancel=cancel)
    there = content(tmp_path / "out")
    assert len(there) < 100 and all(files[name.encode()] == plain for name, plain in there.items())


def test_the_proof_names_a_file_that_changed_after_it_was_written(place: Place, tmp_path: Path) -> None:
    back_up(place, WEDDING)

    def meddle(progress: Progress) -> None:
        file = tmp_path / "out" / "plan.txt"
        if file.exists():
            file.write_bytes(file.read_bytes()[:-1] + b"!")

    result = restored(place, tmp_path / "out", listener=meddle)
    assert result.proof is not None and not result.complete
    assert str(result.proof) == "3 of 4 files equal"
    assert result.proof.differing[0].path == b"plan.txt"


@pytest.mark.parametrize(
    ("plain", "blocks_at_most"),
    [
        (bytes(1 << 20), 0),
        (bytes(1 << 20) + b"end", 8),
        (b"start" + bytes(1 << 20), 8),
        (b"a" + bytes(20) + b"b", 8),
        (bytes(100), 8),
        (b"", 0),
        (bytes(5000) + b"middle" + bytes(5000), 16),
    ],
)
def test_runs_of_zeros_become_holes(tmp_path: Path, plain: bytes, blocks_at_most: int) -> None:
    for form in (plain, memoryview(plain)):
        with open(tmp_path / "film.raw", "wb") as file:
            write_sparse(file.fileno(), form, 0)
            file.truncate(len(plain))
        assert (tmp_path / "film.raw").read_bytes() == plain
        assert (tmp_path / "film.raw").stat().st_blocks <= blocks_at_most


def test_what_a_killed_restore_left_goes_and_a_running_one_is_not_disturbed(place: Place, tmp_path: Path) -> None:
    back_up(place, WEDDING)
    out = tmp_path / "out"
    (out / ".wedbackup-restore-dead").mkdir(parents=True)
    (out / ".wedbackup-restore-dead" / "7").write_bytes(b"half a file")
    running = Target.create(str(out))
    restored(place, out)
    assert [name for name in os.listdir(out) if name.startswith(".")] == [running.staging.decode()]
    running.close()


def test_a_second_name_of_a_file_that_was_kept_gets_the_content_that_was_backed_up(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.write({"a first name": b"backed up"})
    os.link(studio.source / "a first name", studio.source / "b second name")
    studio.backup()
    out = tmp_path / "out"
    out.mkdir()
    (out / "a first name").write_text("edited since")
    base = os.fsencode(studio.source)
    assert restored(studio.places["a"], out, existing=Existing.KEEP, base=base).complete
    assert (out / "a first name").read_text() == "edited since"
    assert (out / "b second name").read_text() == "backed up"


def test_a_restore_that_goes_on_counts_what_was_there_already(place: Place, tmp_path: Path) -> None:
    """wedbackup 0.1: after a kill, "Files 30 of 328" stood beside "328 of 328 equal"."""
    back_up(place, WEDDING)
    restored(place, tmp_path / "out")
    (tmp_path / "out" / "plan.txt").unlink()
    seen: list[tuple[int, int]] = []

    def listen(progress: Progress) -> None:
        if progress.step == "restore":
            seen.append((progress.files_done, progress.files_total))

    restored(place, tmp_path / "out", existing=Existing.IF_CHANGED, listener=listen)
    assert seen[-1] == (4, 4)
