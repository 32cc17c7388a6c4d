"""Commands that do their jobs in their own process, through the same claim and code as any worker."""

from __future__ import annotations

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


class _Terminated(Exception):
    """SIGTERM arrived."""


class _Runner:
    """Runs exactly these jobs in a thread, while the main thread draws and listens for signals.

    Ctrl-C cancels; SIGTERM hands the running job back to the queue, where a worker goes on with it.
    """

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = jobs
        self._done = threading.Event()
        self._failure: BaseException | None = None

    def run(self, out: Any) -> list[Job]:
        before = signal.signal(signal.SIGTERM, _raise_terminated)
        thread = threading.Thread(target=self._work, name="work", daemon=True)
        thread.start()
        try:
            return watch(self._jobs, out=out, wait=self._wait)
        except KeyboardInterrupt:
            for job in self._jobs:
                job_cancel(job, actor="manage.py")
            return watch(self._jobs, out=out, wait=self._wait)
        except _Terminated as exc:
            stop_runs()
            raise CommandError("Stopped. The work is back in the queue; a worker goes on with it.") from exc
        finally:
            signal.signal(signal.SIGTERM, before)

    def _wait(self, seconds: float) -> None:
        if self._done.wait(seconds):
            self._settle()

    def _work(self) -> None:
        try:
            for job in self._jobs:
                run_next(worker_name(), only=job)
        except BaseException as exc:
            self._failure = exc
        finally:
            connection.close()
            self._done.set()

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


def _raise_terminated(*_: Any) -> None:
    raise _Terminated
