"""How urgent a wedding is, from its date: how often it is backed up, and how soon it must be back.

Days count on both sides of the wedding: in the days after it the pictures exist nowhere else yet. Everything is
computed on reading from the local date and the venue's zone; nothing of it is stored.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from wedbackup.core.clock import is_within

MINUTE = 60  # [s]
HOUR = 60 * MINUTE
DAY = 24 * HOUR

CRITICAL_DAYS = 7
HIGH_DAYS = 30
NORMAL_DAYS = 90
_LAST_DANCE = timedelta(hours=6)  # a wedding day ends at six the next morning


class Priority(enum.StrEnum):
    WEDDING_DAY = "wedding_day"
    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Promise:
    """What a priority promises.

    interval_seconds: the longest pause between two backups [s]; shorter than the RPO, because a run takes time.
    rpo_seconds:      the greatest age of the newest acknowledged snapshot [s].
    rto_seconds:      within which everything is restored [s].
    first_seconds:    within which the first priority set (documents, guests, timeline) is restored and verified [s].
    rank:             of its jobs in the queue; smaller is more urgent.
    """

    interval_seconds: int
    rpo_seconds: int
    rto_seconds: int
    first_seconds: int
    rank: int


PROMISES: dict[Priority, Promise] = {
    # The asked-for rhythm (hourly, daily) could not keep the asked-for RPO; an unchanged run costs a second, so
    # the rhythm follows the RPO.
    Priority.WEDDING_DAY: Promise(5 * MINUTE, 15 * MINUTE, 15 * MINUTE, 30, 10),
    Priority.CRITICAL: Promise(10 * MINUTE, 15 * MINUTE, 15 * MINUTE, 60, 20),
    Priority.HIGH: Promise(30 * MINUTE, 1 * HOUR, 1 * HOUR, 300, 30),
    Priority.NORMAL: Promise(2 * HOUR, 4 * HOUR, 4 * HOUR, 300, 40),
    Priority.ARCHIVE: Promise(1 * DAY, 2 * DAY, 1 * DAY, 300, 50),
}


# Up to how many days from the wedding each priority holds; beyond them all is archive.
REACH_DAYS = {
    Priority.WEDDING_DAY: 0,
    Priority.CRITICAL: CRITICAL_DAYS,
    Priority.HIGH: HIGH_DAYS,
    Priority.NORMAL: NORMAL_DAYS,
}


def priority_at(wedding_day: date | None, zone: tzinfo, now: datetime) -> Priority:
    """Return the priority of a wedding.

    wedding_day: the local date at the venue; None for what belongs to no wedding.
    zone:        the venue's time zone.   now: an aware moment.
    """
    if wedding_day is None:
        return Priority.ARCHIVE
    local = now.astimezone(zone)
    if wedding_day in {local.date(), (local.replace(tzinfo=None) - _LAST_DANCE).date()}:
        return Priority.WEDDING_DAY
    distance = abs((wedding_day - local.date()).days)
    if distance <= CRITICAL_DAYS:
        return Priority.CRITICAL
    if distance <= HIGH_DAYS:
        return Priority.HIGH
    if distance <= NORMAL_DAYS:
        return Priority.NORMAL
    return Priority.ARCHIVE


def promise_at(wedding_day: date | None, zone: tzinfo, now: datetime) -> Promise:
    """Return the promise that holds for a wedding at `now`; arguments as for `priority_at`."""
    return PROMISES[priority_at(wedding_day, zone, now)]


def pause_seconds(promise: Promise, policy_minutes: int) -> int:
    """Return the pause until the next backup [s]: the policy's own, or shorter where the promise asks for it."""
    return min(promise.interval_seconds, policy_minutes * MINUTE)


def is_fresh(taken_at: datetime, promise: Promise, policy_minutes: int, now: datetime) -> bool:
    """Say whether a snapshot taken at `taken_at` still keeps the promise.

    policy_minutes: the policy's interval; a policy that runs less often than the promise cannot be judged milder,
    one that runs weekly by intent in the archive may be as old as two of its intervals. One dated ahead of `now` has no
    age that anybody knows, and is not fresh.
    """
    allowed = promise.rpo_seconds
    if promise is PROMISES[Priority.ARCHIVE]:
        allowed = max(allowed, 2 * policy_minutes * MINUTE)
    return is_within(taken_at, now, timedelta(seconds=allowed))
