"""The folder store: what a disk, a mount and a crash can do to it."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from providers.stores import local
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    InvalidName,
    LocationFull,
    LocationMissing,
    ObjectCorrupt,
    ObjectNotFound,
    StoreError,
    StoreUnavailable,
)
from providers.stores.local import MARKER, UNFINISHED, LocalOptions, LocalStore
from providers.stores.options import InvalidOptions
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "location"
    LocalStore.create(str(folder))
    return folder


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(LocalOptions(str(root)))


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, root: Path) -> LocalStore:
        return LocalStore(LocalOptions(str(root)))


class TestLocalStoreBelowAPrefix(StoreContract):
    @pytest.fixture
    def store(self, root: Path) -> LocalStore:
        LocalStore(LocalOptions(str(root))).put("elsewhere/object", b"of somebody else")
        return LocalStore(LocalOptions(str(root), prefix="weddings/2026"))


def unfinished(root: Path) -> list[str]:
    return os.listdir(root / UNFINISHED)


# --- the folder as a location


def test_a_location_keeps_its_id_when_it_is_set_up_again(root: Path) -> None:
    first = LocalStore.create(str(root))
    assert LocalStore.create(str(root)) == first
    with pytest.raises(StoreError, match="belongs to another location"):
        LocalStore.create(str(root), location_id="another")


def test_a_folder_whose_parent_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LocationMissing):
        LocalStore.create(str(tmp_path / "mount" / "gone"))
    assert not (tmp_path / "mount").exists()


@pytest.mark.parametrize("lost", ["the folder", "the marker"])
def test_a_vanished_mount_is_never_filled(root: Path, store: LocalStore, lost: str) -> None:
    store.put("a/b", b"1")
    root.rename(root.with_name("away"))
    if lost == "the marker":  # an unmounted share leaves its empty mount point behind
        root.mkdir()
    calls: list[Callable[[], object]] = [
        lambda: store.put("a/b", b"2"),
        lambda: store.get("a/b"),
        lambda: store.head("a/b"),
        lambda: store.delete("a/b"),
        lambda: [*store.list()],
        lambda: store.verify("a/b", sha256="0" * 64),
    ]
    for call in calls:
        with pytest.raises(LocationMissing, match="mounted") as caught:
            call()
        assert caught.value.advice.startswith("Connect the disk"), "making the folder anew would hide the cause"
    assert not root.exists() or os.listdir(root) == []


def test_another_locations_folder_under_the_same_path_is_refused(root: Path) -> None:
    store = LocalStore(LocalOptions(str(root), location_id="the-disk-in-the-safe"))
    with pytest.raises(LocationMissing, match="holds another location"):
        store.put("a", b"1")


# --- what may be read and written


def test_files_and_folders_belong_to_us_alone(root: Path, store: LocalStore) -> None:
    store.put("folder/object", b"1")
    assert (root / "folder").stat().st_mode & 0o777 == 0o700
    assert (root / "folder" / "object").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("what", ["folder", "object"])
def test_a_symbolic_link_never_leads_out_of_the_root(root: Path, store: LocalStore, tmp_path: Path, what: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "object").write_bytes(b"secret")
    if what == "folder":
        (root / "link").symlink_to(outside)
    else:
        (root / "link").mkdir()
        (root / "link" / "object").symlink_to(outside / "object")
    with pytest.raises(StoreError, match="lies in the way"):
        store.get("link/object")
    assert [*store.list()] == []
    if what == "folder":
        with pytest.raises(StoreError, match="lies in the way"):
            store.put("link/object", b"replaced")
    else:
        store.put("link/object", b"replaced")
    assert (outside / "object").read_bytes() == b"secret"


def test_what_the_system_put_there_is_not_listed(root: Path, store: LocalStore) -> None:
    store.put("ours", b"1")
    (root / "lost+found").mkdir()
    (root / ".DS_Store").write_bytes(b"x")
    (root / "Holiday Pictures.zip").write_bytes(b"x")
    os.mkfifo(root / "fifo")
    assert sorted(info.name for info in store.list()) == ["Holiday Pictures.zip", "ours"]
    with pytest.raises(ObjectNotFound):
        store.get("fifo")


def test_a_prefix_cannot_climb_out(root: Path) -> None:
    with pytest.raises(InvalidName):
        LocalStore(LocalOptions(str(root), prefix="../elsewhere"))
    with pytest.raises(InvalidName):
        [*LocalStore(LocalOptions(str(root))).list("../")]


@pytest.mark.parametrize("bad", ["", "relative/path", "/with\0nul"])
def test_a_folder_is_named_by_its_whole_path(bad: str) -> None:
    with pytest.raises(InvalidOptions, match="whole path"):
        LocalOptions(bad)


def test_a_marker_of_rubbish_belongs_to_no_location(root: Path) -> None:
    (root / MARKER).chmod(0o600)
    (root / MARKER).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LocationMissing, match="another location"):
        LocalStore(LocalOptions(str(root), location_id="ours")).put("a", b"1")


# --- what a disk does


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, LocationFull),
        (errno.EDQUOT, LocationFull),
        (errno.EROFS, AccessDenied),
        (errno.EACCES, AccessDenied),
        (errno.EPERM, AccessDenied),
        (errno.EIO, StoreUnavailable),
    ],
)
@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_disk_error_keeps_the_old_object_and_leaves_nothing(
    root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[StoreError], step: str
) -> None:
    store.put("a", b"old")
    hits = []

    def fail(*args: object, **kwargs: object) -> None:
        hits.append(args)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch, pytest.raises(expected) as caught:
        patch.setattr(os, step, fail)
        store.put("a", b"new")
    assert hits
    assert isinstance(caught.value.__cause__, OSError)
    assert store.get("a") == b"old"
    assert unfinished(root) == []


def test_a_file_size_limit_is_a_full_location(root: Path) -> None:
    """The kernel itself refuses, in a process of its own."""
    script = (
        "import resource, signal, sys\n"
        "from providers.stores.errors import LocationFull\n"
        "from providers.stores.local import LocalOptions, LocalStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: LocalStore(LocalOptions(sys.argv[1])).put('a', b'x' * 200_000)\n"
        "except LocationFull as exc: print('full', exc)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("full"), ran.stderr
    assert unfinished(root) == []


def test_a_full_disk_is_said_to_be_full(tiny_disk: Path) -> None:
    LocalStore.create(str(tiny_disk))
    store = LocalStore(LocalOptions(str(tiny_disk)))
    store.put("small", b"x" * 1000)
    with pytest.raises(LocationFull):
        store.put("large", b"x" * 3_000_000)
    assert [info.name for info in store.list()] == ["small"]
    assert unfinished(tiny_disk) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB: a mount of its own if we may, else the limit shows at the first write."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode == 0:
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    original = os.write

    def write(fd: int, content: bytes) -> int:
        if len(content) > 1024 * 1024:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(fd, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        yield folder


def test_a_folder_of_somebody_else_is_access_denied(root: Path, store: LocalStore) -> None:
    """As root every door is open, so somebody else tries, in a process of its own."""
    store.put("a", b"1")
    root.chmod(0o555)
    for folder in (root.parent, *list(root.parents)[:3]):
        folder.chmod(0o755)
    (root / MARKER).chmod(0o444)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_try_as_somebody_else, args=(store, answers))
    process.start()
    assert [answers.get(timeout=30) for _ in range(2)] == ["AccessDenied", "AccessDenied"]
    process.join()
    root.chmod(0o700)
    assert store.get("a") == b"1"


def _try_as_somebody_else(store: LocalStore, answers: multiprocessing.Queue[str]) -> None:
    store.head("a")  # Python loads what it needs for this while it may still read its own library
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    for call in (lambda: store.put("a", b"2"), lambda: store.delete("a")):
        try:
            call()
            answers.put("allowed")
        except StoreError as exc:
            answers.put(type(exc).__name__)


def test_a_disk_that_gives_back_other_bytes_is_caught_before_the_object_appears(
    root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, hits = os.write, []

    def write(fd: int, content: memoryview) -> int:
        if len(content) > 1000:
            hits.append(fd)
            return original(fd, bytes(content[:-1]) + b"?")
        return original(fd, content)

    monkeypatch.setattr(os, "write", write)
    for size in (5000, local.CHUNK_BYTES, 2 * local.CHUNK_BYTES + 1):
        with pytest.raises(ChecksumMismatch):
            store.put("a", b"x" * size)
    assert len(hits) == 3
    assert [*store.list()] == []
    assert unfinished(root) == []


def test_rot_is_found_by_verify(root: Path, store: LocalStore) -> None:
    content = os.urandom(3_000_000)
    store.put("a", content)
    path = root / "a"
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(2_000_000)
        file.write(bytes([content[2_000_000] ^ 1]))
    with pytest.raises(ObjectCorrupt):
        store.verify("a", sha256=hashlib.sha256(content).hexdigest())


def test_a_write_that_the_kernel_takes_in_pieces_is_whole(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: original(fd, content[:7]))
    store.put("a", b"0123456789" * 10)
    assert store.get("a") == b"0123456789" * 10


# --- what a crash leaves behind


def _put_and_die_before_the_rename(store: LocalStore) -> None:
    os.rename = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
    store.put("a", b"new")


def test_killed_between_writing_and_renaming_nothing_is_seen(root: Path, store: LocalStore) -> None:
    store.put("a", b"old")
    process = multiprocessing.get_context("spawn").Process(target=_put_and_die_before_the_rename, args=(store,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert len(unfinished(root)) == 1
    assert [info.name for info in store.list()] == ["a"]
    assert store.get("a") == b"old"


def test_stale_leftovers_go_at_the_next_start_and_fresh_ones_stay(root: Path, store: LocalStore) -> None:
    store.put("a", b"1")
    (root / UNFINISHED / "of-a-killed-process.tmp").write_bytes(b"half")
    LocalStore(LocalOptions(str(root))).put("b", b"2")
    assert len(unfinished(root)) == 1
    two_days_later = ManualClock(SYSTEM_CLOCK.utcnow() + timedelta(days=2))
    LocalStore(LocalOptions(str(root)), clock=two_days_later).put("b", b"3")
    assert unfinished(root) == []


def test_leftovers_can_be_removed_by_age(root: Path, store: LocalStore) -> None:
    store.put("a", b"1")
    (root / UNFINISHED / "one.tmp").write_bytes(b"half")
    now = SYSTEM_CLOCK.utcnow()
    assert store.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert store.remove_unfinished(before=now + timedelta(hours=1)) == 1
    assert store.get("a") == b"1"


def test_new_folders_are_synced_into_their_parents(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    original, synced = os.fsync, []

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        original(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    store.put("one/two/object", b"1")
    root = store.options.root
    assert [path.removeprefix(root) for path in synced if UNFINISHED not in path] == ["", "", "/one", "/one/two"]
    assert UNFINISHED in synced[1]  # the file itself, before it gets its name
