"""What is damaged, file by file: noted wherever it is met, taken away only when it was proved to be over.

A copy with damage confirms nothing. It leaves that state when each of those files was put and verified again, or when
every byte of it was read and found whole; neither a catch-up nor a look at its structure does that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from django.db import transaction

from backups.engine.backup.ledger import Outcome
from backups.engine.format import FileKind, file_name
from backups.engine.upkeep.copies import CopyProblem, Trouble
from backups.models import Copy, DamagedFile, Job, Snapshot, SnapshotCopy, Vault
from backups.services.checks import check_request
from backups.services.copystates import copy_degrade
from backups.services.opening import copy_key
from backups.states import CopyState
from wedbackup.core.clock import Clock
from wedbackup.core.events import Tag, emit

REASON_MAX = 300  # length of the column
NAMES_TOLD = 5
LOST_KEPT = 200  # paths per snapshot


def damage_found(copy: Copy, found: Mapping[str, str], *, clock: Clock) -> list[Job]:
    """Note damage that was met while something else was done, and queue the check that proves and repairs it.

    found: reasons by name of the file, relative to the vault. What is known already queues nothing again.
    """
    with transaction.atomic():
        if not damage_note(copy, found, clock=clock):
            return []
        return check_request([copy], read_data=True, clock=clock)


def damage_met(copies: Iterable[Copy], problems: Iterable[CopyProblem], *, clock: Clock) -> list[Job]:
    """Take in what the engine met at some copies while another one served; return the checks that were queued.

    problems: with the key or the name of a copy's location as their label.

    Bytes that are wrong are damage. A file that is not there may be one that the copy, lagging, never had: a look at
    its structure decides. A line that broke says nothing of the copy.
    """
    found: dict[str, dict[str, str]] = {}
    missed: set[str] = set()
    for problem in problems:
        if problem.trouble is Trouble.DAMAGED:
            found.setdefault(problem.label, {})[problem.name] = problem.reason
        elif problem.trouble is Trouble.MISSING:
            missed.add(problem.label)
    jobs: list[Job] = []
    for copy in copies if found or missed else ():
        labels = {copy_key(copy), copy.location.name}
        damaged = {name: reason for label in labels for name, reason in found.get(label, {}).items()}
        jobs += damage_found(copy, damaged, clock=clock)
        if labels & missed:
            jobs += check_request([copy], read_data=False, clock=clock)
    return jobs


def damage_note(copy: Copy, found: Mapping[str, str], *, clock: Clock) -> int:
    """Note damaged files in the caller's transaction; return how many of them are news. The copy becomes DAMAGED."""
    if not found:
        return 0
    known = damaged_names(copy)
    now = clock.utcnow()
    new = [
        DamagedFile(copy=copy, name=name, reason=reason[:REASON_MAX], found_at=now)
        for name, reason in sorted(found.items())
        if name not in known
    ]
    DamagedFile.unscoped.bulk_create(new, ignore_conflicts=True)
    name, reason = min(found.items())
    count = len(known | found.keys())
    words = "1 file is" if count == 1 else f"{count} files are"
    copy_degrade(copy, CopyState.DAMAGED, f"{words} damaged or missing: {name}: {reason}", clock=clock)
    return len(new)


def damage_mended(copy: Copy, names: Collection[str]) -> None:
    """Strike files off that were put and verified again, were read and are whole, or are needed no more."""
    DamagedFile.unscoped.filter(copy=copy, name__in=list(names)).delete()


def damage_over(copy: Copy) -> None:
    """Strike everything off: every byte of the copy was read, and is whole."""
    DamagedFile.unscoped.filter(copy=copy).delete()


def damage_of_backup(copy: Copy, outcome: Outcome, *, clock: Clock) -> frozenset[str]:
    """Take in, in the caller's transaction, what a backup met and mended at a copy; return the names that vanished.

    Call it before the new snapshot is confirmed: what was confirmed there and was not listed has vanished, too.
    """
    known = damaged_names(copy)
    damage_mended(copy, outcome.mended)
    vanished = outcome.vanished | (_snapshots_gone(copy, outcome) - known)
    met = outcome.damaged | dict.fromkeys(vanished, "it was there and is gone, or has another size")
    damage_note(copy, {name: met[name] for name in met.keys() - outcome.mended}, clock=clock)
    if vanished:
        objects_announce(copy, sorted(vanished), clock=clock)
    if met.keys() - known or known & outcome.mended or _was_lost(copy):
        check_request([copy], read_data=True, clock=clock)
    return vanished


def _snapshots_gone(copy: Copy, outcome: Outcome) -> frozenset[str]:
    """Return the names of snapshots that were proved to be there, that nobody let go, and that were not listed."""
    if outcome.snapshots is None:
        return frozenset()
    proved = copy.confirmations.filter(snapshot__expired_at=None, snapshot__lost_count=0)
    gone = set(proved.values_list("snapshot__restic_id", flat=True)) - outcome.snapshots
    return frozenset(file_name(FileKind.SNAPSHOTS, snapshot_id) for snapshot_id in gone)


def _was_lost(copy: Copy) -> bool:
    """Whether the state before the newest lost files everywhere: the newest may let its copies be whole again."""
    return any(snapshot.lost_count for snapshot in Snapshot.unscoped.filter(vault=copy.vault_id)[1:2])


def losses_record(vault: Vault, by_snapshot: Mapping[str, Sequence[str]]) -> None:
    """Write, in the caller's transaction, which files of which snapshots no copy can give; those confirm nothing."""
    for snapshot in Snapshot.unscoped.filter(vault=vault):
        lost = by_snapshot.get(snapshot.restic_id, ())
        if len(lost) != snapshot.lost_count or list(lost[:LOST_KEPT]) != snapshot.lost_files:
            fields = {"lost_files": list(lost[:LOST_KEPT]), "lost_count": len(lost)}
            Snapshot.unscoped.filter(pk=snapshot.pk).update(**fields)
    SnapshotCopy.objects.filter(snapshot__vault=vault, snapshot__restic_id__in=list(by_snapshot)).delete()


def losses_over(vault: Vault, snapshots: Collection[str]) -> None:
    """Take back that these snapshots lost anything: a copy that shows them was read, every byte, and is whole."""
    lost = Snapshot.unscoped.filter(vault=vault, restic_id__in=snapshots, lost_count__gt=0)
    lost.update(lost_count=0, lost_files=[])


def objects_announce(copy: Copy, names: Sequence[str], *, clock: Clock) -> None:
    """Say, in the caller's transaction, that files of a copy are gone which this program did not remove."""
    emit(
        Tag.OBJECTS_CHANGED,
        subject_type="location",
        subject_id=copy.location_id,
        payload={
            "name": copy.location.name,
            "vault": str(copy.vault_id),
            "place": copy.pk,
            "count": len(names),
            "objects": list(names[:NAMES_TOLD]),
        },
        clock=clock,
    )


def damaged_names(copy: Copy) -> frozenset[str]:
    """Return the names of the copy's files that are known to be damaged or missing."""
    return frozenset(DamagedFile.unscoped.filter(copy=copy).values_list("name", flat=True))


def vault_damage(vault: Vault) -> frozenset[str]:
    """Return the names of all files of the vault that are known to be damaged at one copy or another."""
    return frozenset(DamagedFile.unscoped.filter(copy__vault=vault).values_list("name", flat=True))
