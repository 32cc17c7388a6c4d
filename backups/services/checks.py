"""Checks of copies: asked for, and due by themselves. `backups.services.checking` carries them out.

Every byte of every copy is read within CHECK_EVERY: in one go, or, of a large copy, one part a day by the first digits
of the packs' names, so that no reading is too long ever to end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q

from backups.models import Copy, Job
from backups.policy.verdict import READ_EVERY
from backups.services.jobs import job_enqueue
from backups.states import JOB_UNFINISHED, CopyState, JobState
from providers.models import Location
from providers.services.locations import store_of
from providers.stores.errors import StoreError
from wedbackup.core.clock import SYSTEM_CLOCK, Clock, is_within
from wedbackup.core.moments import before, within

CHECK_RANK = 80  # when nothing else waits
CHECK_EVERY = READ_EVERY
PARTS = 7  # of the reading of a large copy
PARTS_FROM_BYTES = 64 * 1024**3  # below this a copy is read in one go: a quarter of an hour at 75 MB/s
PART_EVERY = CHECK_EVERY / PARTS
RETRY_AFTER = timedelta(hours=6)  # when a reading failed or could not run
DAMAGED_AGAIN_AFTER = timedelta(days=1)  # what could not be repaired is tried again
SAMPLE_EVERY = timedelta(days=1)  # of copies whose provider proves nothing, between the full reads
CHECKS_PER_TICK = 20

_READABLE = (CopyState.CURRENT, CopyState.BEHIND, CopyState.DAMAGED)


def check_request(
    copies: Sequence[Copy],
    *,
    read_data: bool,
    sample: bool = False,
    part: int | None = None,
    user: object = None,
    clock: Clock = SYSTEM_CLOCK,
) -> list[Job]:
    """Queue a check of each copy, unless one that looks at as much is waiting or running: that one is returned.

    read_data: read every byte, not only the structure.
    sample:    read a few blobs, chosen at random.
    part:      which of PARTS of the bytes, from 0 on; None: all of them.
    """
    asked = {"read_data": read_data, "sample": sample, "part": part}
    jobs = []
    for copy in copies:
        unfinished = Job.unscoped.filter(vault=copy.vault, kind=Job.Kind.CHECK, state__in=JOB_UNFINISHED)
        same = next((job for job in unfinished if _covers(job.parameters, copy, asked)), None)
        jobs.append(
            same
            or job_enqueue(
                kind=Job.Kind.CHECK,
                organisation=copy.vault.organisation,
                wedding=copy.vault.wedding,
                vault=copy.vault,
                priority=CHECK_RANK,
                parameters={"copy": copy.pk, "location": copy.location.name, **asked},
                requested_by=user,  # type: ignore[arg-type]
                clock=clock,
            )
        )
    return jobs


def _covers(parameters: dict[str, Any], copy: Copy, asked: dict[str, Any]) -> bool:
    """Whether a check that is under way looks at all that is asked for."""
    if parameters.get("copy") != copy.pk:
        return False
    whole = parameters.get("read_data") and parameters.get("part") is None
    same = all(parameters.get(name) == value for name, value in asked.items())
    structure_only = not asked["read_data"] and not asked["sample"]
    return bool(whole or same or structure_only)


def checks_enqueue_due(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue the reading of every copy that is due, the longest unread first; each copy is judged by itself."""
    jobs: list[Job] = []
    for copy in _due_for_reading(clock.utcnow()):
        large = copy.stored_bytes >= PARTS_FROM_BYTES and copy.state != CopyState.DAMAGED
        jobs += check_request([copy], read_data=True, part=copy.parts_read if large else None, clock=clock)
        if len(jobs) == CHECKS_PER_TICK:
            break
    return jobs


def _due_for_reading(now: datetime) -> Iterator[Copy]:
    due = before("verified_at", now, CHECK_EVERY)
    due |= Q(verified_at=None) & before("vault__created_at", now, CHECK_EVERY)
    due |= Q(reading_began_at__isnull=False) | Q(state=CopyState.DAMAGED)
    copies = Copy.unscoped.filter(due, state__in=_READABLE, location__enabled=True, location__paused_at=None)
    copies = copies.select_related("vault__organisation", "vault__wedding", "location")
    last = _last_readings(now)
    for copy in copies.order_by(F("verified_at").asc(nulls_first=True), "pk"):
        job = last.get(copy.pk)
        if job is None or not _waits(copy, job, now):
            yield copy


def _last_readings(now: datetime) -> dict[int, Job]:
    """Return the newest job that read, or is to read, the bytes of each copy; older ones decide nothing any more."""
    longest = max(RETRY_AFTER, DAMAGED_AGAIN_AFTER, PART_EVERY)
    jobs = Job.unscoped.filter(within("created_at", now, longest) | Q(state__in=JOB_UNFINISHED), kind=Job.Kind.CHECK)
    jobs = jobs.only("parameters", "state", "created_at").order_by("created_at")
    return {job.parameters["copy"]: job for job in jobs if job.parameters.get("read_data")}


def _waits(copy: Copy, last: Job, now: datetime) -> bool:
    """Whether it is too early to read the copy again after its last reading."""
    if last.state in JOB_UNFINISHED:
        return True
    if last.state == JobState.COMPLETED:
        pause = PART_EVERY
    else:
        pause = DAMAGED_AGAIN_AFTER if copy.state == CopyState.DAMAGED else RETRY_AFTER
    return is_within(last.created_at, now, pause)


def samples_enqueue_due(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue a look at random into every copy whose provider proves nothing and that was not checked for SAMPLE_EVERY.

    Copies whose reading is due are left to that.
    """
    now = clock.utcnow()
    recent = Job.unscoped.filter(kind=Job.Kind.CHECK).filter(
        within("created_at", now, SAMPLE_EVERY) | Q(state__in=JOB_UNFINISHED)
    )
    left_out = {parameters.get("copy") for parameters in recent.values_list("parameters", flat=True)}
    left_out |= {copy.pk for copy in _due_for_reading(now)}
    unread = Copy.unscoped.filter(
        before("verified_at", now, SAMPLE_EVERY) | Q(verified_at=None) & before("vault__created_at", now, SAMPLE_EVERY),
        state=CopyState.CURRENT,
        location__enabled=True,
        location__paused_at=None,
    )
    unread = unread.select_related("vault__organisation", "vault__wedding", "location").order_by("pk")
    proving: dict[Any, bool] = {}
    due = []
    for copy in unread:
        if copy.pk not in left_out and not proving.setdefault(copy.location_id, _proves_at_rest(copy.location)):
            due.append(copy)
        if len(due) == CHECKS_PER_TICK:
            break
    return check_request(due, read_data=False, sample=True, clock=clock)


def _proves_at_rest(location: Location) -> bool:
    """Whether the provider proves what it stores without a download; also true when its store cannot be opened now."""
    try:
        return store_of(location).capabilities.proves_at_rest
    except StoreError:
        return True
