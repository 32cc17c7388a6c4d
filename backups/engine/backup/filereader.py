"""Reads one file into blobs and tells whether what was read ever existed as a whole.

A file is looked at before and after: if size, mtime or ctime moved meanwhile the bytes may be torn, half old and half
new. Then it is read again; if it never holds still, the last whole reading is stored and marked as unstable, so that
nothing shows green for it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from typing import NamedTuple

from backups.engine.backup.blobwriter import BlobWriter
from backups.engine.backup.chunker import Chunker
from backups.engine.backup.databases import MAGIC, SIDE_ENDS, NotJoined, has_side_file, is_side_file, joined
from backups.engine.backup.heads import HEAD_BYTES, Head, judge_head
from backups.engine.backup.messages import Problem, Trouble
from backups.engine.backup.sources import is_regular, open_file, read_xattrs, reason_of, same_file_state
from backups.engine.errors import EngineError
from backups.engine.format import BLOB_MAX_BYTES, BLOB_MIN_BYTES, MIB, is_writable_time
from backups.engine.format.compression import PACKED_SUFFIXES
from backups.engine.format.tree import encode_node

READINGS_MAX = 2  # each reading of a growing file is stored, as its bytes are new
SMALL_BYTES = BLOB_MIN_BYTES  # up to here a file is one blob and takes one read
WINDOW_BYTES = 24 * MIB  # of a long file at a time; the chunker looks BLOB_MAX_BYTES ahead
_READ_BYTES = 4 * MIB
DATE_MOVED = "its date is outside of the years 1 to 9999 and was stored as the nearest one inside"


class ReadFile(NamedTuple):
    """One file as it was read.

    node: its JSON node, None when it could not be, b"" when what is in it is stored with the database beside it.
    size: of what was read [bytes].
    head: what its first bytes say.   moved: all of its content was stored before, and is more than zeros.
    vanished: it was gone when it should be opened, as temporary files are.
    """

    node: bytes | None
    blobs: list[bytes]
    size: int
    problem: Problem | None = None
    head: Head = Head.PLAIN
    moved: bool = False
    vanished: bool = False


class _Reading(NamedTuple):
    before: os.stat_result
    blobs: list[bytes]
    size: int
    stable: bool


class FileReader:
    """Belongs to one thread; the window is its own and is used for every file."""

    def __init__(
        self, writer: BlobWriter, chunker: Chunker, pause: Callable[[int], None], spool: str | None = None
    ) -> None:
        """
        pause: called between the pieces of a long file with the bytes read since; may raise Cancelled.
        spool: folder for copies of databases that are open; None: the system's.
        """
        self._spool = spool
        self._writer = writer
        self._chunker = chunker
        self._pause = pause
        self._window: memoryview | None = None
        self._head = b""

    def read(self, folder_fd: int, name: bytes) -> ReadFile:
        """Read the file `name` in the open folder. Its own troubles are in the result.

        Raises what ends the whole run: Cancelled, Damaged, NotPacked.
        """
        try:
            fd = open_file(folder_fd, name)
        except FileNotFoundError:
            return ReadFile(None, [], 0, vanished=True)
        except Exception as exc:
            return _unreadable(name, reason_of(exc))
        try:
            if name[-4:] in SIDE_ENDS and is_side_file(folder_fd, name):
                return ReadFile(b"", [], 0)
            return self._read_open(fd, folder_fd, name)
        except EngineError:
            raise
        except Exception as exc:
            return _unreadable(name, reason_of(exc))
        finally:
            os.close(fd)

    def _read_open(self, fd: int, folder_fd: int, name: bytes) -> ReadFile:
        compressible = os.path.splitext(name)[1].lower() not in PACKED_SUFFIXES
        added = self._writer.added
        reading = self._read_once(fd, compressible)
        if reading is None:
            return _unreadable(name, "it became something else than a file")
        if self._head.startswith(MAGIC) and has_side_file(folder_fd, name):
            return self._read_database(fd, folder_fd, name, reading)
        tries = 1
        while not reading.stable and tries < READINGS_MAX:
            tries += 1
            os.lseek(fd, 0, os.SEEK_SET)
            reading = self._read_once(fd, compressible) or reading
        xattrs, missed = read_xattrs(fd)
        node = encode_node(name, reading.before, content=reading.blobs, size=reading.size, xattrs=xattrs)
        problem = None
        if not reading.stable:
            problem = Problem(name, f"it changed during each of {tries} readings", Trouble.UNSTABLE)
        elif missed or not is_writable_time(reading.before.st_mtime_ns):
            problem = Problem(name, missed or DATE_MOVED, Trouble.PARTLY)
        head = judge_head(name, self._head)
        moved = self._writer.added == added and head is not Head.BLANK
        return ReadFile(node, reading.blobs, reading.size, problem, head, moved)

    def _read_database(self, fd: int, folder_fd: int, name: bytes, reading: _Reading) -> ReadFile:
        """Store a database with what lies beside it as one file; `reading` is the main file alone."""
        problem = None
        try:
            with joined(fd, folder_fd, name, self._spool, self._pause) as copy:
                blobs, size = self._read_content(copy, os.fstat(copy).st_size, True)
                reading = _Reading(reading.before, blobs, size, True)
        except NotJoined as exc:
            problem = Problem(name, f"a program had it open while it was read, and {exc}", Trouble.UNSTABLE)
        xattrs, missed = read_xattrs(fd)
        node = encode_node(name, reading.before, content=reading.blobs, size=reading.size, xattrs=xattrs)
        if missed and problem is None:
            problem = Problem(name, missed, Trouble.PARTLY)
        return ReadFile(node, reading.blobs, reading.size, problem)

    def _read_once(self, fd: int, compressible: bool) -> _Reading | None:
        before = os.fstat(fd)
        if not is_regular(before):
            return None
        blobs, size = self._read_content(fd, before.st_size, compressible)
        after = os.fstat(fd)
        return _Reading(before, blobs, size, size == after.st_size and same_file_state(before, after))

    def _read_content(self, fd: int, expected: int, compressible: bool) -> tuple[list[bytes], int]:
        if expected > SMALL_BYTES:
            return self._read_long(fd, expected, compressible)
        content = os.read(fd, expected + 1)
        self._head = content[:HEAD_BYTES]
        if len(content) != expected:  # it grew or shrank, or the file system gives less than asked
            os.lseek(fd, 0, os.SEEK_SET)
            return self._read_long(fd, SMALL_BYTES, compressible)
        return ([self._writer.store(content, compressible=compressible)], expected) if content else ([], 0)

    def _read_long(self, fd: int, limit: int, compressible: bool) -> tuple[list[bytes], int]:
        """limit: where to stop [bytes], because a file may grow faster than we read."""
        if self._window is None:
            self._window = memoryview(mmap.mmap(-1, WINDOW_BYTES))
        window, filled, ended = self._window, 0, False
        blobs: list[bytes] = []
        size = 0
        while not ended or filled:
            while filled < WINDOW_BYTES and not ended:
                wanted = min(_READ_BYTES, limit - size - filled, WINDOW_BYTES - filled)
                count = os.readv(fd, [window[filled : filled + wanted]]) if wanted else 0
                ended = count == 0
                filled += count
            if not size:
                self._head = bytes(window[: min(filled, HEAD_BYTES)])
            used = 0
            for piece in self._chunker.cut(window[:filled]):
                if not ended and filled - used <= BLOB_MAX_BYTES:
                    break  # with more bytes behind it the cut might lie elsewhere
                blobs.append(self._writer.store(piece, compressible=compressible))
                used += len(piece)
                self._pause(len(piece))
            window[: filled - used] = window[used:filled]
            filled -= used
            size += used
        return blobs, size


def _unreadable(name: bytes, reason: str) -> ReadFile:
    return ReadFile(None, [], 0, Problem(name, reason))
