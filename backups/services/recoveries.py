"""Emergency recovery: asked for by staff, carried out by a worker, ended with a signed proof.

The clock that staff see runs from their tap. First comes the first priority set (documents, guests, timeline), then
photos and video. Every file is read back from the medium and compared with the hashes in the vault.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from backups.engine.errors import Cancelled, NoSpace
from backups.models import Job, Organisation, Snapshot, Vault, Wedding
from backups.services.backups import in_class_order
from backups.services.jobs import job_enqueue
from backups.services.recovering import Recovered, RecoveryRun
from backups.services.recovery_choice import THAW_FIRST
from backups.services.recovery_proof import proof_write
from backups.services.recovery_result import RecoveryFacts
from backups.services.recovery_target import target_claim, target_refuse_unsafe
from backups.services.recovery_zip import zip_write
from backups.services.weddings import wedding_promise
from backups.states import JOB_UNFINISHED, JobState
from backups.worker import JobContext, Outcome, StoppedHalfway
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.events import Tag, emit
from wedbackup.core.models import User
from wedbackup.core.templatetags.words import number, size

RECOVERY_RANK = 0  # nothing is more urgent
MISSES_SHOWN = 500
THAW = "Have the copies in the archive class brought back at their provider, then start this recovery again."


def recovery_request(
    *,
    wedding: Wedding,
    organisation: Organisation | None = None,
    user: User,
    target: str | None = None,
    as_zip: bool = False,
    picked: Mapping[Vault, Snapshot] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Job:
    """Queue the recovery of everything that is stored of `wedding`.

    organisation: only what this business has of it; None is all businesses.
    target: a folder on this machine that is not there yet, or is empty; None makes one below HOME/recoveries.
    as_zip: also write a zip beside it, for download in ranges.
    picked: states that a person chose, by vault; the best state there is comes back of the others.

    A second tap, also somebody else's, returns the recovery that is under way. Raises PermissionDenied for whoever may
    not recover, ValidationError when the target will not do or there is nothing to recover.
    """
    if not user.may_recover:
        raise PermissionDenied("Only staff may start a recovery. Call them.")
    if target is not None:
        target_refuse_unsafe(target)
    vaults = recovery_vaults(wedding, organisation)
    if not vaults:
        raise ValidationError(f"{organisation or 'Nobody'} has a vault of {wedding}, so there is nothing to recover.")
    owners = {vault.organisation for vault in vaults}
    owner = owners.pop() if len(owners) == 1 else None
    wish = {"target": target, "zip": as_zip, "snapshots": _as_wish(picked or {})}
    with transaction.atomic():
        # One after the other for each wedding, so that of several taps at the same moment the first one makes the job.
        Wedding.unscoped.select_for_update().get(pk=wedding.pk)
        under_way = Job.unscoped.filter(
            kind=Job.Kind.RECOVERY, wedding=wedding, organisation=owner, state__in=JOB_UNFINISHED
        )
        for job in under_way:
            if wish.items() <= job.parameters.items():
                return job
        job = job_enqueue(
            kind=Job.Kind.RECOVERY,
            organisation=owner,
            wedding=wedding,
            priority=RECOVERY_RANK,
            parameters=wish | {"first_seconds": wedding_promise(wedding, clock=clock).first_seconds},
            requested_by=user,
            clock=clock,
        )
        record(
            AuditTag.RECOVERY_REQUESTED,
            actor=user,
            subject_type="wedding",
            subject_id=wedding.pk,
            organisation_id=owner.pk if owner else None,
            detail={"job": str(job.pk), **wish},
            clock=clock,
        )
    return job


def recovery_vaults(wedding: Wedding, organisation: Organisation | None) -> list[Vault]:
    """Return what a recovery of `wedding` brings back, of one business or of all, the urgent vaults first."""
    vaults = Vault.unscoped.filter(wedding=wedding).select_related("organisation", "wedding", "policy")
    if organisation is not None:
        vaults = vaults.filter(organisation=organisation)
    return list(vaults.order_by(in_class_order(), "organisation__name"))


def _as_wish(picked: Mapping[Vault, Snapshot]) -> dict[str, str]:
    return {str(vault.pk): str(snapshot.pk) for vault, snapshot in picked.items()}


def _picked(job: Job, vaults: Sequence[Vault]) -> dict[Vault, Snapshot]:
    """Return the states that a person chose; one that has been forgotten since is chosen anew."""
    wanted = job.parameters.get("snapshots", {}).values()
    snapshots = {snapshot.vault_id: snapshot for snapshot in Snapshot.unscoped.filter(pk__in=wanted)}
    return {vault: snapshots[vault.pk] for vault in vaults if vault.pk in snapshots}


def run_recovery(context: JobContext) -> Outcome:
    """Carry out one recovery job. Killed at any moment, the next attempt goes on in the same folder.

    Raises TargetFull or UnsafeTarget for the target's disk, VaultSealed, StoppedHalfway.
    """
    job = context.job
    assert job.wedding is not None
    waited = max(0.0, (context.clock.utcnow() - job.created_at).total_seconds())
    vaults = recovery_vaults(job.wedding, job.organisation)
    target = target_claim(job.parameters.get("target") or default_target(job), job)
    proved_before = RecoveryFacts.of(job).first

    def keep(recovered: Recovered) -> None:
        first = recovered.priority_seconds
        if first is not None and proved_before.seconds is not None and proved_before.is_whole:
            recovered.priority_seconds = min(first, proved_before.seconds)  # an earlier attempt had them already
        job.result = _result(job, target, None, recovered)
        with context.fenced():
            Job.unscoped.filter(pk=job.pk).update(result=job.result)

    picked = _picked(job, vaults)
    run = RecoveryRun(context, target, waited=waited, picked=picked, keep=keep)
    for vault in vaults:
        if str(vault.pk) in job.parameters.get("snapshots", {}) and vault not in picked:
            run.note(vault, "the state that was chosen is gone meanwhile; the best one that is left was taken.")
    try:
        recovered = run.run(vaults)
        proof = proof_write(job, target, recovered, at=context.clock.utcnow())
        zip_path = None
        if job.parameters.get("zip"):
            zip_path = f"{default_target(job)}.zip"
            zip_write(target, zip_path, context)
            recovered.seconds = run.elapsed()
    except Cancelled as exc:
        job.result = _result(job, target, None, run.recovered)
        raise StoppedHalfway(_stopped(target, run.recovered)) from exc
    except NoSpace as exc:
        job.result = _result(job, target, None, run.recovered)
        raise NoSpace(f"{exc}. {_back(target, run.recovered)}") from exc
    _announce(context, recovered)
    result = _result(job, target, zip_path, recovered)
    return _outcome(job, recovered, result | {"proof_sha256": proof.sha256, "signature": proof.signature})


def default_target(job: Job) -> str:
    """Return the folder of a recovery for which staff named none."""
    return os.path.join(settings.HOME, "recoveries", str(job.pk))


def _result(job: Job, target: str, zip_path: str | None, recovered: Recovered) -> dict[str, Any]:
    """Return the facts as `RecoveryFacts` reads them."""
    return {
        "target": target,
        "zip": zip_path,
        "expected": recovered.expected,
        "equal": recovered.equal,
        "unproved": recovered.unproved,
        "first_expected": recovered.first_expected,
        "first_equal": recovered.first_equal,
        "bytes": recovered.size_bytes,
        "misses": [list(miss) for miss in recovered.misses[:MISSES_SHOWN]],
        "miss_count": len(recovered.misses),
        "notes": recovered.notes,
        "snapshots": recovered.snapshots,
        "priority_seconds": recovered.priority_seconds,
        "promised_seconds": job.parameters["first_seconds"],
        "seconds": recovered.seconds,
    }


def _outcome(job: Job, recovered: Recovered, result: dict[str, Any]) -> Outcome:
    frozen = any(THAW_FIRST in note for note in recovered.notes)
    if recovered.equal == 0 and recovered.misses:
        reason = " ".join([f"{recovered.misses[0][1]}.", *recovered.notes])
        return Outcome(
            JobState.FAILED,
            f"Nothing could be recovered: {reason}",
            THAW if frozen else "Check the locations; when one of them answers, try this recovery again.",
            result,
        )
    counted = f"{number(recovered.equal)} of {number(recovered.expected)} files recovered and equal"
    times = f"{size(recovered.size_bytes)} in {recovered.seconds:.1f} s"
    message = " ".join([f"{counted}, {times}; {_of_first_set(job, recovered)}.", *recovered.notes])
    if recovered.whole:
        return Outcome(JobState.COMPLETED, message, "", result)
    advice = "The proof lists what is missing and why. Try again when more locations answer."
    return Outcome(JobState.DEGRADED, message, THAW if frozen else advice, result)


def _of_first_set(job: Job, recovered: Recovered) -> str:
    if recovered.priority_seconds is None:
        return "there were no documents"
    after = f"after {recovered.priority_seconds:.1f} s (promised {job.parameters['first_seconds']} s)"
    missing = recovered.first_expected - recovered.first_equal
    if missing:
        of_all = f"{number(missing)} of {number(recovered.first_expected)} documents are missing"
        return f"{of_all}, the others were back {after}"
    return f"documents {after}"


def _back(target: str, recovered: Recovered) -> str:
    """Say what is already back, and where."""
    if not recovered.equal and not recovered.unproved:
        return "Nothing is back yet."
    more = f", {number(recovered.unproved)} more are back and not yet compared" if recovered.unproved else ""
    first = ""
    if recovered.priority_seconds is not None and recovered.first_equal == recovered.first_expected:
        first = " All documents are among them."
    proved = f"{number(recovered.equal)} of {number(recovered.expected)} files are back and proved"
    return f"{proved}{more}, in {target}.{first}"


def _stopped(target: str, recovered: Recovered) -> str:
    return f"Stopped. {_back(target, recovered)} It can go on from there."


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
                "files": recovered.expected,
                "equal": recovered.equal,
                "misses": len(recovered.misses),
                "priority_seconds": recovered.priority_seconds,
                "promised_seconds": job.parameters["first_seconds"],
                "seconds": recovered.seconds,
            },
            clock=context.clock,
        )
