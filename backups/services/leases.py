"""Leases of jobs whose worker is gone: who is surely dead, who has gone silent, and giving their jobs back.

A worker renews its leases every HEARTBEAT_SECONDS. The wall clock alone may not judge them: it jumps, and machines
disagree about it. So a lease is taken away only when this process has itself seen it unrenewed for a while on its own
monotonic clock: a short while when the wall clock says that it is over as well, a longer one when it does not, and
the longest when its process is known to live on this machine, which then is merely busy.
"""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import threading
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from backups.models import Job
from backups.pulse import PULSE
from backups.services.jobs import job_hand_back
from backups.states import JobState
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

LIVING_SECONDS = 60.0  # [s] without a renewal until even a process that lives counts as hanging
POSTPONED_AT_MOST = timedelta(seconds=300)  # a longer wait before another attempt means that the clock jumped back


def worker_name() -> str:
    """Return the name of this process as a worker: `<host>/<pid>/<life>`; no two processes ever share one."""
    pid = os.getpid()
    return f"{_host()}/{pid}/{_life(pid)}"


def is_alive(name: str) -> bool | None:
    """Whether the process of the worker `name` lives; None when it ran on another machine and that is unknown."""
    place, _, life = name.rpartition("/")
    host, _, pid = place.rpartition("/")
    if host != _host() or not pid.isdigit():
        return None
    return _life(int(pid)) == life


@functools.cache
def _host() -> str:
    """This host's name, and the process namespace, because containers may share a host name but not their pids."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname()[:30].replace('/', '-')}-{namespace}"


def _life(pid: int) -> str:
    """A text that differs for each boot of the machine and each process that ever had this pid; "" if it is gone."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as boot, open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
            boot_id = boot.read()
    except OSError:
        return ""
    if fields[0] in {"Z", "X"}:  # killed, and its parent has not looked yet
        return ""
    started = fields[19]  # [clock ticks since boot]
    return hashlib.sha256(f"{boot_id}{started}".encode()).hexdigest()[:10]


def _is_orphan(job: Job) -> bool:
    """Whether this very process claimed the job and has no run of it any more: its end could not be written."""
    return job.lease_owner == worker_name() and all(run.job.pk != job.pk for run in PULSE.runs())


class LeaseWatch:
    """What one process has seen of the running jobs' leases, and since when."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[UUID, tuple[int, datetime | None, float]] = {}

    def silent(self, jobs: list[Job]) -> list[Job]:
        """Return those of the running `jobs` whose lease counts as lost."""
        now, wall = self._clock.monotonic(), self._clock.utcnow()
        lost = []
        with self._lock:
            self._seen = {job.pk: self._sighting(job, now) for job in jobs}
            for job in jobs:
                unrenewed = now - self._seen[job.pk][2]
                over = job.lease_expires_at is None or job.lease_expires_at < wall
                patience = settings.HEARTBEAT_SECONDS * 1.5 if over else settings.LEASE_SECONDS * 2
                if is_alive(job.lease_owner) and not _is_orphan(job):
                    patience = LIVING_SECONDS
                if unrenewed >= patience:
                    lost.append(job)
        return lost

    def _sighting(self, job: Job, now: float) -> tuple[int, datetime | None, float]:
        fence, expires, since = self._seen.get(job.pk, (None, None, now))
        if (fence, expires) != (job.fence, job.lease_expires_at):
            since = now
        return job.fence, job.lease_expires_at, since


_watch = LeaseWatch()


def leases_sweep(*, watch: LeaseWatch = _watch, clock: Clock = SYSTEM_CLOCK) -> int:
    """Give the jobs of dead and silent workers back to the queue; return how many. Call it every few seconds."""
    running = list(Job.unscoped.filter(state=JobState.RUNNING))
    silent = {job.pk for job in watch.silent(running)}
    count = 0
    for job in running:
        if is_alive(job.lease_owner) is False:
            count += job_hand_back(job, "its worker's process ended", actor="sweeper", clock=clock)
        elif job.pk in silent:
            count += job_hand_back(job, "its worker went silent", actor="sweeper", clock=clock)
    _hasten(clock)
    return count


def _hasten(clock: Clock) -> None:
    """Jobs that wait for another attempt must not wait for a clock that jumped back."""
    now = clock.utcnow()
    late = Job.unscoped.filter(state=JobState.QUEUED, attempts__gt=0, run_after__gt=now + POSTPONED_AT_MOST)
    if late.exists():
        with transaction.atomic():
            late.update(run_after=now)
