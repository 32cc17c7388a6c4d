"""Reads batches of files: the same work in a worker process and, for small runs, in the caller's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

from backups.engine.backup.blobwriter import OPEN_DATA_PACKS, BlobWriter
from backups.engine.backup.board import Board
from backups.engine.backup.chunker import Chunker
from backups.engine.backup.claims import Claims
from backups.engine.backup.fanout import FanOut
from backups.engine.backup.filereader import SMALL_BYTES, FileReader, ReadFile
from backups.engine.backup.heads import Head
from backups.engine.backup.messages import (
    Batch,
    BatchDone,
    BytesRead,
    FolderPart,
    Message,
    Problem,
    ReadPart,
    SourceRoot,
)
from backups.engine.backup.sources import open_folder, open_root, reason_of
from backups.engine.errors import Cancelled
from backups.engine.format import MIB, BlobType
from backups.engine.format.crypto import MasterKey

OPEN_PACKS = OPEN_DATA_PACKS
_TELL_EVERY_BYTES = 8 * MIB


class FileWorker:
    """One thread's reader with its own open packs. Close it after the last batch."""

    def __init__(
        self,
        number: int,
        *,
        master: MasterKey,
        polynomial: int,
        level: int,
        roots: tuple[SourceRoot, ...],
        board: Board,
        claims: Claims,
        fan_out: FanOut,
        report: Callable[[Message], None],
        spool: str | None,
    ) -> None:
        """number: tells this worker's messages from others'.   spool: folder for copies of open databases."""
        self._number = number
        self._roots = roots
        self._board = board
        self._report = report
        self._untold = 0
        self._writer = BlobWriter(master, BlobType.DATA, claims, fan_out, report, level)
        self._reader = FileReader(self._writer, Chunker(polynomial), self._pause, spool)
        self._stack = ExitStack()
        self._root_fds: dict[int, int] = {}

    def run(self, batch: Batch) -> None:
        """Read all files of a batch and report them. Raises Cancelled, Damaged, SourceMissing."""
        parts = [self._read_part(part) for part in batch]
        self._untold = 0
        self._report(BatchDone(self._number, parts))

    def flush(self) -> None:
        """Send the packs that are still open."""
        self._writer.flush()

    def close(self) -> None:
        self._stack.close()

    def _read_part(self, part: FolderPart) -> ReadPart:
        slots = [slot for slot, _ in part.files]
        try:
            folder_fd = open_folder(self._root_fd(part.root), part.parts)
        except FileNotFoundError:
            names = tuple([name for _, name in part.files])
            return ReadPart(part.number, slots, [None] * len(slots), b"", 0, [], vanished=names)
        except OSError as exc:
            problems = [Problem(name, reason_of(exc)) for _, name in part.files]
            return ReadPart(part.number, slots, [None] * len(slots), b"", 0, problems, doubtful=tuple(slots))
        files: list[ReadFile] = []
        try:
            for _, name in part.files:
                if self._board.cancelled:
                    raise Cancelled("cancelled on request")
                files.append(self._reader.read(folder_fd, name))
        finally:
            os.close(folder_fd)
        named = [(name, file) for (_, name), file in zip(part.files, files, strict=True) if file.moved or file.head]
        return ReadPart(
            part.number,
            slots,
            [file.node for file in files],
            b"".join([blob for file in files for blob in file.blobs]),
            sum(file.size for file in files),
            [file.problem for file in files if file.problem],
            tuple([name for name, file in named if file.moved]),
            tuple([name for name, file in named if file.head >= Head.SPOILED]),
            tuple([name for name, file in named if file.head is Head.NOISE]),
            tuple([slot for slot, file in zip(slots, files, strict=True) if file.problem]),
            tuple([name for (_, name), file in zip(part.files, files, strict=True) if file.vanished]),
        )

    def _root_fd(self, root: int) -> int:
        if root not in self._root_fds:
            self._root_fds[root] = self._stack.enter_context(open_root(self._roots[root]))
        return self._root_fds[root]

    def _pause(self, count: int) -> None:
        if self._board.cancelled:
            raise Cancelled("cancelled on request")
        self._untold += count
        if self._untold >= _TELL_EVERY_BYTES:
            self._report(BytesRead(self._number, self._untold))
            self._untold = 0


def is_long(size: int) -> bool:
    """Whether a file of `size` bytes makes a batch of its own."""
    return size > SMALL_BYTES
