"""Commands that do their jobs in their own process, through the same claim and code as any worker."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Any

from django.core.management.base import CommandError
from django.db import connection

from backups.models import Job
from backups.services.jobs import job_cancel
from backups.services.leases import worker_name
from backups.states import JobState
from backups.terminal import watch
from backups.worker import run_next, stop_runs


def run_here(jobs: list[Job], out: Any) -> list[Job]:
    """Run exactly these jobs, drawing their progress on `out`; return them as they ended.

    Ctrl-C cancels them; SIGTERM hands the running one back to the queue. Raises CommandError when one of them is being
    done elsewhere, or has to wait.
    """
    return _Runner(jobs).run(out)


class _Cancelling(Exception):
    """The first Ctrl-C was seen, at a moment when nothing is half done."""


class _HandingBack(Exception):
    """SIGTERM or a second Ctrl-C was seen, at such a moment."""


class _Runner:
    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = jobs
        self._wake = threading.Event()
        self._done = self._cancelling = False
        self._signals: list[int] = []
        self._failure: BaseException | None = None

    def run(self, out: Any) -> list[Job]:
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        thread = threading.Thread(target=self._work, name="work", daemon=True)
        thread.start()
        try:
            with contextlib.suppress(_Cancelling):
                return watch(self._jobs, out=out, wait=self._wait)
            for job in self._jobs:
                job_cancel(job, actor="manage.py")
            return watch(self._jobs, out=out, wait=self._wait)
        except _HandingBack as exc:
            stop_runs()
            raise CommandError("Stopped. The work is back in the queue; a worker goes on with it.") from exc
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        """Only takes note: an exception from here could hit in the middle of a query."""
        del frame
        self._signals.append(number)
        self._wake.set()

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        if self._signals and not self._cancelling:
            self._wake.clear()
            self._cancelling = True
            raise _Cancelling if self._signals == [signal.SIGINT] else _HandingBack
        if len(self._signals) > 1:
            raise _HandingBack
        if self._done:
            self._settle()

    def _work(self) -> None:
        try:
            for job in self._jobs:
                run_next(worker_name(), only=job)
        except BaseException as exc:
            self._failure = exc
        finally:
            connection.close()
            self._done = True
            self._wake.set()

    def _settle(self) -> None:
        """Our thread has ended. What has not ended by now waits for somebody else, and this command does not wait."""
        if self._failure is not None:
            raise self._failure
        for job in self._jobs:
            job.refresh_from_db()
            if job.state == JobState.RUNNING:
                raise CommandError(f"{job} is running in another process. Follow it with `manage.py watch`.")
            if job.state == JobState.QUEUED:
                reason = job.message or "Another job is at work on this vault."
                raise CommandError(f"{job} waits in the queue. {reason} {job.advice}".strip())
