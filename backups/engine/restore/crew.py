"""Who does the tasks of a restore: threads here, or threads in processes of their own. Both take and give the same."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Protocol

from backups.engine.errors import EngineError
from backups.engine.restore.target import Target
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.restore.worker import Outcome, Task, Worker

THREADS = 5  # per process: while some wait for the store, others decrypt
PROCESSES = 2
_AHEAD = 2  # tasks under way per thread: the pipe never runs dry, and memory stays bounded


class CrewBroken(EngineError):
    """A process of the crew ended before its work, for example killed for want of memory."""

    advice = "Start the restore again; what is in place already can be kept."


class Crew(Protocol):
    """Does tasks in any order."""

    def run(self, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        """Yield the outcome of every task as it is done; closing the iterator stops early."""
        ...

    def close(self) -> None: ...


class ThreadCrew:
    """Threads of this process."""

    def __init__(self, reader: VaultReader, target: Target, threads: int = THREADS) -> None:
        self._worker = Worker(reader, target)
        self._threads = threads

    def run(self, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        waiting: queue.Queue[Task | None] = queue.Queue(_AHEAD * self._threads)
        done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        crew = [threading.Thread(target=self._work, args=(waiting, done), daemon=True) for _ in range(self._threads)]
        for thread in crew:
            thread.start()
        under_way = 0
        try:
            for task in tasks:
                while under_way >= _AHEAD * self._threads:
                    yield _outcome(done.get())
                    under_way -= 1
                waiting.put(task)
                under_way += 1
            while under_way:
                yield _outcome(done.get())
                under_way -= 1
        finally:
            while not waiting.empty():  # the caller stopped early: drop what nobody has begun
                try:
                    waiting.get_nowait()
                except queue.Empty:
                    break
            for _ in crew:
                waiting.put(None)
            for thread in crew:
                thread.join()

    def _work(self, waiting: queue.Queue[Task | None], done: queue.SimpleQueue[Outcome | BaseException]) -> None:
        while (task := waiting.get()) is not None:
            try:
                done.put(self._worker.do(task))
            except BaseException as exc:  # raised again in the caller's thread
                done.put(exc)
        self._worker.end_thread()

    def close(self) -> None:
        """Nothing to do: the threads end with each run."""


class ProcessCrew:
    """Processes of their own. Raises TypeError or PicklingError at once when the store cannot travel there."""

    def __init__(self, processes: int = PROCESSES, threads: int = THREADS) -> None:
        """Start the processes, so that they import while the caller still plans; `equip` them before `run`."""
        self._threads = threads
        environment = {**os.environ, "PYTHONPATH": _import_path()}
        command = [sys.executable, "-c", "from backups.engine.restore.worker import main; main()"]
        self._crew = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603
            for _ in range(processes)
        ]

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._crew]

    def equip(self, reader: VaultReader, target: Target) -> None:
        """Hand every process what it needs; keys travel through its pipe only."""
        message = pickle.dumps((reader, target, self._threads), pickle.HIGHEST_PROTOCOL)
        for process in self._crew:
            _send(process, message)

    def run(self, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        supply = _Supply(tasks)
        stopped = threading.Event()
        feeders = [
            threading.Thread(target=self._feed, args=(process, supply, done, stopped), daemon=True)
            for process in self._crew
        ]
        for feeder in feeders:
            feeder.start()
        busy = len(feeders)
        try:
            while busy:
                answer = done.get()
                if isinstance(answer, _Idle):
                    busy -= 1
                else:
                    yield _outcome(answer)
        finally:
            stopped.set()
            for feeder in feeders:
                feeder.join()

    def _feed(
        self,
        process: subprocess.Popen[bytes],
        supply: _Supply,
        done: queue.SimpleQueue[Outcome | BaseException],
        stopped: threading.Event,
    ) -> None:
        """Keep one process supplied and pass on its answers."""
        assert process.stdout is not None
        under_way = 0
        try:
            while True:
                while under_way < _AHEAD * self._threads and not stopped.is_set():
                    task = supply.take()
                    if task is None:
                        break
                    _send(process, pickle.dumps(task, pickle.HIGHEST_PROTOCOL))
                    under_way += 1
                if not under_way:
                    break
                done.put(pickle.load(process.stdout))  # noqa: S301 - our own child's pipe
                under_way -= 1
        except (EOFError, OSError, pickle.UnpicklingError):
            done.put(CrewBroken(f"a restore process ended before its work (exit code {process.poll()})"))
        except BaseException as exc:  # raised again in the caller's thread
            done.put(exc)
        done.put(_Idle())

    def close(self) -> None:
        """Let the processes go and wait for their end."""
        for process in self._crew:
            try:
                _send(process, pickle.dumps(None))
            except OSError:
                pass  # it has gone already
        for process in self._crew:
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
            process.stdout.close()
            process.wait()


class _Idle(Exception):
    """One process has nothing left to do."""


class _Supply:
    """Gives out tasks, one at a time, to several feeders."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)
        self._turn = threading.Lock()

    def take(self) -> Task | None:
        with self._turn:
            return next(self._tasks, None)


def _send(process: subprocess.Popen[bytes], message: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(message)
    process.stdin.flush()


def _outcome(answer: Outcome | BaseException) -> Outcome:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _import_path() -> str:
    """Return PYTHONPATH for a child that shall find the same packages as we do."""
    root = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
