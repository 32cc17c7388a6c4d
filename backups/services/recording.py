"""What a backup leaves in the database: its snapshot, the proof of each copy, the state of every place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from backups.engine.backup.run import BackupResult, Outcome
from backups.engine.backup.selection import LeftOut
from backups.engine.format import to_datetime
from backups.models import Snapshot, Vault
from backups.policy.suspicion import files_suspicion
from backups.services.acknowledgement import Acknowledgement, snapshot_acknowledge
from backups.services.copystates import copy_confirm, copy_degrade
from backups.services.damage import damage_of_backup
from backups.services.extents import REASON_CHARS, extents_record, sources_judge
from backups.services.opening import OpenCopies, usual_proof
from backups.services.uploads.keeping import uploads_stored
from backups.states import CopyState
from backups.worker import JobContext
from providers.services.locations import location_report
from providers.stores.errors import StoreError, StoreUnavailable
from wedbackup.core.clock import Clock
from wedbackup.core.events import Tag, emit

PROBLEM_FILES_MAX = 200  # kept on the row; the count in the message is the true one


@dataclass(frozen=True, slots=True)
class Vanished:
    """How many files were gone at a place, and how many of them no other copy has given again yet."""

    files: int
    lacking: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was written.

    missing:   places without this snapshot, by name, with the reason.
    suspicion: why the newest state must not be trusted yet, "" if nothing speaks against it.
    left_out:  by each pattern of each source.
    vanished:  by the name of the place, what was gone there when the backup began.
    """

    snapshot: Snapshot
    acknowledgement: Acknowledgement
    missing: dict[str, str]
    suspicion: str
    left_out: list[LeftOut]
    vanished: dict[str, Vanished]


def backup_record(
    context: JobContext, vault: Vault, opened: OpenCopies, result: BackupResult, *, next_due_at: datetime
) -> Recorded:
    """Record a finished backup, in one short transaction, and tell each location how it fared.

    Raises LeaseLost, and nothing is recorded, when another worker has the job by now; that one's run finds and uses
    what this one stored.
    """
    clock = context.clock
    missing: dict[str, str] = {}
    vanished: dict[str, Vanished] = {}
    problems = {"unstable": len(result.unstable), "unreadable": len(result.unreadable), "partly": len(result.partly)}
    with context.fenced():
        snapshot = _snapshot(vault, result, clock)
        for key, copy in opened.copies.items():
            outcome = result.outcomes.get(key)
            if outcome is not None and (gone := damage_of_backup(copy, outcome, clock=clock)):
                vanished[copy.location.name] = Vanished(len(gone), len(gone - outcome.mended))
            if outcome is not None and outcome.complete:
                proof = outcome.proof or usual_proof(opened.stores[key])
                copy_confirm(copy, [snapshot], proof=proof, clock=clock)
            else:
                missing[copy.location.name] = _reason(opened, outcome, key)
                copy_degrade(copy, _state(outcome), missing[copy.location.name], clock=clock)
            if copy.state == CopyState.DAMAGED:
                missing[copy.location.name] = "files there are damaged; a check repairs them from the other copies"
        acknowledgement = snapshot_acknowledge(snapshot, clock=clock)
        unread, altered = _paths(result.unreadable), _paths([*result.unstable, *result.partly])
        uploads_stored(snapshot, context.job, unread=unread, altered=altered)
        suspicion = (snapshot.suspicion or files_suspicion(**problems) or _pattern_faults(result))[:REASON_CHARS]
        Vault.unscoped.filter(pk=vault.pk).update(suspicion=suspicion, next_due_at=next_due_at)
        if suspicion:
            _announce_suspicion(vault, snapshot, suspicion, clock)
    _report(opened, result.outcomes, clock)
    left_out = [one for source in result.sources for one in source.left_out.values()]
    return Recorded(snapshot, acknowledgement, missing, suspicion, left_out, vanished)


def backup_record_failure(context: JobContext, opened: OpenCopies, outcomes: Mapping[str, Outcome]) -> None:
    """Record which places failed a backup that no place took whole; no snapshot came of it. Raises LeaseLost."""
    with context.fenced():
        for key, copy in opened.copies.items():
            outcome = outcomes.get(key)
            if outcome is None or outcome.error:
                copy_degrade(copy, _state(outcome), _reason(opened, outcome, key), clock=context.clock)
    _report(opened, outcomes, context.clock)


def _snapshot(vault: Vault, result: BackupResult, clock: Clock) -> Snapshot:
    problems = [*result.unreadable, *result.unstable, *result.partly]
    judged = sources_judge(vault, result.sources, clock=clock)
    snapshot = Snapshot.unscoped.create(
        vault=vault,
        restic_id=result.snapshot_id,
        tree=result.tree.hex(),
        taken_at=to_datetime(result.time),
        file_count=result.files_total - result.files_unread,
        source_bytes=result.bytes_total,
        stored_bytes=result.bytes_stored,
        problem_files=[list(problem) for problem in problems[:PROBLEM_FILES_MAX]],
        suspicion=judged.suspicion,
    )
    extents_record(snapshot, judged)
    return snapshot


def _paths(problems: Iterable[tuple[str, str]]) -> set[str]:
    return {path for path, _ in problems}


def _pattern_faults(result: BackupResult) -> str:
    """A pattern that nobody can read left nothing out; a person must mend it, because more is stored than was meant."""
    faults = [reason for source in result.sources for _, reason in source.faults]
    return f"{faults[0]} Until then it leaves nothing out." if faults else ""


def _state(outcome: Outcome | None) -> str:
    """A place that lags still answers; any other has not taken part."""
    return CopyState.BEHIND if outcome is not None and not outcome.error else CopyState.UNREACHABLE


def _reason(opened: OpenCopies, outcome: Outcome | None, key: str) -> str:
    if outcome is None:
        return str(opened.errors.get(key, "it took no part"))
    return outcome.error or "it has not taken everything yet"


def _announce_suspicion(vault: Vault, snapshot: Snapshot, suspicion: str, clock: Clock) -> None:
    emit(
        Tag.SNAPSHOT_SUSPICIOUS,
        subject_type="snapshot",
        subject_id=snapshot.pk,
        organisation_id=vault.organisation_id,
        payload={
            "vault": str(vault.pk),
            "vault_name": str(vault),
            "wedding": str(vault.wedding_id or ""),
            "reason": suspicion,
        },
        clock=clock,
    )


def _report(opened: OpenCopies, outcomes: Mapping[str, Outcome], clock: Clock) -> None:
    for key in opened.stores:
        outcome = outcomes.get(key)
        if outcome is not None and not outcome.untried:
            location_report(opened.copies[key].location, ok=not outcome.error, error=_trouble(outcome), clock=clock)


def _trouble(outcome: Outcome) -> StoreError | None:
    """What the breaker shall hear: a place that is full or locked by another program has answered."""
    if not outcome.error:
        return None
    return StoreUnavailable(outcome.error) if outcome.unanswered else StoreError(outcome.error)
