"""Emergency recovery: asked for by staff, carried out by a worker, ended with a signed proof.

The clock that staff see runs from their tap. First comes the first priority set (documents, guests, timeline), then
photos and video. Every file is read back from the medium and compared with the hashes in the vault.
"""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from backups.models import Job, Organisation, Vault, Wedding
from backups.services.backups import in_class_order
from backups.services.jobs import job_enqueue
from backups.services.recovering import Recovered, RecoveryRun
from backups.services.recovery_proof import proof_write
from backups.services.recovery_target import target_claim, target_refuse_unsafe
from backups.services.recovery_zip import zip_write
from backups.services.weddings import wedding_promise
from backups.states import JOB_UNFINISHED, JobState
from backups.worker import JobContext, Outcome
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.events import Tag, emit
from wedbackup.core.models import User
from wedbackup.core.templatetags.words import number, size

RECOVERY_RANK = 0  # nothing is more urgent
MISSES_SHOWN = 500


def recovery_request(
    *,
    wedding: Wedding,
    organisation: Organisation,
    user: User,
    target: str | None = None,
    as_zip: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> Job:
    """Queue the recovery of everything that `organisation` has of `wedding`.

    target: a folder on this machine that is not there yet, or is empty; None makes one below HOME/recoveries.
    as_zip: also write a zip beside it, for download in ranges.

    A second tap returns the recovery that is under way. Raises PermissionDenied for whoever may not recover,
    ValidationError when the target will not do or there is nothing to recover.
    """
    if not user.may_recover:
        raise PermissionDenied("Only staff may start a recovery. Call them.")
    if target is not None:
        target_refuse_unsafe(target)
    if not Vault.unscoped.filter(wedding=wedding, organisation=organisation).exists():
        raise ValidationError(f"{organisation} has no vault of {wedding}, so there is nothing to recover.")
    parameters = {"target": target, "zip": as_zip, "first_seconds": wedding_promise(wedding, clock=clock).first_seconds}
    under_way = Job.unscoped.filter(
        kind=Job.Kind.RECOVERY, wedding=wedding, organisation=organisation, state__in=JOB_UNFINISHED
    )
    for job in under_way:
        if job.parameters == parameters:
            return job
    with transaction.atomic():
        job = job_enqueue(
            kind=Job.Kind.RECOVERY,
            organisation=organisation,
            wedding=wedding,
            priority=RECOVERY_RANK,
            parameters=parameters,
            requested_by=user,
            clock=clock,
        )
        record(
            AuditTag.RECOVERY_REQUESTED,
            actor=user,
            subject_type="wedding",
            subject_id=wedding.pk,
            organisation_id=organisation.pk,
            detail={"job": str(job.pk), "target": target, "zip": as_zip},
            clock=clock,
        )
    return job


def run_recovery(context: JobContext) -> Outcome:
    """Carry out one recovery job. Killed at any moment, the next attempt goes on in the same folder.

    Raises TargetFull or UnsafeTarget for the target's disk, VaultSealed, Cancelled.
    """
    job = context.job
    waited = max(0.0, (context.clock.utcnow() - job.created_at).total_seconds())
    vaults = (
        Vault.unscoped.filter(wedding=job.wedding_id, organisation=job.organisation_id)
        .select_related("organisation", "wedding", "policy")
        .order_by(in_class_order())
    )
    target = target_claim(job.parameters.get("target") or default_target(job), job)
    recovered = RecoveryRun(context, target, waited).run(list(vaults))
    proof = proof_write(job, target, recovered, at=context.clock.utcnow())
    zip_path = None
    if job.parameters.get("zip"):
        zip_path = f"{default_target(job)}.zip"
        zip_write(target, zip_path, context)
    _announce(context, recovered)
    result = _result(job, target, zip_path, recovered)
    return _outcome(job, recovered, result | {"proof_sha256": proof.sha256, "signature": proof.signature})


def default_target(job: Job) -> str:
    """Return the folder of a recovery for which staff named none."""
    return os.path.join(settings.HOME, "recoveries", str(job.pk))


def _result(job: Job, target: str, zip_path: str | None, recovered: Recovered) -> dict[str, Any]:
    return {
        "target": target,
        "zip": zip_path,
        "files": recovered.files,
        "bytes": recovered.size_bytes,
        "equal": recovered.equal,
        "misses": [list(miss) for miss in recovered.misses[:MISSES_SHOWN]],
        "miss_count": len(recovered.misses),
        "notes": recovered.notes,
        "snapshots": recovered.snapshots,
        "priority_seconds": recovered.priority_seconds,
        "promised_seconds": job.parameters["first_seconds"],
        "seconds": recovered.seconds,
    }


def _outcome(job: Job, recovered: Recovered, result: dict[str, Any]) -> Outcome:
    if recovered.files == 0 and recovered.misses:
        reason = recovered.misses[0][1]
        return Outcome(
            JobState.FAILED,
            f"Nothing could be recovered: {reason}",
            "Check the locations; when one of them answers, try this recovery again.",
            result,
        )
    counted = (
        f"{number(recovered.equal)} of {number(recovered.files + len(recovered.misses))} files recovered and equal"
    )
    times = f"{size(recovered.size_bytes)} in {recovered.seconds:.1f} s"
    first = (
        f"documents after {recovered.priority_seconds:.1f} s (promised {job.parameters['first_seconds']} s)"
        if recovered.priority_seconds is not None
        else "there were no documents"
    )
    message = " ".join([f"{counted}, {times}; {first}.", *recovered.notes])
    if recovered.whole:
        return Outcome(JobState.COMPLETED, message, "", result)
    advice = "The proof lists what is missing and why. Try again when more locations answer."
    return Outcome(JobState.DEGRADED, message, advice, result)


def _announce(context: JobContext, recovered: Recovered) -> None:
    job = context.job
    with context.fenced():
        emit(
            Tag.RECOVERY_FINISHED,
            subject_type="job",
            subject_id=job.pk,
            organisation_id=job.organisation_id,
            payload={
                "wedding": str(job.wedding_id),
                "files": recovered.files,
                "equal": recovered.equal,
                "misses": len(recovered.misses),
                "priority_seconds": recovered.priority_seconds,
                "promised_seconds": job.parameters["first_seconds"],
                "seconds": recovered.seconds,
            },
            clock=context.clock,
        )
