"""A folder on a disk, a mounted NAS or a USB drive.

What is special here:
- The folder carries a marker file with an id, made once by `LocalStore.create`. Without it nothing is written or
  read: a mount that vanished leaves an empty directory behind, and backing up into that fills the wrong disk.
- An object appears by tmp file, fsync, rename and fsync of the directory (also of directories made on the way),
  so that neither a crash nor a power cut shows half an object or loses a confirmed one.
- Paths are walked part by part with O_NOFOLLOW below the root: a symbolic link never leads out of it.
- `put` reads back what the kernel holds and compares; `verify` asks the medium, where the kernel lets us.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from providers.stores.base import Buffer, Capabilities, Checksum, ObjectInfo, ObjectStore, Proof, check_name
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    InvalidName,
    LocationFull,
    LocationMissing,
    ObjectCorrupt,
    ObjectNotFound,
    Rejected,
    StoreError,
    StoreUnavailable,
)
from providers.stores.options import InvalidOptions, option
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

MARKER = ".wedbackup-location"
UNFINISHED = ".unfinished"
STALE_SECONDS = 24 * 3600  # no put takes a day: what is older belongs to nobody
CHUNK_BYTES = 1024 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = _DIRECTORY | os.O_NOFOLLOW
_TMP = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a planted FIFO must not block us

_scratch = threading.local()


@dataclass(frozen=True)
class LocalOptions:
    """Where the folder is."""

    root: str = option("Folder", text="Absolute path of a folder on the disk or mount that holds the copies.")
    prefix: str = option("Folder below it", default="", text="Optional part of the folder, such as weddings/2026.")
    location_id: str = option("Location id", default="", text="If given, the folder's marker must carry it.")

    def __post_init__(self) -> None:
        if not os.path.isabs(self.root) or "\0" in self.root:
            raise InvalidOptions("option root: write the whole path of the folder, beginning with /")


class LocalStore(ObjectStore):
    """One folder with a marker file, and everything below a prefix in it."""

    Options = LocalOptions
    capabilities = Capabilities(connections=8, max_object_bytes=8 * 1024**4, checksum=Checksum.READ_BACK)

    def __init__(self, options: LocalOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.options = options
        self._clock = clock
        self._swept = False
        self._parents = tuple(check_name(options.prefix).split("/")) if options.prefix else ()
        self._durable_folders: set[tuple[str, ...]] = set()

    @classmethod
    def create(cls, root: str, *, location_id: str | None = None) -> str:
        """Set the folder `root` up as a location and return its id; an existing location keeps its id.

        Makes the last part of the path if missing, not its parents: on a wrong mount point nothing must be
        built. Raises LocationMissing, AccessDenied, LocationFull, or StoreError if it has another id already.
        """
        with _mapped(root):
            with contextlib.suppress(FileExistsError):
                os.mkdir(root, 0o700)
            store = cls(LocalOptions(root=root))
            try:
                existing = store._read_marker()
            except LocationMissing:
                existing = store._write_marker(location_id or str(uuid.uuid4()))
            _sync_folder(os.path.dirname(os.path.abspath(root)))
        if location_id and existing != location_id:
            raise StoreError(f"the folder {root} belongs to another location already (id {existing})")
        return existing

    def __getstate__(self) -> LocalOptions:
        return self.options

    def __setstate__(self, options: LocalOptions) -> None:
        self.__init__(options)  # type: ignore[misc]

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        del sha256  # what is read back is compared with the content itself
        *folders, leaf = check_name(name).split("/")
        view = memoryview(content).cast("B")
        with _mapped(name), self._root() as root, self._folder(root, (UNFINISHED,), create=True) as unfinished:
            self._sweep_once(unfinished)
            tmp = f"{uuid.uuid4().hex}.tmp"
            fd = os.open(tmp, _TMP, 0o400, dir_fd=unfinished)
            try:
                _write_all(fd, view)
                os.fsync(fd)
                if not _reads_back(fd, view):
                    raise ChecksumMismatch(f"the disk gave back other bytes than were written for {name}")
                modified = os.fstat(fd).st_mtime
                with self._folder(root, (*self._parents, *folders), create=True) as folder:
                    os.rename(tmp, leaf, src_dir_fd=unfinished, dst_dir_fd=folder)
                    os.fsync(folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(tmp, dir_fd=unfinished)
                raise
            finally:
                os.close(fd)
        return ObjectInfo(name, len(view), modified=_moment(modified), proof=Proof.READ_BACK)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with _mapped(name), self._object(name) as (fd, status):
            wanted = max(0, status.st_size - offset)
            wanted = wanted if length is None else min(wanted, length)
            content = os.pread(fd, wanted, offset)
            while len(content) < wanted:  # one read returns at most 2 GiB
                more = os.pread(fd, wanted - len(content), offset + len(content))
                if not more:
                    raise StoreUnavailable(f"{name} ended early: {len(content)} of {wanted} bytes")
                content += more
            return content

    def head(self, name: str) -> ObjectInfo:
        with _mapped(name), self._object(name) as (_, status):
            return ObjectInfo(name, status.st_size, modified=_moment(status.st_mtime))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        parents, _, _ = prefix.rpartition("/")
        start = (*self._parents, *(check_name(parents).split("/") if parents else ()))
        with _mapped(f"listing {prefix}"), contextlib.ExitStack() as stack:
            root = stack.enter_context(self._root())
            try:
                folder = stack.enter_context(self._folder(root, start))
            except FileNotFoundError:
                return
            yield from _walk(folder, f"{parents}/" if parents else "", prefix)

    def delete(self, name: str) -> None:
        *folders, leaf = check_name(name).split("/")
        with contextlib.ExitStack() as stack:
            stack.enter_context(_mapped(name))
            root = stack.enter_context(self._root())
            stack.enter_context(contextlib.suppress(FileNotFoundError))
            folder = stack.enter_context(self._folder(root, (*self._parents, *folders)))
            os.unlink(leaf, dir_fd=folder)
            os.fsync(folder)  # a prune relies on the order of its deletions, also over a power cut

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        with _mapped(name), self._object(name) as (fd, status):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            digest, buffer, position = hashlib.sha256(), _buffer(), 0
            while count := os.preadv(fd, [buffer], position):
                digest.update(memoryview(buffer)[:count])
                position += count
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # a sweep over all copies must not fill the cache
        if digest.hexdigest() != sha256:
            raise ObjectCorrupt(f"{name} in {self.options.root} does not have the expected content")
        return ObjectInfo(name, position, modified=_moment(status.st_mtime), proof=Proof.READ_BACK)

    def remove_unfinished(self, *, before: datetime) -> int:
        with (
            _mapped(UNFINISHED),
            self._root() as root,
            self._folder(root, (UNFINISHED,), create=True) as unfinished,
        ):
            return _remove_older(unfinished, before)

    def _sweep_once(self, unfinished: int) -> None:
        """Remove what a killed process left behind, at this store's first write."""
        if not self._swept:
            self._swept = True
            _remove_older(unfinished, self._clock.utcnow() - timedelta(seconds=STALE_SECONDS))

    def _read_marker(self) -> str:
        path = os.path.join(self.options.root, MARKER)
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                return file.read(256).strip()
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise _gone(
                f"the folder {self.options.root} is gone or is not this location any more (no {MARKER} in it); "
                "is the disk or share mounted?"
            ) from exc

    def _write_marker(self, location_id: str) -> str:
        """Write the marker; of several at once the first one wins and all return its id."""
        with self._folder_at(self.options.root) as root:
            tmp = f"{MARKER}.{uuid.uuid4().hex}"
            fd = os.open(tmp, _TMP, 0o400, dir_fd=root)
            try:
                _write_all(fd, memoryview(f"{location_id}\n".encode("ascii")))
                os.fsync(fd)
                with contextlib.suppress(FileExistsError):
                    os.link(tmp, MARKER, src_dir_fd=root, dst_dir_fd=root)
            finally:
                os.close(fd)
                os.unlink(tmp, dir_fd=root)
                os.fsync(root)
        return self._read_marker()

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        """Open the root after making sure that it is this location's; raises LocationMissing."""
        found = self._read_marker()
        if self.options.location_id and found != self.options.location_id:
            raise _gone(f"the folder {self.options.root} holds another location (id {found})")
        with self._folder_at(self.options.root) as root:
            yield root

    @staticmethod
    @contextlib.contextmanager
    def _folder_at(path: str) -> Iterator[int]:
        fd = os.open(path, _DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _folder(self, root: int, parts: tuple[str, ...], *, create: bool = False) -> Iterator[int]:
        """Walk down from `root` without following links and yield the last folder's descriptor."""
        fd = os.dup(root)
        try:
            for depth, part in enumerate(parts, start=1):
                below = self._step(fd, parts[:depth], part) if create else os.open(part, _BELOW, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def _step(self, parent: int, path: tuple[str, ...], part: str) -> int:
        """Open the folder `part`, making it if needed, and see to it once that a power cut cannot lose it."""
        try:
            below = os.open(part, _BELOW, dir_fd=parent)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):  # another thread was first
                os.mkdir(part, 0o700, dir_fd=parent)
            self._durable_folders.discard(path)
            below = os.open(part, _BELOW, dir_fd=parent)
        if path not in self._durable_folders:
            os.fsync(parent)
            self._durable_folders.add(path)
        return below

    @contextlib.contextmanager
    def _object(self, name: str) -> Iterator[tuple[int, os.stat_result]]:
        *folders, leaf = check_name(name).split("/")
        with contextlib.ExitStack() as stack:
            root = stack.enter_context(self._root())
            try:
                folder = stack.enter_context(self._folder(root, (*self._parents, *folders)))
                fd = os.open(leaf, _READ, dir_fd=folder)
            except FileNotFoundError as exc:
                raise ObjectNotFound(f"there is no object {name} in {self.options.root}") from exc
            stack.callback(os.close, fd)
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise ObjectNotFound(f"{name} in {self.options.root} is not a file")
            yield fd, status


def _write_all(fd: int, view: memoryview) -> None:
    written = 0
    while written < len(view):
        written += os.write(fd, view[written:])


def _buffer() -> bytearray:
    """Return this thread's reusable buffer of CHUNK_BYTES."""
    if not hasattr(_scratch, "buffer"):
        _scratch.buffer = bytearray(CHUNK_BYTES)
    buffer: bytearray = _scratch.buffer
    return buffer


def _reads_back(fd: int, view: memoryview) -> bool:
    """Say whether the file `fd` holds exactly `view`.

    The bytearray stands on the left: its comparison is one memcmp, a memoryview's goes item by item.
    """
    if os.fstat(fd).st_size != len(view):
        return False
    for position in range(0, len(view), CHUNK_BYTES):
        expected = view[position : position + CHUNK_BYTES]
        chunk = _buffer() if len(expected) == CHUNK_BYTES else bytearray(len(expected))
        if os.preadv(fd, [chunk], position) != len(expected) or chunk != expected:
            return False
    return True


def _walk(folder: int, path: str, prefix: str) -> Iterator[ObjectInfo]:
    """Yield the objects below the open `folder` whose names start with `prefix`; what vanishes is left out."""
    with os.scandir(folder) as scan:
        entries = list(scan)
    for entry in entries:
        name = path + entry.name
        try:
            check_name(name)
            if entry.is_dir(follow_symlinks=False):
                if not (f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/")):
                    continue
                below = os.open(entry.name, _BELOW, dir_fd=folder)
                try:
                    yield from _walk(below, f"{name}/", prefix)
                finally:
                    os.close(below)
            elif name.startswith(prefix) and entry.is_file(follow_symlinks=False):
                status = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
                yield ObjectInfo(name, status.st_size, modified=_moment(status.st_mtime))
        except (InvalidName, FileNotFoundError):
            continue


def _remove_older(folder: int, before: datetime) -> int:
    """Remove the files in the open `folder` last written before `before` and return their number."""
    removed = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # its owner has just finished, or another sweep was faster
                if entry.stat(follow_symlinks=False).st_mtime < before.timestamp():
                    os.unlink(entry.name, dir_fd=folder)
                    removed += 1
    return removed


def _sync_folder(path: str) -> None:
    with LocalStore._folder_at(path) as fd:
        os.fsync(fd)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@contextlib.contextmanager
def _mapped(what: str) -> Iterator[None]:
    """Turn an OSError into the store error that says what to do."""
    try:
        yield
    except OSError as exc:
        raise _map_error(exc, what) from exc


def _gone(what: str) -> LocationMissing:
    """Making the folder anew, which other kinds of places may ask for, would hide that a disk is not connected."""
    error = LocationMissing(what)
    error.advice = (
        "Connect the disk or share again. If it is gone for good, switch this location off; copies are made elsewhere."
    )
    return error


def _map_error(exc: OSError, what: str) -> StoreError:
    reason = f"{what}: {exc.strerror or exc}"
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return LocationFull(f"the disk or its quota is full while writing {reason}")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            error: StoreError = AccessDenied(f"the folder refuses {reason}")
            error.advice = "Check the owner and rights of the folder, and that the disk is mounted writable."
            return error
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return _gone(f"the folder went away during {reason}")
        case errno.EXDEV:
            return Rejected(f"another disk is mounted inside the folder, at {reason}")
        case errno.ENAMETOOLONG:
            return Rejected(f"the disk takes no names as long as {reason}")
        case errno.ELOOP | errno.ENOTDIR | errno.EISDIR:
            return Rejected(f"something else than a folder or file lies in the way of {reason}")
        case _:
            return StoreUnavailable(f"the disk failed at {reason}")
