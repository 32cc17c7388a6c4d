"""What a backup leaves in the database: its snapshot, the proof of each copy, the state of every place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from backups.engine.backup import BackupResult, Outcome
from backups.engine.format import to_datetime
from backups.models import Copy, Snapshot, SnapshotCopy, Vault
from backups.policy.suspicion import Extent, extent_suspicion, files_suspicion
from backups.services.acknowledgement import Acknowledgement, snapshot_acknowledge
from backups.services.opening import OpenCopies
from backups.states import CopyState
from providers.services.locations import location_report
from wedbackup.core.clock import Clock
from wedbackup.core.events import Tag, emit

PROBLEM_FILES_MAX = 200  # kept on the row; the count in the message is the true one


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was written.

    missing:   places without this snapshot, by name, with the reason.
    suspicion: why the newest state must not be trusted yet, "" if nothing speaks against it.
    """

    snapshot: Snapshot
    acknowledgement: Acknowledgement
    missing: dict[str, str]
    suspicion: str


def backup_record(
    vault: Vault, opened: OpenCopies, result: BackupResult, *, next_due_at: datetime, clock: Clock
) -> Recorded:
    """Record a finished backup, in one short transaction, and tell each location how it fared."""
    with transaction.atomic():
        snapshot = _snapshot(vault, result)
        missing = {}
        for key, copy in opened.copies.items():
            outcome = result.outcomes.get(key)
            if outcome is not None and outcome.complete and outcome.proof is not None:
                _confirm(copy, snapshot, outcome.proof, clock)
            else:
                reason = _reason(opened, outcome, key)
                missing[copy.location.name] = reason
                _fall_behind(copy, reason, outcome, clock)
        acknowledgement = snapshot_acknowledge(snapshot, clock=clock)
        suspicion = snapshot.suspicion or files_suspicion(
            unstable=len(result.unstable), unreadable=len(result.unreadable)
        )
        Vault.unscoped.filter(pk=vault.pk).update(suspicion=suspicion, next_due_at=next_due_at)
        _announce(vault, snapshot, acknowledgement, suspicion, clock)
    _report(opened, result.outcomes, clock)
    return Recorded(snapshot, acknowledgement, missing, suspicion)


def copies_record_failures(vault: Vault, opened: OpenCopies, outcomes: Mapping[str, Outcome], *, clock: Clock) -> None:
    """Record which places failed a backup that too few places took; no snapshot came of it."""
    with transaction.atomic():
        for key, copy in opened.copies.items():
            outcome = outcomes.get(key)
            if outcome is None or outcome.error:
                _fall_behind(copy, _reason(opened, outcome, key), outcome, clock)
    _report(opened, outcomes, clock)
    del vault


def _snapshot(vault: Vault, result: BackupResult) -> Snapshot:
    counters = result.counters
    found = Extent(counters.files, counters.bytes)
    problems = [*result.unstable, *result.unreadable]
    snapshot, _ = Snapshot.unscoped.get_or_create(
        vault=vault,
        restic_id=result.snapshot_id,
        defaults={
            "tree": result.tree,
            "taken_at": to_datetime(result.time),
            "file_count": found.files,
            "source_bytes": found.size_bytes,
            "stored_bytes": counters.bytes_stored,
            "problem_files": [list(problem) for problem in problems[:PROBLEM_FILES_MAX]],
            "suspicion": extent_suspicion(found, _trusted_extent(vault)),
        },
    )
    return snapshot


def _trusted_extent(vault: Vault) -> Extent | None:
    trusted = Snapshot.unscoped.filter(vault=vault, suspicion="").first()
    return None if trusted is None else Extent(trusted.file_count, trusted.source_bytes)


def _confirm(copy: Copy, snapshot: Snapshot, proof: str, clock: Clock) -> None:
    now = clock.utcnow()
    SnapshotCopy.objects.get_or_create(
        snapshot=snapshot, copy=copy, defaults={"proof": str(proof), "confirmed_at": now}
    )
    copy_recovered(copy, clock=clock)
    Copy.unscoped.filter(pk=copy.pk).update(
        state=CopyState.CURRENT,
        confirmed_at=now,
        stored_bytes=F("stored_bytes") + snapshot.stored_bytes,
        last_error="",
    )


def _fall_behind(copy: Copy, reason: str, outcome: Outcome | None, clock: Clock) -> None:
    """A place that lags still answers; any other has not taken part."""
    state = CopyState.BEHIND if outcome is not None and outcome.behind else CopyState.UNREACHABLE
    if copy.state == state:
        Copy.unscoped.filter(pk=copy.pk).update(last_error=reason[:300])
        return
    Copy.unscoped.filter(pk=copy.pk).update(state=state, last_error=reason[:300])
    copy_announce(Tag.COPY_DEGRADED, copy, reason=reason, state=state, clock=clock)


def copy_recovered(copy: Copy, *, clock: Clock) -> None:
    """Report that a copy is whole again, if it was not; call it in the transaction that says so on the row."""
    if copy.state not in {CopyState.CURRENT, CopyState.EMPTY}:
        copy_announce(Tag.COPY_RECOVERED, copy, reason="", state=CopyState.CURRENT, clock=clock)


def copy_announce(tag: Tag, copy: Copy, *, reason: str, state: str, clock: Clock) -> None:
    """Write the event of a copy that fell behind or is whole again, in the caller's transaction."""
    emit(
        tag,
        subject_type="copy",
        subject_id=copy.pk,
        organisation_id=copy.vault.organisation_id,
        payload={
            "vault": str(copy.vault_id),
            "vault_name": str(copy.vault),
            "wedding": str(copy.vault.wedding_id or ""),
            "location": str(copy.location_id),
            "location_name": copy.location.name,
            "state": str(state),
            "reason": reason,
        },
        clock=clock,
    )


def _reason(opened: OpenCopies, outcome: Outcome | None, key: str) -> str:
    if outcome is None:
        return opened.errors.get(key, "it took no part")
    return outcome.error or "it has not taken everything yet"


def _announce(vault: Vault, snapshot: Snapshot, acknowledgement: Acknowledgement, suspicion: str, clock: Clock) -> None:
    tags = [Tag.SNAPSHOT_ACKNOWLEDGED] if acknowledgement.acknowledged else []
    if suspicion:
        tags.append(Tag.SNAPSHOT_SUSPICIOUS)
    for tag in tags:
        emit(
            tag,
            subject_type="snapshot",
            subject_id=snapshot.pk,
            organisation_id=vault.organisation_id,
            payload={
                "vault": str(vault.pk),
                "vault_name": str(vault),
                "wedding": str(vault.wedding_id or ""),
                "copies": acknowledgement.redundancy.copies,
                "reason": suspicion,
            },
            clock=clock,
        )


def _report(opened: OpenCopies, outcomes: Mapping[str, Outcome], clock: Clock) -> None:
    for key in opened.stores:
        outcome = outcomes.get(key)
        if outcome is not None:
            location_report(opened.copies[key].location, ok=not outcome.error, error=outcome.error or None, clock=clock)
