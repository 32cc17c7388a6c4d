"""The work of a recovery: each vault's newest trustworthy snapshot into the target, the urgent ones first."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backups.engine.errors import Cancelled, EngineError, NoSpace
from backups.engine.format.snapshot import Snapshot as VaultSnapshot
from backups.engine.progress import Progress
from backups.engine.restore.result import Existing, RestoreResult
from backups.engine.restore.run import restore
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Place
from backups.models import Copy, Snapshot, Vault
from backups.services.damage import damage_met
from backups.services.opening import OpenCopies, copies_of, copies_open
from backups.services.vaults import vault_master
from backups.states import CopyState
from backups.worker import JobContext
from providers.services.locations import RECOVERY
from providers.stores.errors import StoreError
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

FIRST_SET = frozenset({Vault.ProtectionClass.DOCUMENTS, Vault.ProtectionClass.GUESTS, Vault.ProtectionClass.BUSINESS})
DOCUMENTS_FIRST, THEN_MEDIA = "documents first", "photos and video"


@dataclass
class Recovered:
    """What came back.

    files, equal:     regular files restored or found whole, and those of them that were read back equal.
    misses:           (path below the target, reason).
    notes:            sentences about what a person should know, e.g. that an older snapshot was taken.
    snapshots:        by folder of the target: {"snapshot", "tree", "taken_at", "acknowledged"}.
    priority_seconds: from the request to the verified first priority set [s]; None if there was none.
    seconds:          from the request to the end [s].
    """

    files: int = 0
    equal: int = 0
    size_bytes: int = 0
    misses: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)
    priority_seconds: float | None = None
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether everything of trustworthy snapshots came back, equal."""
        return not self.misses and self.equal == self.files


class RecoveryRun:
    """One attempt. waited: how long the request has waited until now [s]."""

    def __init__(self, context: JobContext, target: str, waited: float) -> None:
        self._context = context
        self._target = target
        self._began = context.clock.monotonic() - waited
        self._recovered = Recovered()
        self._step = DOCUMENTS_FIRST
        self._before = Progress(total_known=True)
        self._told = self._before

    def run(self, vaults: Sequence[Vault]) -> Recovered:
        """Recover these vaults, already in order of urgency; trouble with one leaves the others alone.

        Raises NoSpace, VaultSealed, Cancelled.
        """
        chosen = [(vault, snapshot_to_recover(vault)) for vault in vaults]
        self._before.files_total = sum(snapshot.file_count for _, snapshot in chosen if snapshot)
        self._before.bytes_total = sum(snapshot.source_bytes for _, snapshot in chosen if snapshot)
        for place, (vault, snapshot) in enumerate(chosen):
            self._step = DOCUMENTS_FIRST if vault.protection_class in FIRST_SET else THEN_MEDIA
            if snapshot is None:
                self._miss(vault, "it has never been backed up")
            else:
                self._recover(vault, snapshot)
            if vault.protection_class in FIRST_SET and self._is_last_of_first_set(chosen[place + 1 :]):
                self._recovered.priority_seconds = self._elapsed()
        self._recovered.seconds = self._elapsed()
        return self._recovered

    def _elapsed(self) -> float:
        return round(self._context.clock.monotonic() - self._began, 2)

    @staticmethod
    def _is_last_of_first_set(rest: Sequence[tuple[Vault, Snapshot | None]]) -> bool:
        return not any(vault.protection_class in FIRST_SET for vault, _ in rest)

    def _recover(self, vault: Vault, snapshot: Snapshot) -> None:
        self._note_choice(vault, snapshot)
        try:
            with open_for_recovery(snapshot, clock=self._context.clock) as (reader, stored):
                for base, folder in _folders_of(vault, stored):
                    result = restore(
                        reader,
                        stored,
                        os.path.join(self._target, folder),
                        base=os.fsencode(base.strip("/")),
                        existing=Existing.IF_CHANGED,  # what an interrupted attempt has finished is only compared
                        listener=self._listen,
                        cancel=self._context.cancel,
                    )
                    self._take(folder, result)
        except (Cancelled, NoSpace):
            raise
        except (EngineError, StoreError) as exc:
            self._miss(vault, str(exc))
        self._before.files_done += snapshot.file_count
        self._before.bytes_done += snapshot.source_bytes

    def _listen(self, progress: Progress) -> None:
        """Tell where the whole recovery stands; while files are read back, the counters stand still."""
        if progress.step == "restore":
            before = self._before
            self._told = replace(
                before,
                step=self._step,
                files_done=before.files_done + progress.files_done,
                bytes_done=before.bytes_done + progress.bytes_done,
                current=progress.current,
            )
        else:
            self._told = replace(self._told, step=f"{self._step}: {progress.step}")
        self._context.report(self._told)

    def _take(self, folder: str, result: RestoreResult) -> None:
        found = self._recovered
        assert result.proof is not None
        found.files += result.proof.checked
        found.equal += result.proof.equal
        found.size_bytes += result.bytes_written
        for miss in (*result.misses, *result.proof.differing):
            found.misses.append((posixpath.join(folder, os.fsdecode(miss.path)), miss.reason))

    def _note_choice(self, vault: Vault, snapshot: Snapshot) -> None:
        name = vault.protection_class
        self._recovered.snapshots[name] = {
            "snapshot": snapshot.restic_id,
            "tree": snapshot.tree,
            "taken_at": snapshot.taken_at.isoformat(),
            "acknowledged": snapshot.acknowledged_at is not None,
        }
        when = f"{snapshot.taken_at:%d %B %Y, %H:%M} UTC"
        label = vault.get_protection_class_display()
        newest = Snapshot.unscoped.filter(vault=vault).first()
        if snapshot.acknowledged_at is None:
            self._recovered.notes.append(f"{label}: the state of {when} had not reached enough places yet.")
        elif newest is not None and newest.suspicion and newest != snapshot:
            self._recovered.notes.append(f"{label}: the state of {when} was taken, newer ones look wrong.")

    def _miss(self, vault: Vault, reason: str) -> None:
        self._recovered.misses.append((vault.protection_class, reason))


def snapshot_to_recover(vault: Vault) -> Snapshot | None:
    """Return the newest acknowledged snapshot whose source looked right, else the newest that any copy holds."""
    snapshots = Snapshot.unscoped.filter(vault=vault)
    safe = snapshots.filter(acknowledged_at__isnull=False)
    held = snapshots.filter(confirmations__isnull=False)
    return safe.filter(suspicion="").first() or safe.first() or held.first()


def healthiest_first(copies: Sequence[Copy]) -> list[Copy]:
    """Order copies by how likely and how soon they answer: whole before behind, answering before silent, fast first."""

    def rank(copy: Copy) -> tuple[bool, bool, float]:
        location = copy.location
        latency = location.last_latency_ms if location.last_latency_ms is not None else float("inf")
        return (copy.state != CopyState.CURRENT, location.breaker != location.Breaker.CLOSED, latency)

    return sorted(copies, key=rank)


@contextlib.contextmanager
def open_for_recovery(
    snapshot: Snapshot, *, clock: Clock = SYSTEM_CLOCK
) -> Iterator[tuple[VaultReader, VaultSnapshot]]:
    """Open the copies of a snapshot's vault, the healthiest first, with their index, and find the snapshot in them.

    What is found damaged until the end is noted, and a check of that copy is queued.

    Raises VaultSealed, StoreError, or another EngineError when no copy can be opened or none has the snapshot.
    """
    vault = snapshot.vault
    with copies_open(healthiest_first(copies_of(vault)), purpose=RECOVERY, clock=clock) as opened:
        reader = _reader(vault, opened)
        try:
            stored = _find(reader, snapshot)
            reader.load_index()
            yield reader, stored
        finally:
            damage_met(opened.copies.values(), reader.problems, clock=clock)


def _reader(vault: Vault, opened: OpenCopies) -> VaultReader:
    if not opened.stores:
        reasons = "; ".join(f"{opened.copies[key].location.name}: {exc}" for key, exc in opened.errors.items())
        raise EngineError(f"no copy can be opened ({reasons})")
    places = {opened.copies[key].location.name: Place(store, vault.prefix) for key, store in opened.stores.items()}
    return VaultReader(places, vault_master(vault))


def _find(reader: VaultReader, snapshot: Snapshot) -> VaultSnapshot:
    found = [stored for stored in reader.snapshots() if stored.snapshot_id == snapshot.restic_id]
    if not found:
        reasons = "; ".join(f"{problem.label}: {problem.reason}" for problem in reader.problems[:3])
        raise EngineError(f"its snapshot is readable in no copy ({reasons or 'it is listed nowhere'})")
    return found[0]


def _folders_of(vault: Vault, stored: VaultSnapshot) -> list[tuple[str, str]]:
    """Return (source path in the snapshot, folder below the target): one folder per vault, or one per source in it."""
    name = vault.protection_class
    if len(stored.paths) == 1:
        return [(stored.paths[0], name)]
    folders: list[tuple[str, str]] = []
    for number, path in enumerate(stored.paths, start=1):
        folders.append((path, posixpath.join(name, f"{number} {posixpath.basename(path.rstrip('/')) or 'root'}")))
    return folders
