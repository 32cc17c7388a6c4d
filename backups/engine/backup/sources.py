"""Opening files and folders below a source without ever following a symbolic link out of it.

Every step down is an `openat` with O_NOFOLLOW, so nobody who may write into the source can make us read elsewhere by
swapping a folder for a link, and paths longer than PATH_MAX work.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from backups.engine.backup.messages import SourceRoot
from backups.engine.errors import SourceMissing, SourceUnreadable
from backups.engine.format.gonames import shown_path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO swapped in must not block us
_UNSEEN = os.O_NOATIME  # reading for a backup is no use of the file


def find_root(path: str) -> SourceRoot:
    """Return the identity of a source folder; raises SourceMissing or SourceUnreadable."""
    raw = os.path.normpath(os.fsencode(path))
    if not os.path.isabs(raw):
        raise SourceMissing(f"{path} is not an absolute path")
    raw = b"/" + raw.lstrip(b"/")  # POSIX keeps a double slash at the beginning
    with open_root(SourceRoot(raw, 0, 0), check=False) as fd:
        status = os.fstat(fd)
    return SourceRoot(raw, status.st_dev, status.st_ino)


@contextlib.contextmanager
def open_root(root: SourceRoot, *, check: bool = True) -> Iterator[int]:
    """Open a source folder and yield its descriptor.

    check: make sure that it is the same folder on the same device as when the run began.

    Raises SourceMissing, also when a mount has gone from it, or SourceUnreadable.
    """
    name = shown_path(root.path)
    try:
        fd = os.open(root.path, _FOLDER)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise SourceMissing(f"the folder {name} is not there") from exc
    except OSError as exc:
        raise SourceUnreadable(f"the folder {name} cannot be read: {exc.strerror}") from exc
    try:
        status = os.fstat(fd)
        if check and (status.st_dev, status.st_ino) != (root.device, root.inode):
            raise SourceMissing(f"the folder {name} was replaced while it was read; did its drive or share go away?")
        yield fd
    finally:
        os.close(fd)


def check_root(root: SourceRoot) -> None:
    """Raise SourceMissing unless the source folder is still the one that the run began with."""
    with open_root(root):
        pass


def open_folder(root_fd: int, parts: Sequence[bytes]) -> int:
    """Return a new descriptor of the folder `parts` below `root_fd`; raises OSError."""
    fd = os.dup(root_fd)
    for part in parts:
        try:
            below = _open_unseen(part, _FOLDER | os.O_NOFOLLOW, fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def open_file(folder_fd: int, name: bytes) -> int:
    """Return a descriptor of a regular file; raises OSError."""
    return _open_unseen(name, _FILE, folder_fd)


def _open_unseen(name: bytes, flags: int, folder_fd: int) -> int:
    try:
        return os.open(name, flags | _UNSEEN, dir_fd=folder_fd)
    except PermissionError:  # only the owner may leave the access time alone
        return os.open(name, flags, dir_fd=folder_fd)


class Attributes(NamedTuple):
    """Extended attributes, (name, value). missed: which could not be read or stored and why, for people."""

    pairs: list[tuple[str, bytes]]
    missed: str = ""


_NO_ATTRIBUTES = Attributes([])
_HAS_NONE = frozenset((errno.ENOTSUP, errno.ENOSYS))  # this file system has none
_GONE = frozenset((errno.ENODATA, errno.ENOENT))


def read_xattrs(target: int | bytes | str) -> Attributes:
    """Return the extended attributes of an open file, or of a path without following it."""
    follow = isinstance(target, int)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
    except OSError as exc:
        if exc.errno in _HAS_NONE or exc.errno in _GONE:
            return _NO_ATTRIBUTES
        return Attributes([], f"its attributes could not be listed ({reason_of(exc)})")
    if not names:
        return _NO_ATTRIBUTES
    pairs: list[tuple[str, bytes]] = []
    missed: list[str] = []
    for name in names:
        shown = shown_path(os.fsencode(name))
        if shown != name:
            missed.append(f"its attribute {shown} has a name that cannot be stored")
            continue
        try:
            pairs.append((name, os.getxattr(target, name, follow_symlinks=follow)))
        except OSError as exc:
            if exc.errno not in _GONE:
                missed.append(f"its attribute {shown} could not be read ({reason_of(exc)})")
    return Attributes(pairs, "; ".join(missed))


def reason_of(exc: Exception) -> str:
    """Return why one entry could not be handled, for people."""
    if isinstance(exc, OSError):
        return exc.strerror or str(exc)
    return f"unexpected {type(exc).__name__}: {exc}"[:200]


def same_file_state(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether nobody wrote between the two looks at an open file."""
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)
