"""The work of a restore that is done many times at once: fill files from a range of a pack, and read files back.

Runs in threads of the caller or, for large restores, in processes of its own that run `main`,
because Python's threads hinder each other at every tiny open, write and close. Imports little, so that such a process
is ready soon.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import queue
import signal
import stat
import sys
import threading
from collections import Counter
from typing import Any, BinaryIO, NamedTuple

from backups.engine.format import MIB
from backups.engine.restore.errnos import explain, is_full
from backups.engine.restore.ranges import PackRange
from backups.engine.restore.target import Attributes, Target, write_sparse
from backups.engine.restore.vault_reader import Plain, VaultReader
from backups.engine.upkeep.copies import CopyProblem
from wedbackup.core import logs

_READ_BYTES = MIB
_scratch = threading.local()


class FileEnd(NamedTuple):
    """How a file is finished. replace: whether what has its name may be replaced. size: [bytes]."""

    folder: int
    name: bytes
    size: int
    attributes: Attributes
    replace: bool


class FillTask(NamedTuple):
    """Read one range and write its blobs.

    targets: for each blob the (file number, offset) pairs.
    ends:    the files that are whole after this task; the others get pieces from other tasks too.
    """

    number: int
    part: PackRange
    targets: list[list[tuple[int, int]]]
    ends: dict[int, FileEnd]


class ProofTask(NamedTuple):
    """Read files back. files: (file number, folder, name, [(blob id, plain bytes)]) each."""

    number: int
    files: list[tuple[int, int, bytes, list[tuple[bytes, int]]]]


Task = FillTask | ProofTask


class Outcome(NamedTuple):
    """What became of one task.

    bytes_done: plain bytes written or read back.   finished: files now in place, or found equal.
    failed:     file number -> why it cannot be made, or how it differs.
    unread:     (file number, offset, blob id) of pieces that no copy gave.
    refused:    file number -> attributes that could not be set.
    full:       the target has no room left: stop.
    """

    number: int
    bytes_done: int
    finished: list[int]
    failed: dict[int, str]
    unread: list[tuple[int, int, bytes]]
    refused: dict[int, list[str]]
    problems: list[CopyProblem]
    full: bool


class Worker:
    """Does tasks; one per process, used by several threads."""

    def __init__(self, reader: VaultReader, target: Target) -> None:
        self._reader = reader
        self._target = target

    def do(self, task: Task) -> Outcome:
        """Do one task; what goes wrong with single files is in the outcome."""
        if isinstance(task, ProofTask):
            return prove(self._target, task)
        return _Filling(self._target, task).run(self._reader)

    def end_thread(self) -> None:
        """Release what the calling thread holds open."""
        self._target.release_thread()


class _Filling:
    """One FillTask under way. At most one file is open: blobs of one file lie side by side mostly."""

    def __init__(self, target: Target, task: FillTask) -> None:
        self._target = target
        self._task = task
        self._outcome = Outcome(task.number, 0, [], {}, [], {}, [], False)
        self._pieces_left = Counter(number for places in task.targets for number, _ in places)
        self._open = (-1, -1)  # file number, descriptor
        self._with_holes: set[int] = set()
        self._bytes = 0

    def run(self, reader: VaultReader) -> Outcome:
        targets = dict(zip((blob.blob_id for blob in self._task.part.blobs), self._task.targets, strict=True))
        full = False
        try:
            for blob, plain in reader.read_pack(self._task.part):
                for number, offset in targets[blob.blob_id]:
                    self._piece(number, offset, blob.blob_id, plain)
        except _Full:
            full = True
        finally:
            self._close()
        return self._outcome._replace(bytes_done=self._bytes, problems=reader.problems, full=full)

    def _piece(self, number: int, offset: int, blob_id: bytes, plain: Plain | None) -> None:
        if plain is None:
            self._outcome.unread.append((number, offset, blob_id))
            return
        self._pieces_left[number] -= 1
        if number in self._outcome.failed:
            return
        try:
            fd = self._descriptor(number)
            if write_sparse(fd, plain, offset):
                self._with_holes.add(number)
            self._bytes += len(plain)
            if self._pieces_left[number] == 0 and number in self._task.ends:
                self._end(number, fd, self._task.ends[number])
        except OSError as exc:
            if is_full(exc):
                raise _Full from exc
            self._outcome.failed[number] = explain(exc)

    def _end(self, number: int, fd: int, end: FileEnd) -> None:
        refused = end_file(self._target, number, fd, end, cut=number in self._with_holes)
        self._outcome.finished.append(number)
        if refused:
            self._outcome.refused[number] = refused

    def _descriptor(self, number: int) -> int:
        if self._open[0] != number:
            self._close()
            self._open = (number, self._target.open_staged(number))
        return self._open[1]

    def _close(self) -> None:
        _, fd = self._open
        self._open = (-1, -1)
        if fd >= 0:
            os.close(fd)


class _Full(Exception):
    """The target has no room left."""


def end_file(target: Target, number: int, fd: int, end: FileEnd, *, cut: bool) -> list[str]:
    """Give a filled file its length, attributes and place; return the attributes refused. Raises OSError.

    cut: set the length, because a hole may lie at the end.
    """
    if cut:
        os.ftruncate(fd, end.size)
    refused = target.apply(fd, end.attributes)
    target.publish(number, end.folder, end.name, replace=end.replace)
    return refused


def prove(target: Target, task: ProofTask) -> Outcome:
    """Read the files of a task back from the medium and compare them with their blobs' hashes."""
    outcome = Outcome(task.number, 0, [], {}, [], {}, [], False)
    done = 0
    for number, folder, name, blobs in task.files:
        try:
            fd = target.open_for_reading(folder, name)
        except OSError as exc:
            outcome.failed[number] = f"cannot be read back: {exc.strerror}"
            continue
        try:
            reason = _difference(fd, blobs)
        except OSError as exc:
            reason = f"cannot be read back: {exc.strerror}"
        finally:
            os.close(fd)
        done += sum(size for _, size in blobs)
        if reason:
            outcome.failed[number] = reason
        else:
            outcome.finished.append(number)
    return outcome._replace(bytes_done=done)


def _difference(fd: int, blobs: list[tuple[bytes, int]]) -> str:
    """Return how the open file differs from its blobs, "" if it does not."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return "is not a file any more"
    if status.st_size != sum(size for _, size in blobs):
        return f"has {status.st_size} bytes, {sum(size for _, size in blobs)} were backed up"
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # ask the medium, not the memory (after a sync)
    position = 0
    for blob_id, size in blobs:
        if _hash(fd, position, size) != blob_id:
            return f"differs from what was backed up at byte {position} or after"
        position += size
    return ""


def _hash(fd: int, position: int, size: int) -> bytes:
    if not hasattr(_scratch, "view"):
        _scratch.view = memoryview(bytearray(_READ_BYTES))
    digest, end = hashlib.sha256(), position + size
    while position < end:
        view = _scratch.view[: min(_READ_BYTES, end - position)]
        count = os.preadv(fd, [view], position)
        if not count:
            break
        digest.update(view[:count])
        position += count
    return digest.digest()


def _serve(source: BinaryIO, answers: BinaryIO) -> None:
    """Do the tasks that arrive on `source` until None; when it ends before, so has the parent, and so do we."""
    equipment = _receive(source)
    if equipment is None:
        return
    reader, target, threads = equipment
    worker = Worker(reader, target)
    tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    answering = threading.Lock()

    def work() -> None:
        while (task := tasks.get()) is not None:
            message = pickle.dumps(worker.do(task), pickle.HIGHEST_PROTOCOL)
            with answering:
                answers.write(message)
                answers.flush()

    crew = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for thread in crew:
        thread.start()
    while (received := _receive(source)) is not None:
        tasks.put(received)
    for _ in crew:
        tasks.put(None)
    for thread in crew:
        thread.join()


def _receive(source: BinaryIO) -> Any:
    """Return the parent's next message; end this process when the parent has gone."""
    try:
        return pickle.load(source)  # noqa: S301 - our own parent's pipe
    except (EOFError, pickle.UnpicklingError):
        os._exit(1)


def main() -> None:
    """Serve the parent over standard input and output; a stray print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which tells us to end
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logs.configure_worker_process()
    _serve(sys.stdin.buffer, answers)
