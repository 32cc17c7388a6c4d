"""Backups: asked for, and carried out by a worker."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, IntegerField, Value, When

from backups.engine.backup.messages import Destination
from backups.engine.backup.run import BackupRequest, SourceFolder, backup
from backups.engine.errors import SourceMissing, SourceUnreadable, TooFewCopies
from backups.models import Job, Snapshot, Source, Vault, Wedding
from backups.policy.priority import pause_seconds
from backups.services.acknowledgement import domains_needed
from backups.services.adoption import recorded_ids, snapshots_adopt
from backups.services.copies import catch_up_request
from backups.services.damage import damaged_names
from backups.services.extents import known_mounts
from backups.services.jobs import job_enqueue
from backups.services.opening import OpenCopies, copies_of, copies_open
from backups.services.recording import Recorded, backup_record, backup_record_failure
from backups.services.retention import forgotten_of, prune_request
from backups.services.uploads.keeping import uploads_listed
from backups.services.vaults import vault_config, vault_master, vault_of
from backups.services.weddings import wedding_promise
from backups.states import JOB_UNFINISHED, JobState
from backups.worker import JobContext, Outcome
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.templatetags.words import counted, number, size

# Small and needed first: timeline, contracts and guest list are safe while the pictures are still being read.
CLASS_ORDER = (
    Vault.ProtectionClass.DOCUMENTS,
    Vault.ProtectionClass.GUESTS,
    Vault.ProtectionClass.BUSINESS,
    Vault.ProtectionClass.MEDIA,
)


LEFT_OUT_TOLD = 5  # patterns in the message; all are in the result


def in_class_order() -> Case:
    """Return an ordering expression for vaults: documents and guests before media."""
    places = [When(protection_class=name, then=Value(place)) for place, name in enumerate(CLASS_ORDER)]
    return Case(*places, output_field=IntegerField())


def backup_request(
    *,
    wedding: Wedding | None = None,
    vault: Vault | None = None,
    user: Any = None,
    reason: str,
    clock: Clock = SYSTEM_CLOCK,
) -> list[Job]:
    """Queue a backup of one vault, or of all vaults of a wedding; documents and guests come first.

    user:   who asks; their scope decides which vaults of the wedding are meant. None is the system itself.
    reason: in a few words, kept with the job.

    A vault whose backup is queued or running already is not queued twice: its present job is returned.
    """
    vaults = Vault.unscoped.all() if user is None else Vault.objects.visible_to(user)
    vaults = vaults.filter(pk=vault.pk) if vault is not None else vaults.filter(wedding=wedding)
    found = vaults.select_related("organisation", "wedding").order_by(in_class_order())
    return [_request_one(each, user=user, reason=reason, clock=clock) for each in found]


def _request_one(vault: Vault, *, user: Any, reason: str, clock: Clock) -> Job:
    unfinished = Job.unscoped.filter(vault=vault, kind=Job.Kind.BACKUP, state__in=JOB_UNFINISHED).first()
    if unfinished is not None:
        return unfinished
    rank = wedding_promise(vault.wedding, clock=clock).rank
    with transaction.atomic():
        if user is not None:
            record(
                AuditTag.BACKUP_REQUESTED,
                actor=user,
                subject_type="vault",
                subject_id=vault.pk,
                organisation_id=vault.organisation_id,
                detail={"vault": str(vault), "reason": reason},
                clock=clock,
            )
        return job_enqueue(
            kind=Job.Kind.BACKUP,
            organisation=vault.organisation,
            wedding=vault.wedding,
            vault=vault,
            priority=rank + CLASS_ORDER.index(Vault.ProtectionClass(vault.protection_class)),
            parameters={"reason": reason},
            requested_by=user,
            clock=clock,
        )


def run_backup(context: JobContext) -> Outcome:
    """Carry out one backup job: read the sources once, store them at every place, record what is proved.

    A place that cannot be opened, is switched off or left alone is a failed destination, not a failed job.
    Raises TooFewCopies when no place took everything (the worker queues the job again, nothing is lost), SourceMissing,
    SourceUnreadable, SealingError and the engine's other errors.
    """
    vault = vault_of(context.job)
    sources = list(Source.unscoped.filter(vault=vault))
    if not sources:
        return Outcome(
            JobState.FAILED,
            f"{vault} has no source folder, so there was nothing to back up.",
            "Add the folder that holds its files to the vault.",
        )
    with copies_open(copies_of(vault), purpose="backup", clock=context.clock) as opened:
        request = _engine_request(vault, sources, opened, context.clock)
        uploads_listed(vault, context.job)
        try:
            result = backup(request, context.report, context.cancel)
        except TooFewCopies as exc:
            backup_record_failure(context, opened, exc.outcomes)
            raise
        except (SourceMissing, SourceUnreadable) as exc:
            _suspect(vault, str(exc))
            raise
        snapshots_adopt(context, vault, opened, result.unrecorded)
    next_due_at = _next_due(vault, context.clock)
    recorded = backup_record(context, vault, opened, result, next_due_at=next_due_at)
    catch_up_request(vault, behind=recorded.missing, clock=context.clock)
    prune_request(vault, clock=context.clock)
    return _outcome(vault, recorded)


def _engine_request(vault: Vault, sources: Sequence[Source], opened: OpenCopies, clock: Clock) -> BackupRequest:
    master = vault_master(vault)
    os.makedirs(settings.CACHE_DIR, mode=0o700, exist_ok=True)
    return BackupRequest(
        sources=tuple(
            SourceFolder(source.path, tuple(source.excludes), known_mounts(vault, source, clock=clock))
            for source in sources
        ),
        prefix=vault.prefix,
        master=master,
        config=vault_config(vault, master),
        vault_files=(bytes(vault.config_file), bytes(vault.key_file)),
        destinations=tuple(
            Destination(key, store, opened.copies[key].required, damaged_names(opened.copies[key]))
            for key, store in opened.stores.items()
        ),
        # One whole copy is better than none while the others are away. What counts as safe is decided afterwards, by
        # the policy, when the copies are acknowledged.
        copies_needed=1,
        cache_path=os.path.join(settings.CACHE_DIR, f"{vault.id}.sqlite3"),
        hostname=socket.gethostname(),
        username=getpass.getuser(),
        tags=(vault.protection_class,),
        recorded=recorded_ids(vault),
        forgotten=forgotten_of(vault),
        workers=settings.ENGINE_PROCESSES,
        clock=clock,
    )


def _next_due(vault: Vault, clock: Clock) -> Any:
    pause = pause_seconds(wedding_promise(vault.wedding, clock=clock), vault.policy.interval_minutes)
    return clock.utcnow() + timedelta(seconds=pause)


def _suspect(vault: Vault, reason: str) -> None:
    """A source that was there before and is gone now makes the vault suspicious; a new vault is only misconfigured."""
    if Snapshot.unscoped.filter(vault=vault).exists():
        Vault.unscoped.filter(pk=vault.pk).update(suspicion=reason[:300])


def _outcome(vault: Vault, recorded: Recorded) -> Outcome:
    snapshot = recorded.snapshot
    counted = f"{number(snapshot.file_count)} files, {size(snapshot.source_bytes)}"
    message = f"{counted}: {_stored_words(recorded)}"
    whole = not recorded.missing and not recorded.suspicion and not recorded.vanished
    details = [
        recorded.suspicion,
        _vanished_words(recorded),
        _left_out_words(recorded),
        recorded.acknowledgement.redundancy.gap,
    ]
    return Outcome(
        JobState.COMPLETED if whole else JobState.DEGRADED,
        " ".join(part for part in (message, *details) if part),
        _advice(vault, recorded),
        {
            "snapshot": str(snapshot.pk),
            "files": snapshot.file_count,
            "bytes": snapshot.source_bytes,
            "bytes_new": snapshot.stored_bytes,
            "acknowledged": recorded.acknowledgement.acknowledged,
            "missing": recorded.missing,
            "left_out": [[one.pattern, one.files, one.folders] for one in recorded.left_out],
        },
    )


def _stored_words(recorded: Recorded) -> str:
    places = recorded.acknowledgement.redundancy.copies
    where = "1 place" if places == 1 else f"{places} places"
    if not recorded.missing:
        return f"stored in {where}, {'confirmed' if places == 1 else 'all confirmed'}."
    missing = ", ".join(recorded.missing)
    if recorded.acknowledgement.acknowledged:
        return f"stored in {where}, all confirmed; {missing} will be caught up."
    return f"stored in {where} only, not safe yet; missing at {missing}."


def _vanished_words(recorded: Recorded) -> str:
    """Say what the listings showed, also when the other copies have given it again by now."""
    return " ".join(
        f"At {place} {counted(gone.files, 'file')} had vanished; "
        + (f"{number(gone.lacking)} could not be put again yet." if gone.lacking else "another copy gave them again.")
        for place, gone in recorded.vanished.items()
    )


def _left_out_words(recorded: Recorded) -> str:
    """Say what the patterns left out, the most first; a pattern that left out nothing may be a mistake, too."""
    patterns = sorted(recorded.left_out, key=lambda one: (-one.files, -one.folders, one.pattern))
    if not patterns:
        return ""
    told = []
    for one in patterns[:LEFT_OUT_TOLD]:
        counts = [counted(one.files, "file")] if one.files or not one.folders else []
        counts += [counted(one.folders, "folder")] if one.folders else []
        told.append(f"{one.pattern} {' and '.join(counts)}")
    return f"Left out: {', '.join(told)}."


def _advice(vault: Vault, recorded: Recorded) -> str:
    if recorded.suspicion:
        return "Look at the source now; older snapshots are kept and are not replaced by this state."
    if recorded.missing:
        return "; ".join(f"{name}: {reason}" for name, reason in recorded.missing.items())[:500]
    if recorded.vanished:
        return "Look at the provider for a rule that deletes, or for somebody else who does; the copy is being checked."
    redundancy = recorded.acknowledgement.redundancy
    if not recorded.acknowledgement.acknowledged:
        return (
            f"The policy {vault.policy} asks for {vault.policy.copies_needed} copies in "
            f"{domains_needed(vault.policy)} failure domains and there are {redundancy.copies} in "
            f"{redundancy.domains}: add a location elsewhere."
        )
    return ""
