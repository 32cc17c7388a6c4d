"""Those who read files: worker processes when there is much to read, the caller's own thread when there is little.

Worker processes are fresh interpreters started with `subprocess`: a fork of the threaded web process may deadlock,
and `multiprocessing`'s spawn would import the caller's main module (manage.py, pytest) and start a helper process
more. A small run starts none, so that fifty of them at once are cheap.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from backups.engine.backup.claims import SharedClaims
from backups.engine.backup.fileworker import FileWorker
from backups.engine.backup.messages import Batch, BatchDone, Message, WorkerFailed, WorkerFinished, WorkerSetup
from backups.engine.format import MIB

PROCESSES_FROM_BYTES = 32 * MIB  # of files to read
PROCESSES_FROM_FILES = 1_000
_AHEAD_BATCHES = 4  # given to a worker before it asks ...
_AHEAD_BYTES = 32 * MIB  # ... but nothing waits behind a very long file while others are idle
_STOP_SECONDS = 1.0
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from backups.engine.backup.worker import main; main()"


@dataclass(frozen=True)
class _Job:
    raw: bytes
    size: int


@dataclass
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    given: deque[int] = field(default_factory=deque)  # sizes of the batches it has
    told_end: bool = False
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class BackupCrew:
    """Takes batches, reports through `events`. Belongs to one thread."""

    def __init__(
        self,
        *,
        workers: int,
        make_setup: Callable[[SharedClaims], WorkerSetup],
        known: set[bytes],
        make_local: Callable[[], FileWorker],
        portable: bool,
        events: queue.SimpleQueue[Message],
    ) -> None:
        """
        workers:    processes to start when there is much to read; 0 means never.
        make_setup: gives what a process must know.   known: ids of the data blobs that are safe already.
        make_local: makes the reader for small runs, on first use.
        portable:   whether the stores can travel to another process.
        """
        self._count = workers if portable else 0
        self._make_setup = make_setup
        self._known = known
        self._make_local = make_local
        self._events = events
        self._waiting: deque[tuple[Batch, int]] = deque()
        self._waiting_files = 0
        self._waiting_bytes = 0
        self._jobs: deque[_Job] = deque()
        self._workers: list[_Worker] = []
        self._claims: SharedClaims | None = None
        self._local: FileWorker | None = None
        self._finished: set[int] = set()
        self._closed = False
        self._stopped = False

    def submit(self, batch: Batch, size: int) -> None:
        """Have a batch read some time. size: of its files [bytes]."""
        if self._workers:
            self._jobs.append(_pickled(batch, size))
            self._feed_all()
            return
        self._waiting.append((batch, size))
        self._waiting_files += sum(len(part.files) for part in batch)
        self._waiting_bytes += size
        much = self._waiting_files > PROCESSES_FROM_FILES or self._waiting_bytes > PROCESSES_FROM_BYTES
        if self._count and much:
            self._start()

    def work(self) -> bool:
        """Read one batch in this thread if that is how it is done; return whether there was one. Raises Cancelled."""
        if self._workers or not self._waiting or (self._count and not self._closed):
            return False
        if self._local is None:
            self._local = self._make_local()
        batch, _ = self._waiting.popleft()
        self._local.run(batch)
        if self._closed and not self._waiting:
            self._local.flush()
        return True

    def close(self) -> None:
        """There will be no more batches."""
        self._closed = True
        if self._local is not None and not self._waiting:
            self._local.flush()
        self._feed_all()

    def note_finished(self, message: WorkerFinished) -> None:
        self._finished.add(message.worker)

    @property
    def finished(self) -> bool:
        """Whether all work is done and every pack of the worker processes is stored."""
        return self._closed and not self._waiting and len(self._finished) == len(self._workers)

    def stop(self) -> None:
        """Release everything. Whoever still works was cancelled by the board; who does not listen is killed."""
        self._stopped = True
        for worker in self._workers:
            with worker.lock, contextlib.suppress(OSError):
                assert worker.process.stdin is not None
                worker.process.stdin.close()
        for worker in self._workers:
            try:
                worker.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        if self._local is not None:
            self._local.close()
        if self._claims is not None:
            self._claims.close()

    def _start(self) -> None:
        self._claims = SharedClaims.create(self._known)
        setup = self._make_setup(self._claims)
        for number in range(self._count):
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, nothing of the user's
                [sys.executable, "-I", "-S", "-c", _BOOT, *map(os.path.abspath, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(setup.board_fd, setup.claims_fd),
            )
            worker = _Worker(number, process)
            self._workers.append(worker)
            _send(worker, pickle.dumps((number, setup), pickle.HIGHEST_PROTOCOL))
            threading.Thread(target=self._listen, args=(worker,), name=f"crew-{number}", daemon=True).start()
        while self._waiting:
            self._jobs.append(_pickled(*self._waiting.popleft()))
        self._feed_all()

    def _feed_all(self) -> None:
        for worker in self._workers:
            self._feed(worker)

    def _feed(self, worker: _Worker) -> None:
        with worker.lock:
            if self._stopped:
                return
            while self._jobs and _has_room(worker):
                try:
                    job = self._jobs.popleft()
                except IndexError:  # another worker's listener was faster
                    break
                worker.given.append(job.size)
                _send(worker, job.raw)
            if self._closed and not self._jobs and not worker.told_end:
                worker.told_end = True
                _send(worker, pickle.dumps(None))

    def _listen(self, worker: _Worker) -> None:
        stream = worker.process.stdout
        assert stream is not None
        with stream:
            while True:
                try:
                    message: Message = pickle.load(stream)  # noqa: S301 - the other end is our own child
                except (EOFError, OSError, pickle.UnpicklingError):
                    break
                if isinstance(message, BatchDone):
                    worker.given.popleft()
                    self._feed(worker)
                worker.ended = isinstance(message, WorkerFinished | WorkerFailed)
                self._events.put(message)
        if not worker.ended and not self._stopped:
            self._events.put(WorkerFailed(worker.number, _how_it_ended(worker.process.wait())))


def _pickled(batch: Batch, size: int) -> _Job:
    return _Job(pickle.dumps(batch, pickle.HIGHEST_PROTOCOL), size)


def _has_room(worker: _Worker) -> bool:
    return not worker.given or (len(worker.given) < _AHEAD_BATCHES and sum(worker.given) < _AHEAD_BYTES)


def _send(worker: _Worker, raw: bytes) -> None:
    stream = worker.process.stdin
    assert stream is not None
    with contextlib.suppress(OSError):  # it has died, which its listener reports
        stream.write(raw)
        stream.flush()


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"a reading process was killed by signal {-code}; is this machine short of memory?"
    return f"a reading process ended unexpectedly with code {code}"


def is_portable(setup: object) -> bool:
    """Whether this can be pickled, so that a worker process can be given it."""
    try:
        pickle.dumps(setup, pickle.HIGHEST_PROTOCOL)
    except (TypeError, AttributeError, pickle.PicklingError):
        return False
    return True
