"""One thread per process that keeps the leases of all its running jobs alive and writes their progress.

Fifty jobs need two statements per beat, not a hundred. The thread also reads whether somebody asked to cancel,
and tells a run that its lease is lost, whereupon the run stops and writes nothing more.
"""

from __future__ import annotations

import enum
import logging
import threading
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import DatabaseError, DataError, connections, transaction
from django.db.models import Case, F, JSONField, Value, When

from backups.engine.progress import CancelToken, Progress
from backups.models import Job
from backups.services.jobs import job_heartbeat, lease_end
from backups.services.moves import all_held, live_groups
from providers.services.traffic import REFRESH_SECONDS, rules_refresh
from wedbackup.core import live
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import Heartbeat

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.5  # progress reaches the row, and the wider live groups, twice a second
LIVE_SECONDS = 0.1  # and the page of the job itself ten times a second
ALIVE_SECONDS = 5.0  # how often an idle worker says that it is there


class Stop(enum.Enum):
    """Why a run was told to stop."""

    CANCELLED = "a person asked"
    SHUTDOWN = "the process ends"
    LOST = "the lease is lost"


class Run:
    """One claimed job under way in this process."""

    def __init__(self, job: Job, clock: Clock = SYSTEM_CLOCK) -> None:
        self.job = job
        self.clock = clock
        self.cancel = CancelToken()
        self.why: Stop | None = None
        self.renewed_at = clock.monotonic()
        self._latest: Progress | None = None
        self._written: dict[str, Any] = {}
        self._published_at = float("-inf")
        self._lock = threading.Lock()

    def stop(self, why: Stop) -> None:
        """Cancel the run; a lost lease outweighs every other reason."""
        with self._lock:
            if self.why is None or why is Stop.LOST:
                self.why = why
        self.cancel.cancel()

    def report(self, progress: Progress) -> None:
        """Take the engine's present state; called often, from any thread, returns at once."""
        with self._lock:
            self._latest = progress
            now = self.clock.monotonic()
            if now - self._published_at < LIVE_SECONDS:
                return
            self._published_at = now
        live.publish(f"job.{self.job.pk}", self._message(asdict(progress)))

    def fresh_progress(self) -> dict[str, Any] | None:
        """Return the present state if it was not taken before, as plain numbers."""
        latest = self._latest
        try:
            plain = asdict(latest) if latest is not None else self._written
        except RuntimeError:  # a location was added to it this moment; the next beat will do
            return None
        if plain == self._written:
            return None
        self._written = plain
        return plain

    def forget_progress(self) -> None:
        """Have nothing more to write: the end of the job must not fail by it."""
        self._latest = None
        self._written = {}

    def tell(self, progress: dict[str, Any]) -> None:
        """Send the state to all that follow the job."""
        for group in live_groups(self.job):
            live.publish(group, self._message(progress))

    def _message(self, progress: dict[str, Any]) -> dict[str, Any]:
        job = self.job
        return {
            "type": "job.progress",
            "job": job.pk,
            "wedding": job.wedding_id,
            "vault": job.vault_id,
            "at": self.clock.utcnow(),
            "progress": progress,
        }


class Pulse:
    """The runs of this process and the thread that looks after them."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._runs: dict[int, Run] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._worker = ""
        self._alive_at = float("-inf")
        self._rules_at = float("-inf")

    def start(self, worker: str) -> None:
        """Also say every few seconds that the worker of this name is there, until `leave`."""
        with self._lock:
            self._worker = worker
            self._ensure_thread()

    def leave(self) -> None:
        """Stop saying so, and forget that the worker was there."""
        with self._lock:
            worker, self._worker = self._worker, ""
        self._wake.set()
        Heartbeat.objects.filter(name=f"worker {worker}").delete()

    def add(self, run: Run) -> None:
        with self._lock:
            self._runs[id(run)] = run
            self._ensure_thread()

    def remove(self, run: Run) -> None:
        with self._lock:
            self._runs.pop(id(run), None)
        self._wake.set()

    def runs(self) -> list[Run]:
        with self._lock:
            return list(self._runs.values())

    def beat(self) -> None:
        """Renew leases when that is due, write fresh progress, read requests to cancel."""
        runs = self.runs()
        progress = {run: fresh for run in runs if (fresh := run.fresh_progress()) is not None}
        try:
            # The lease first and by itself: it must not wait for anything else that this beat does.
            if any(run.clock.monotonic() - run.renewed_at >= settings.HEARTBEAT_SECONDS for run in runs):
                _renew(runs)
            if progress:
                _write_each(progress)
            if runs:
                self._read_cancellations(runs)
                self._refresh_rules()
            self._say_alive()
        except DatabaseError as exc:
            log.warning("the heartbeat cannot be written: %s", exc)
            for run in runs:
                if run.clock.monotonic() - run.renewed_at > settings.LEASE_SECONDS:
                    run.stop(Stop.LOST)
        for run, fresh in progress.items():
            run.tell(fresh)

    def _read_cancellations(self, runs: list[Run]) -> None:
        asked = Job.unscoped.filter(pk__in=[run.job.pk for run in runs], cancel_requested=True)
        cancelled = set(asked.values_list("pk", "fence"))
        for run in runs:
            if (run.job.pk, run.job.fence) in cancelled:
                run.stop(Stop.CANCELLED)

    def _refresh_rules(self) -> None:
        """Hand changed limits, pauses and opened breakers to the transfers of all runs on this machine."""
        now = self._clock.monotonic()
        if now - self._rules_at >= REFRESH_SECONDS:
            self._rules_at = now
            rules_refresh(clock=self._clock)

    def _say_alive(self) -> None:
        worker, now = self._worker, self._clock.monotonic()
        if worker and now - self._alive_at >= ALIVE_SECONDS:
            Heartbeat.objects.update_or_create(name=f"worker {worker}", defaults={"at": self._clock.utcnow()})
            self._alive_at = now

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, daemon=True, name="pulse")
            self._thread.start()

    def _loop(self) -> None:
        while True:
            self._wake.wait(BEAT_SECONDS)
            self._wake.clear()
            with self._lock:
                if not self._runs and not self._worker:
                    self._thread = None
                    break
            try:
                self.beat()
            except Exception:
                log.exception("the heartbeat failed")
        connections.close_all()


def _renew(runs: list[Run]) -> None:
    """Renew all leases in one statement; only when some are lost, find out which."""
    now = {run: run.clock.monotonic() for run in runs}
    if all_held(run.job for run in runs).update(lease_expires_at=lease_end(runs[0].clock.utcnow())) == len(runs):
        for run in runs:
            run.renewed_at = now[run]
        return
    for run in runs:
        if job_heartbeat(run.job, clock=run.clock):
            run.renewed_at = now[run]
        else:
            run.stop(Stop.LOST)


def _write_each(progress: dict[Run, dict[str, Any]]) -> None:
    """Write all progress at once; where the database refuses that, each by itself, so that one job mutes no other."""
    try:
        with transaction.atomic():
            _write_progress(progress)
    except (DataError, ValueError, TypeError) as exc:
        if len(progress) == 1:
            log.warning("the progress of job %s cannot be written: %s", next(iter(progress)).job.pk, exc)
            return
        for run, fresh in progress.items():
            _write_each({run: fresh})


def _write_progress(progress: dict[Run, dict[str, Any]]) -> None:
    """One statement for all jobs: among many busy threads each statement waits for its turn."""
    states = [When(pk=run.job.pk, then=Value(fresh, JSONField())) for run, fresh in progress.items()]
    at = next(iter(progress)).clock.utcnow()
    all_held(run.job for run in progress).update(
        progress=Case(*states, default=F("progress"), output_field=JSONField()), progress_at=at
    )


PULSE = Pulse()
