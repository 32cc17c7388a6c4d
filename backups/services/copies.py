"""Copies that fell behind are brought up to date from the others, without reading the source and without the key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db import transaction

from backups.engine.errors import RepositoryMissing
from backups.engine.format import FileKind
from backups.engine.upkeep.copies import Place, list_kind
from backups.engine.upkeep.replicate import ReplicateResult, replicate
from backups.models import Copy, Job, Snapshot, Vault
from backups.services.acknowledgement import snapshot_acknowledge
from backups.services.checks import check_request
from backups.services.copystates import copy_confirm, copy_degrade
from backups.services.damage import damage_mended, damage_met, damaged_names
from backups.services.jobs import job_enqueue
from backups.services.opening import OpenCopies, copies_of, copies_open, copy_key, usual_proof
from backups.services.retention import forgotten_of, prune_request
from backups.services.vaults import location_check_fit, vault_of
from backups.services.weddings import wedding_promise
from backups.states import JOB_UNFINISHED, CopyState, JobState
from backups.worker import JobContext, Outcome
from providers.models import Location, Traffic
from providers.services.locations import location_report
from providers.stores.errors import StoreError
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User
from wedbackup.core.moments import within
from wedbackup.core.templatetags.words import size

CATCH_UP_EVERY = timedelta(minutes=10)
CATCH_UPS_PER_TICK = 50
CATCH_UP_RANK = 5  # behind the backups of the same wedding, before those of less urgent ones


def copy_add(vault: Vault, location: Location, *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> Copy:
    """Give `vault` one more copy, at `location`, and queue its filling from the others.

    A backup waits for it only while the vault has fewer copies to wait for than its policy asks for. Raises
    ValidationError when the location must not hold it, or has a copy of it already.
    """
    location_check_fit(location)
    waited_for = Copy.unscoped.filter(vault=vault, required=True).count()
    copy = Copy(vault=vault, location=location, required=waited_for < vault.policy.copies_needed)
    with transaction.atomic():
        copy.full_clean()
        copy.save(force_insert=True)
        record(
            AuditTag.COPY_ADDED,
            actor=actor,
            subject_type="vault",
            subject_id=vault.pk,
            organisation_id=vault.organisation_id,
            detail={"vault": str(vault), "location": location.name},
            clock=clock,
        )
        if Snapshot.unscoped.filter(vault=vault).exists():
            catch_up_request(vault, behind=[location.name], clock=clock)
    return copy


def catch_up_request(vault: Vault, *, behind: Collection[str], clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue one job for each copy of `vault` at the locations named in `behind`, unless there is one already.

    A paused location is left out: its job would only be put off until it is given up. The backup after the pause finds
    the copy behind. So is a damaged copy: its check repairs it, and brings what it lacks as well.
    """
    unfinished = Job.unscoped.filter(vault=vault, kind=Job.Kind.CATCH_UP, state__in=JOB_UNFINISHED)
    asked = {job.parameters.get("copy") for job in unfinished}
    return [
        job_enqueue(
            kind=Job.Kind.CATCH_UP,
            organisation=vault.organisation,
            wedding=vault.wedding,
            vault=vault,
            priority=wedding_promise(vault.wedding, clock=clock).rank + CATCH_UP_RANK,
            parameters={"copy": copy.pk, "location": copy.location.name},
            clock=clock,
        )
        for copy in copies_of(vault)
        if copy.location.name in behind
        and copy.location.paused_at is None
        and copy.state != CopyState.DAMAGED
        and copy.pk not in asked
    ]


def catch_ups_enqueue_due(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue a catch-up of each copy that lags although its location answers again; return the jobs.

    A backup queues catch-ups as well, but the next one may be a day away, and their attempts end before a long outage.
    """
    if Traffic.objects.filter(paused_at__isnull=False).exists():
        return []
    recent = Job.unscoped.filter(within("created_at", clock.utcnow(), CATCH_UP_EVERY), kind=Job.Kind.CATCH_UP)
    asked = {job.parameters.get("copy") for job in recent}
    lagging = Copy.unscoped.filter(
        state__in=[CopyState.BEHIND, CopyState.UNREACHABLE],
        location__enabled=True,
        location__paused_at=None,
        location__breaker=Location.Breaker.CLOSED,
        location__last_error="",
    )
    due = lagging.select_related("location", "vault__organisation", "vault__wedding")[:CATCH_UPS_PER_TICK]
    jobs: list[Job] = []
    for copy in due:
        if copy.pk not in asked:
            jobs += catch_up_request(copy.vault, behind=[copy.location.name], clock=clock)
    return jobs


def run_catch_up(context: JobContext) -> Outcome:
    """Bring one copy up to date from the others, confirm what it holds now, acknowledge what became safe by it.

    Raises StoreError while its location does not answer (the worker queues the job again).
    """
    vault = vault_of(context.job)
    copies = copies_of(vault)
    target = next((copy for copy in copies if copy.pk == context.job.parameters["copy"]), None)
    if target is None:
        return Outcome(JobState.COMPLETED, "The copy was removed meanwhile; there is nothing to catch up.")
    with copies_open(copies, purpose="backup", clock=context.clock) as opened:
        result = _replicate(context, vault, opened, target)
        held = held_snapshots(vault, Place(opened.stores[copy_key(target)], vault.prefix))
        proof = usual_proof(opened.stores[copy_key(target)])
    outcome = _record_catch_up(context, vault, target, result, held, proof)
    prune_request(vault, clock=context.clock)  # it may have missed one
    return outcome


def _replicate(context: JobContext, vault: Vault, opened: OpenCopies, target: Copy) -> ReplicateResult:
    key = copy_key(target)
    if key in opened.errors:
        raise opened.errors[key]
    sources = {label: Place(store, vault.prefix) for label, store in opened.stores.items() if label != key}
    if not sources:
        raise RepositoryMissing("no other copy of the vault answers")
    try:
        result = replicate(
            sources,
            Place(opened.stores[key], vault.prefix),
            damaged=damaged_names(target),
            forgotten=forgotten_of(vault),
            listener=context.report,
            cancel=context.cancel,
        )
    except StoreError as exc:
        with context.fenced():
            copy_degrade(target, CopyState.UNREACHABLE, str(exc), clock=context.clock)
        location_report(target.location, ok=False, error=exc, clock=context.clock)
        raise
    location_report(target.location, ok=True, clock=context.clock)
    damage_met(opened.copies.values(), result.source_problems, clock=context.clock)
    return result


def held_snapshots(vault: Vault, place: Place) -> list[Snapshot]:
    """Return the snapshots that a copy shows now, without those that lost files everywhere.

    Whatever else it shows is whole: writers publish snapshots last.
    """
    shown = list_kind(place, FileKind.SNAPSHOTS)
    rows = Snapshot.unscoped.filter(vault=vault, restic_id__in=shown, lost_count=0)
    return list(rows.select_related("vault__policy"))


def _record_catch_up(
    context: JobContext,
    vault: Vault,
    target: Copy,
    result: ReplicateResult,
    held: Sequence[Snapshot],
    proof: str,
) -> Outcome:
    newest = Snapshot.unscoped.filter(vault=vault).first()
    current = result.complete and (newest is None or newest in held)
    name = target.location.name
    with context.fenced():
        damage_mended(target, result.copied)
        if current:
            copy_confirm(target, held, proof=proof, clock=context.clock)
            acknowledged = sum(newly_acknowledged(snapshot, context.clock) for snapshot in held)
        else:
            copy_degrade(target, CopyState.BEHIND, "some files are in no other copy", clock=context.clock)
    details = {"copied": len(result.copied), "bytes": result.bytes_copied, "missing": result.missing[:50]}
    if not current:
        return Outcome(
            JobState.DEGRADED,
            f"{name} is still behind: {len(result.missing)} files are whole in no other copy.",
            "Check the vault's copies; the next backup stores again whatever the source still has.",
            details,
        )
    if target.state == CopyState.DAMAGED:
        check_request([target], read_data=True, clock=context.clock)
        advice = "Nothing to do: every byte of it will be read, and what is damaged is replaced from the other copies."
        return Outcome(JobState.DEGRADED, f"{name} has every file, but some of them are damaged.", advice, details)
    safe = f" {acknowledged} more snapshots are safe now." if acknowledged > 1 else ""
    safe = " One more snapshot is safe now." if acknowledged == 1 else safe
    message = f"{name} is up to date: {len(result.copied)} files, {size(result.bytes_copied)} copied.{safe}"
    return Outcome(JobState.COMPLETED, message, "", details | {"acknowledged": acknowledged})


def newly_acknowledged(snapshot: Snapshot, clock: Clock) -> bool:
    """Acknowledge a snapshot if it may be, and say whether it was not before."""
    if snapshot.acknowledged_at is not None:  # of a year's snapshots nearly all: each would cost two queries
        return False
    return snapshot_acknowledge(snapshot, clock=clock).acknowledged
