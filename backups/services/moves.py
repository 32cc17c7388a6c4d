"""Moving a job from state to state, and writing to a job only while its claim holds.

Each move is one transaction: compare-and-set on state and fence, a JobMove, an event. The fence grows with each claim,
so a worker whose lease was taken away finds no row to write to.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from backups.models import Job, JobMove
from backups.states import JOB_ENDED, JOB_MOVES, JobState
from wedbackup.core import live
from wedbackup.core.audit import actor_name
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.events import Tag, emit
from wedbackup.core.models import User

SENTENCE_MAX = 500  # length of the columns that hold a sentence


class IllegalMove(ValueError):
    """The table of moves has no such move: a mistake in the program."""


class LeaseLost(Exception):
    """Another worker may have the job: nothing may be written for it any more."""


def held(job: Job) -> QuerySet[Job]:
    """Return the job's row as long as this claim of it holds: the fence that every write of a run goes through."""
    return all_held([job])


def all_held(jobs: Iterable[Job]) -> QuerySet[Job]:
    """Return the rows of those `jobs` whose claim holds."""
    claims = [Q(pk=job.pk, fence=job.fence) for job in jobs]
    return Job.unscoped.filter(functools.reduce(operator.or_, claims), state=JobState.RUNNING)


@contextlib.contextmanager
def job_hold(job: Job) -> Iterator[None]:
    """Open a transaction that commits only if this claim of the job holds until its end.

    Raises LeaseLost, and nothing was written.
    """
    with transaction.atomic():
        # A write, not only a read: it keeps everybody else from moving the row before the commit.
        if held(job).update(fence=job.fence) != 1:
            raise LeaseLost(f"job {job.pk} was taken over")
        yield


def job_move(job: Job, to: str, *, reason: str, actor: User | str, clock: Clock = SYSTEM_CLOCK, **fields: Any) -> bool:
    """Move a job to the state `to` if it still is as `job` says; False when somebody else was first.

    reason: why, in a few words for the timeline.
    actor:  who did it: a person or a part of the system.
    fields: other columns to be written with the move.

    Raises IllegalMove when the table of moves has no such move.
    """
    if to not in JOB_MOVES[job.state]:
        raise IllegalMove(f"a job cannot go from {job.state} to {to}")
    now, old = clock.utcnow(), job.state
    fields |= _fields_of_state(to, now) | {"state": to}
    for name in ("message", "advice"):
        if name in fields:
            fields[name] = fields[name][:SENTENCE_MAX]
    with transaction.atomic():
        changed = Job.unscoped.filter(pk=job.pk, state=old, fence=job.fence).update(**fields)
        if changed != 1:
            return False
        for name, value in fields.items():
            setattr(job, name, value)
        note_move(job, old, reason=reason, actor=actor, clock=clock)
        if to in {JobState.FAILED, JobState.CANCELLED}:
            _cancel_followers(job, clock)
    return True


def _fields_of_state(to: str, now: datetime) -> dict[str, Any]:
    if to == JobState.RUNNING:
        return {"cancel_requested": False}
    unleased: dict[str, Any] = {"lease_owner": "", "lease_expires_at": None, "cancel_requested": False}
    return unleased | ({"finished_at": now} if to in JOB_ENDED else {})


def _depth(job: Job) -> str:
    """Return what a check looks at, as the alerts name it; "" for other work."""
    if job.kind != Job.Kind.CHECK:
        return ""
    if job.parameters.get("read_data"):
        return "reading"
    return "sample" if job.parameters.get("sample") else "structure"


def note_move(job: Job, old: str, *, reason: str, actor: User | str, clock: Clock) -> None:
    """Write the move and its event, and tell the pages after the commit."""
    at = clock.utcnow()
    move = JobMove.objects.create(
        job=job, old_state=old, new_state=job.state, reason=reason[:SENTENCE_MAX], actor=actor_name(actor)[:150], at=at
    )
    what = {
        "job": str(job.pk),
        "kind": job.kind,
        "old": old,
        "new": str(job.state),
        "reason": move.reason,
        "actor": move.actor,
        "message": job.message,
        "advice": job.advice,
        "attempts": job.attempts,
        "wedding": str(job.wedding_id) if job.wedding_id else None,
        "vault": str(job.vault_id) if job.vault_id else None,
        "depth": _depth(job),
        "place": job.parameters.get("copy") or job.parameters.get("folder"),
    }
    emit(
        Tag.JOB_MOVED,
        subject_type="job",
        subject_id=job.pk,
        organisation_id=job.organisation_id,
        payload=what,
        clock=clock,
    )
    groups = live_groups(job)

    def tell() -> None:
        for group in groups:
            live.publish(group, {"type": "job.moved", "at": at, **what})

    transaction.on_commit(tell)


def live_groups(job: Job) -> list[str]:
    """Return the live groups that hear of a job: its own, its wedding's, its organisation's, the platform's."""
    wedding = [f"wedding.{job.wedding_id}"] if job.wedding_id else []
    organisation = [f"organisation.{job.organisation_id}"] if job.organisation_id else []
    return [f"job.{job.pk}", *wedding, *organisation, live.PLATFORM]


def _cancel_followers(job: Job, clock: Clock) -> None:
    for follower in Job.unscoped.filter(depends_on=job, state=JobState.QUEUED):
        job_move(
            follower,
            JobState.CANCELLED,
            reason=f"the {job.get_kind_display().lower()} before it did not complete",
            actor="queue",
            clock=clock,
            message="Not started: the job that it waited for did not complete.",
            advice="Start that job again, then this one.",
        )
