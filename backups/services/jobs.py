"""Jobs as rows: enqueue, claim, renew, move, cancel, try again. The only place that changes a job's state.

Each move is one transaction: compare-and-set on state and fence, a JobMove, an event. Whoever holds a job may write to
it only while `fence` is the one of its claim; `job_hold` is the same promise for a larger transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet

from backups import doorbell
from backups.models import Job, JobMove, Organisation, Vault, Wedding
from backups.services.queue import claimable
from backups.states import JOB_ENDED, JOB_MOVES, JobState
from wedbackup.core import live
from wedbackup.core.audit import AuditTag, actor_name, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.events import Tag, emit
from wedbackup.core.models import User

SENTENCE_MAX = 500  # length of the columns that hold a sentence


class IllegalMove(ValueError):
    """The table of moves has no such move: a mistake in the program."""


class LeaseLost(Exception):
    """Another worker may have the job: nothing may be written for it any more."""


class JobRefused(Exception):
    """The request makes no sense in the job's present state; the message says why."""


def job_enqueue(
    *,
    kind: str,
    organisation: Organisation,
    wedding: Wedding | None = None,
    vault: Vault | None = None,
    priority: int = 50,
    parameters: Mapping[str, Any] | None = None,
    requested_by: User | None = None,
    depends_on: Job | None = None,
    idempotency_key: str | None = None,
    run_after: datetime | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Job:
    """Put one job into the queue and ring once the caller's transaction commits.

    priority:        smaller is more urgent.
    depends_on:      starts only after this job completed; is cancelled when it fails.
    idempotency_key: asking twice with the same key gives the same job.
    run_after:       not before this moment; None is at once.
    """
    now = clock.utcnow()
    job = Job(
        kind=kind,
        organisation=organisation,
        wedding=wedding,
        vault=vault,
        priority=priority,
        parameters=dict(parameters or {}),
        requested_by=requested_by,
        depends_on=depends_on,
        idempotency_key=idempotency_key,
        created_at=now,
        run_after=run_after or now,
    )
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            _note_move(job, "", "", actor_name(requested_by) if requested_by else "scheduler", now)
    except IntegrityError:
        existing = Job.unscoped.filter(idempotency_key=idempotency_key).first() if idempotency_key else None
        if existing is None:
            raise
        return existing
    transaction.on_commit(doorbell.ring)
    return job


def job_claim(*, worker: str, only: Job | None = None, clock: Clock = SYSTEM_CLOCK) -> Job | None:
    """Take the most urgent job that may start, with a lease for `worker`; None when there is none.

    only: take this job or nothing.

    The update that compares state and fence decides who was first. PostgreSQL's SKIP LOCKED merely keeps the workers
    out of each other's way. A row that the constraint `one_writer_per_vault` refuses is left, and the next one tried.
    """
    refused: list[object] = []
    while True:
        candidates = claimable(clock.utcnow()).exclude(pk__in=refused)
        if only is not None:
            candidates = candidates.filter(pk=only.pk)
        if not candidates.exists():  # no write transaction for nothing
            return None
        with transaction.atomic():
            if connection.features.has_select_for_update_skip_locked:
                candidates = candidates.select_for_update(skip_locked=True, of=("self",))
            job = candidates.first()
            if job is None:
                return None
            if _start(job, worker, clock):
                return job
        refused.append(job.pk)


def _start(job: Job, worker: str, clock: Clock) -> bool:
    now = clock.utcnow()
    try:
        with transaction.atomic():
            return job_move(
                job,
                JobState.RUNNING,
                reason="",
                actor=worker,
                clock=clock,
                lease_owner=worker,
                lease_expires_at=_lease_end(now),
                fence=job.fence + 1,
                attempts=job.attempts + 1,
                started_at=now,
                finished_at=None,
                progress={},
                message="",
                advice="",
            )
    except IntegrityError:
        return False


def job_heartbeat(job: Job, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Renew the lease of a claimed job; False when it was lost, and then nothing may be written any more."""
    return held(job).update(lease_expires_at=_lease_end(clock.utcnow())) == 1


def held(job: Job) -> QuerySet[Job]:
    """Return the job's row as long as this claim of it holds: the fence that every write of a run goes through."""
    return Job.unscoped.filter(pk=job.pk, fence=job.fence, state=JobState.RUNNING)


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
        _note_move(job, old, reason, actor_name(actor), now)
        if to in {JobState.FAILED, JobState.CANCELLED}:
            _cancel_followers(job, clock)
    return True


def _fields_of_state(to: str, now: datetime) -> dict[str, Any]:
    if to == JobState.RUNNING:
        return {"cancel_requested": False}
    unleased: dict[str, Any] = {"lease_owner": "", "lease_expires_at": None, "cancel_requested": False}
    return unleased | ({"finished_at": now} if to in JOB_ENDED else {})


def _note_move(job: Job, old: str, reason: str, actor: str, at: datetime) -> None:
    """Write the move and its event, and tell the pages after the commit."""
    move = JobMove.objects.create(
        job=job, old_state=old, new_state=job.state, reason=reason[:SENTENCE_MAX], actor=actor[:150], at=at
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
    }
    emit(
        Tag.JOB_MOVED,
        subject_type="job",
        subject_id=job.pk,
        organisation_id=job.organisation_id,
        payload=what,
        clock=_At(at),
    )
    groups = live_groups(job)
    transaction.on_commit(lambda: [live.publish(group, {"type": "job.moved", "at": at, **what}) for group in groups])


class _At:
    """A clock that stands still, so that a move and its event carry the same moment."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def utcnow(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        del seconds


def live_groups(job: Job) -> list[str]:
    """Return the live groups that hear of a job: its own, its wedding's, its organisation's, the platform's."""
    wedding = [f"wedding.{job.wedding_id}"] if job.wedding_id else []
    return [f"job.{job.pk}", *wedding, f"organisation.{job.organisation_id}", live.PLATFORM]


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


def job_cancel(job: Job, *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Cancel a waiting job at once, ask a running one to stop; False when it had ended already."""
    job.refresh_from_db()
    with transaction.atomic():
        if job.state == JobState.QUEUED and job_move(
            job, JobState.CANCELLED, reason="cancelled on request", actor=actor, clock=clock, message="Cancelled."
        ):
            _audit(AuditTag.JOB_CANCELLED, job, actor, clock)
            return True
        running = Job.unscoped.filter(pk=job.pk, state=JobState.RUNNING)
        if running.update(cancel_requested=True) != 1:
            return False
        _audit(AuditTag.JOB_CANCELLED, job, actor, clock)
    return True


def job_retry(job: Job, *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Put a failed or cancelled job back into the queue, to run at once.

    Raises JobRefused when it is not failed or cancelled, or when the job that it depends on is.
    """
    job.refresh_from_db()
    if job.state not in {JobState.FAILED, JobState.CANCELLED}:
        raise JobRefused(f"Only a failed or cancelled job can be tried again; this one is {job.get_state_display()}.")
    before = job.depends_on
    if before is not None and before.state in {JobState.FAILED, JobState.CANCELLED}:
        raise JobRefused(f"It waits for another job ({before}); try that one again first.")
    with transaction.atomic():
        moved = job_move(
            job,
            JobState.QUEUED,
            reason="tried again on request",
            actor=actor,
            clock=clock,
            run_after=job.created_at,
            attempts=0,
            finished_at=None,
            message="",
            advice="",
        )
        if not moved:
            raise JobRefused("Somebody else was faster; look at the job again.")
        _audit(AuditTag.JOB_RETRIED, job, actor, clock)
        transaction.on_commit(doorbell.ring)


def job_hand_back(job: Job, reason: str, *, actor: str = "worker", clock: Clock = SYSTEM_CLOCK) -> bool:
    """Return a running job to the queue through no fault of its own; the attempt does not count."""
    with transaction.atomic():
        moved = job_move(
            job, JobState.QUEUED, reason=reason, actor=actor, clock=clock, attempts=max(0, job.attempts - 1)
        )
        if moved:
            transaction.on_commit(doorbell.ring)
    return moved


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.LEASE_SECONDS)


def _audit(tag: AuditTag, job: Job, actor: User | str, clock: Clock) -> None:
    record(
        tag,
        actor=actor,
        subject_type="job",
        subject_id=job.pk,
        organisation_id=job.organisation_id,
        detail={"kind": job.kind, "state": str(job.state)},
        clock=clock,
    )
