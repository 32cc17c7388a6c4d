"""Jobs as rows: enqueue, claim, renew, cancel, hand back, try again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from backups import doorbell
from backups.models import Job, Organisation, Vault, Wedding
from backups.services.moves import IllegalMove, LeaseLost, held, job_hold, job_move, note_move
from backups.services.queue import claimable
from backups.states import JobState
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User

__all__ = [
    "IllegalMove",
    "JobRefused",
    "LeaseLost",
    "held",
    "job_cancel",
    "job_claim",
    "job_enqueue",
    "job_hand_back",
    "job_heartbeat",
    "job_hold",
    "job_move",
    "job_postpone",
    "job_retry",
    "lease_end",
]


class JobRefused(Exception):
    """The request makes no sense in the job's present state; the message says why."""


def job_enqueue(
    *,
    kind: str,
    organisation: Organisation | None,
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

    organisation:    whose work it is; None for the platform's own.
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
            note_move(job, "", reason="", actor=requested_by or "scheduler", clock=clock)
    except IntegrityError:
        existing = Job.unscoped.filter(idempotency_key=idempotency_key).first() if idempotency_key else None
        if existing is None:
            raise
        return existing
    transaction.on_commit(doorbell.ring)
    return job


def job_claim(
    *, worker: str, only: Job | None = None, recoveries_only: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Job | None:
    """Take the most urgent job that may start, with a lease for `worker`; None when there is none.

    only:            take this job or nothing.
    recoveries_only: leave everything else to others.

    The update that compares state and fence decides who was first. PostgreSQL's SKIP LOCKED merely keeps the workers
    out of each other's way. A row that the constraint `one_writer_per_vault` refuses is left, and the next one tried.
    """
    refused: list[UUID] = []
    while True:
        candidates = claimable(clock.utcnow()).exclude(pk__in=refused)
        if only is not None:
            candidates = candidates.filter(pk=only.pk)
        if recoveries_only:
            candidates = candidates.filter(kind=Job.Kind.RECOVERY)
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
                lease_expires_at=lease_end(now),
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
    return held(job).update(lease_expires_at=lease_end(clock.utcnow())) == 1


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
    """Return a running job to the queue through no fault of its own: the attempt does not count.

    False when somebody else moved it before.
    """
    return _requeue(job, reason, actor, clock, attempts=max(0, job.attempts - 1))


def job_postpone(
    job: Job, *, seconds: float, reason: str, message: str, advice: str, actor: str, clock: Clock = SYSTEM_CLOCK
) -> bool:
    """Return a running job to the queue, to be tried again in `seconds` [s]; False when somebody else moved it."""
    run_after = clock.utcnow() + timedelta(seconds=seconds)
    return _requeue(job, reason, actor, clock, run_after=run_after, message=message, advice=advice)


def _requeue(job: Job, reason: str, actor: str, clock: Clock, **fields: Any) -> bool:
    """Back to the queue, unless a person asked to cancel meanwhile: then the job ends here."""
    with transaction.atomic():
        row = Job.unscoped.select_for_update().get(pk=job.pk)
        if row.cancel_requested:
            return job_move(job, JobState.CANCELLED, reason=reason, actor=actor, clock=clock, message="Cancelled.")
        moved = job_move(job, JobState.QUEUED, reason=reason, actor=actor, clock=clock, **fields)
        if moved:
            transaction.on_commit(doorbell.ring)
    return moved


def lease_end(now: datetime) -> datetime:
    """Return until when a lease holds that is taken or renewed `now`."""
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
