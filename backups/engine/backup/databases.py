"""Databases in one file, as Lightroom's catalogues are: a copy of all that belongs together, which leaves it alone.

SQLite keeps what was committed last beside the main file, in NAME-wal, or what must be undone, in NAME-journal. Read
one after the other while a program writes, each file may be whole and the set is not: edits are lost, nothing shows it.
So the set is copied raw into a spool until it is proved to be of one moment, and SQLite joins it there. Opening it
where it lies, even to read, would write NAME-shm into the user's folder and take locks from whoever has it open.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator

from backups.engine.backup.sources import open_file, same_file_state
from backups.engine.format import MIB

MAGIC = b"SQLite format 3\0"
WAL, JOURNAL = b"-wal", b"-journal"
SHARED = b"-shm"  # where its readers stand: says nothing about its content
SIDES = (WAL, JOURNAL, SHARED)
SIDE_ENDS = frozenset(side[-4:] for side in SIDES)
COPIES_MAX = 4
_ROOM_LEFT = 1024 * MIB  # of the spool's disk, for everything else
_WAL_HEADER_BYTES = 32  # with the salts that change when the file is begun anew
_PIECE = 8 * MIB


class NotJoined(Exception):
    """No copy of one moment could be made; the text says why, for people."""


def main_name(name: bytes) -> bytes:
    """Return the name of the database that a file of this name would complete, or the name itself."""
    return name.removesuffix(next((side for side in SIDES if name.endswith(side)), b""))


def is_side_file(folder_fd: int, name: bytes) -> bool:
    """Whether a file only completes a database beside it, whose copy holds what is in it."""
    main = main_name(name)
    if main == name:
        return False
    try:
        fd = open_file(folder_fd, main)
    except OSError:
        return False
    try:
        return os.pread(fd, len(MAGIC), 0) == MAGIC
    except OSError:
        return False
    finally:
        os.close(fd)


def has_side_file(folder_fd: int, name: bytes) -> bool:
    """Whether somebody may have the database open, or left it without closing it."""
    return bool(_sides(folder_fd, name))


@contextlib.contextmanager
def joined(fd: int, folder_fd: int, name: bytes, spool: str | None, pause: Callable[[int], None]) -> Iterator[int]:
    """Yield a descriptor of a copy of the database `name`, open as `fd`, with everything that was committed.

    spool: folder for the copy; None: the system's for such things.   pause: called between pieces; may raise Cancelled.

    Raises NotJoined, OSError.
    """
    if spool is not None:
        os.makedirs(spool, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=spool, prefix="set-") as folder:
        needed = 2 * (os.fstat(fd).st_size + sum(status.st_size for status in _sides(folder_fd, name).values()))
        if shutil.disk_usage(folder).free < needed + _ROOM_LEFT:
            raise NotJoined("there is no room for a copy of it on this machine's disk")
        copy = os.path.join(folder, "copy")
        if not any(_copy_set(fd, folder_fd, name, os.fsencode(copy), pause) for _ in range(COPIES_MAX)):
            raise NotJoined(f"it was written during each of {COPIES_MAX} attempts to copy it")
        _join(copy)
        result = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield result
        finally:
            os.close(result)


def _sides(folder_fd: int, name: bytes) -> dict[bytes, os.stat_result]:
    found: dict[bytes, os.stat_result] = {}
    for side in (WAL, JOURNAL):
        with contextlib.suppress(FileNotFoundError):
            found[side] = os.stat(name + side, dir_fd=folder_fd, follow_symlinks=False)
    return found


def _copy_set(fd: int, folder_fd: int, name: bytes, copy: bytes, pause: Callable[[int], None]) -> bool:
    """Copy the main file and then those beside it; return whether the copies are of one moment.

    They are when the main file did not change meanwhile, so nothing was moved into it, and the write-ahead log was not
    begun anew: what is only appended to that is either whole, or ignored by its checksums.
    """
    before, sides = os.fstat(fd), _sides(folder_fd, name)
    _copy_file(fd, copy, pause)
    whole = True
    for side in (WAL, JOURNAL):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(copy + side)
        if side in sides:
            try:
                whole &= _copy_side(folder_fd, name + side, copy + side, pause, may_grow=side == WAL)
            except FileNotFoundError:
                whole = False
    return whole and _sides(folder_fd, name).keys() == sides.keys() and same_file_state(before, os.fstat(fd))


def _copy_side(folder_fd: int, name: bytes, copy: bytes, pause: Callable[[int], None], *, may_grow: bool) -> bool:
    fd = open_file(folder_fd, name)
    try:
        before, head = os.fstat(fd), os.pread(fd, _WAL_HEADER_BYTES, 0)
        _copy_file(fd, copy, pause)
        if may_grow:
            return os.pread(fd, _WAL_HEADER_BYTES, 0) == head and os.fstat(fd).st_size >= before.st_size
        return same_file_state(before, os.fstat(fd))
    finally:
        os.close(fd)


def _copy_file(fd: int, copy: bytes, pause: Callable[[int], None]) -> None:
    position = 0
    with open(copy, "wb") as target:
        while piece := os.pread(fd, _PIECE, position):
            target.write(piece)
            position += len(piece)
            pause(0)


def _join(copy: str) -> None:
    """Have SQLite move into the main file what was committed, or undo what was not."""
    try:
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as exc:
        raise NotJoined(f"SQLite cannot open a copy of it ({exc})") from exc
    if os.path.exists(f"{copy}-journal") or (os.path.exists(f"{copy}-wal") and os.path.getsize(f"{copy}-wal")):
        raise NotJoined("SQLite left changes beside the copy of it")
