"""Jobs in the terminal: live bars while they run, one sentence each when they end.

The rows are the truth here as everywhere: whoever does the work, this process only reads. `rich` is imported when there
is something to draw, because a backup of an unchanged folder is over before it is loaded.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from django.db import connection

from backups.models import Copy, Job
from backups.states import JOB_ENDED, JOB_UNFINISHED, JobState
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.templatetags.words import number, size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_SECONDS = 0.4  # what ends sooner needs no bar
POLL_SECONDS = 0.25
_SIGNS = {
    JobState.COMPLETED: "done",
    JobState.DEGRADED: "done, with gaps",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


def watch(
    jobs: Sequence[Job],
    *,
    out: Any = None,
    wait: Callable[[float], Any] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> list[Job]:
    """Follow `jobs` until all have ended and return them as they are then.

    out:  a terminal gets live bars, anything else only the sentences.
    wait: sleeps between two looks; called with seconds [s].
    """
    out = out or sys.stdout
    wait = wait or clock.sleep
    began = clock.monotonic()
    drawing: _Drawing | None = None
    try:
        while True:
            found = _fresh(jobs)
            if all(job.state in JOB_ENDED for job in found):
                return found
            if drawing is None and out.isatty() and clock.monotonic() - began > QUIET_SECONDS:
                drawing = _Drawing(out)
            if drawing is not None:
                drawing.show(found)
            wait(POLL_SECONDS)
    finally:
        if drawing is not None:
            drawing.show(_fresh(jobs))  # the last state stays on the screen
            drawing.close()


class _Stopped(Exception):
    """The follower was told to end."""


class Follower:
    """Draws the work under way from a thread of a server, until it is done or the server stops.

    on_done: is told at the end whether there was anything to follow; not called when stopped.
    """

    def __init__(self, out: TextIO, on_done: Callable[[bool], None]) -> None:
        self._out = out
        self._on_done = on_done
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="follower")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the drawing, so that the terminal is as it was."""
        self._stop.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _follow(self) -> None:
        try:
            jobs = unfinished_jobs()
            for job in watch(jobs, out=self._out, wait=self._wait):
                self._out.write(f"{sentence(job)}\n")
                self._out.flush()
            self._on_done(bool(jobs))
        except _Stopped:
            pass
        finally:
            connection.close()

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped


def unfinished_jobs() -> list[Job]:
    """Return what waits or runs, the most urgent first."""
    return list(Job.unscoped.filter(state__in=JOB_UNFINISHED).order_by("priority", "created_at"))


def sentence(job: Job) -> str:
    """Return how a job ended, with what a person should do now."""
    text = f"{job}: {_SIGNS.get(JobState(job.state), job.get_state_display())}. {job.message}"
    return f"{text}\n  {job.advice}" if job.advice else text


def is_success(job: Job) -> bool:
    """Whether a command that did this job may end with 0: it completed, perhaps with gaps that are being filled."""
    return job.state in {JobState.COMPLETED, JobState.DEGRADED}


def _fresh(jobs: Sequence[Job]) -> list[Job]:
    found = Job.unscoped.select_related("vault__organisation", "vault__wedding", "wedding", "organisation").in_bulk(
        [job.pk for job in jobs]
    )
    return [found[job.pk] for job in jobs if job.pk in found]


class _Drawing:
    """One bar per job, and below it one line per location."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=out),
            auto_refresh=False,
        )
        self._progress.start()
        self._tasks: dict[str, TaskID] = {}
        self._names: dict[str, str] = {}
        self._rates: dict[str, _Rate] = {}

    def show(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._show(job)
        self._progress.refresh()

    def close(self) -> None:
        self._progress.stop()

    def _show(self, job: Job) -> None:
        state = job.progress or {}
        done, total = state.get("bytes_done", 0), state.get("bytes_total", 0)
        if job.state in JOB_ENDED:
            facts, done, total = _SIGNS[JobState(job.state)], 1, 1
        elif job.state == JobState.QUEUED:
            facts, total = job.message or "waiting", 0
        else:
            rate = self._rates.setdefault(str(job.pk), _Rate()).update(job, done)
            files = f"{number(state.get('files_done', 0))}/{number(state.get('files_total', 0))} files"
            facts = f"{state.get('step', '')}  {files}  {size(done)}{rate}"
        known = state.get("total_known", True) and total
        self._update(str(job.pk), str(job), done, total if known else None, facts)
        for key, stored in (state.get("location_bytes") or {}).items():
            error = (state.get("location_errors") or {}).get(key)
            facts = f"failed: {error}" if error else f"{size(stored)} stored"
            new = state.get("bytes_new", 0)
            self._update(f"{job.pk} {key}", f"  {self._name(job, key)}", stored, max(new, stored, 1), facts)

    def _update(self, key: str, description: str, done: int, total: int | None, facts: str) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(description, total=total, facts=facts)
        self._progress.update(self._tasks[key], completed=done, total=total, facts=facts)

    def _name(self, job: Job, key: str) -> str:
        if key not in self._names:
            places = Copy.unscoped.filter(vault=job.vault_id).values_list("location_id", "location__name")
            self._names |= {str(location): name for location, name in places}
        return self._names.get(key, key)


class _Rate:
    """Bytes per second between the last two reports of a job."""

    def __init__(self) -> None:
        self._before: tuple[Any, int] | None = None
        self._text = ""

    def update(self, job: Job, done: int) -> str:
        at = job.progress_at
        if at is None or (self._before is not None and at == self._before[0]):
            return self._text
        if self._before is not None:
            seconds = (at - self._before[0]).total_seconds()
            if seconds > 0 and done >= self._before[1]:
                self._text = f"  {size((done - self._before[1]) / seconds)}/s"
        self._before = (at, done)
        return self._text
