"""The work of a recovery: each vault's best state into the target, the urgent vaults first."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backups.engine.errors import Cancelled, EngineError, NoSpace
from backups.engine.format.gonames import shown_path
from backups.engine.format.snapshot import Snapshot as VaultSnapshot
from backups.engine.progress import Progress
from backups.engine.restore.result import Existing, RestoreResult
from backups.engine.restore.run import restore
from backups.engine.upkeep.copies import CopyProblem
from backups.models import Organisation, Snapshot, Vault
from backups.policy.names import numbered, readable_part
from backups.services.recovery_choice import moment, snapshot_remark, snapshots_to_try
from backups.services.recovery_reader import VaultOnHand, vault_on_hand
from backups.worker import JobContext
from providers.stores.errors import StoreError
from wedbackup.core.templatetags.words import number

FIRST_SET = frozenset({Vault.ProtectionClass.DOCUMENTS, Vault.ProtectionClass.GUESTS, Vault.ProtectionClass.BUSINESS})
DOCUMENTS_FIRST, THEN_MEDIA = "documents first", "photos and video"


@dataclass
class Recovered:
    """What came back.

    expected, equal:  files that the chosen states hold, and those of them that were read back equal.
    unproved:         files that are back, but the comparison of which was cut short.
    first_expected, first_equal: the same of the first priority set alone.
    misses:           (path below the target, reason).
    notes:            sentences about what a person should know, e.g. that an older snapshot was taken.
    snapshots:        by folder of the target: {"snapshot", "tree", "taken_at", "acknowledged"}.
    told:             what was made under another name, or without some attribute, one line each.
    problems:         by vault: what was damaged or silent at which of its copies.
    priority_seconds: from the request to the verified first priority set [s]; None if there was none.
    seconds:          from the request to the end [s].
    """

    expected: int = 0
    equal: int = 0
    unproved: int = 0
    first_expected: int = 0
    first_equal: int = 0
    size_bytes: int = 0
    misses: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    problems: dict[Vault, list[CopyProblem]] = field(default_factory=dict)
    priority_seconds: float | None = None
    seconds: float | None = None

    @property
    def whole(self) -> bool:
        """Whether everything that the chosen states hold came back, equal."""
        return not self.misses and self.equal == self.expected


@dataclass(slots=True)
class _Attempt:
    """One state of one vault, restored as far as it could be. misses: as in `Recovered`."""

    expected: int = 0
    equal: int = 0
    size_bytes: int = 0
    misses: list[tuple[str, str]] = field(default_factory=list)

    @property
    def gave_nothing(self) -> bool:
        return self.equal == 0 and bool(self.misses)


class RecoveryRun:
    """One attempt at a whole recovery.

    waited: how long the request has waited until now [s].   picked: states that a person chose, by vault.
    keep:   takes what is there whenever something has been finished, for the page of who waits.
    """

    def __init__(
        self,
        context: JobContext,
        target: str,
        *,
        waited: float,
        picked: Mapping[Vault, Snapshot],
        keep: Callable[[Recovered], None],
    ) -> None:
        self._context = context
        self._target = target
        self._picked = picked
        self._keep = keep
        self._began = context.clock.monotonic() - waited
        self._step = DOCUMENTS_FIRST
        self._before = Progress(total_known=True)
        self._told = self._before
        self.recovered = Recovered()

    def run(self, vaults: Sequence[Vault]) -> Recovered:
        """Recover these vaults, already in order of urgency; trouble with one leaves the others alone.

        Raises NoSpace, VaultSealed, Cancelled; `recovered` then tells what is there.
        """
        folders = _business_folders(vaults)
        chosen = [(vault, self._candidates(vault)) for vault in vaults]
        for vault, candidates in chosen:
            self._expect(vault, candidates[0].file_count if candidates else 0)
            self._before.bytes_total += candidates[0].source_bytes if candidates else 0
        self._keep(self.recovered)
        for place, (vault, candidates) in enumerate(chosen):
            self._step = DOCUMENTS_FIRST if vault.protection_class in FIRST_SET else THEN_MEDIA
            folder = vault.protection_class
            if len(folders) > 1:
                folder = posixpath.join(folders[vault.organisation], folder)
            self._recover(vault, candidates, folder)
            if vault.protection_class in FIRST_SET and self._is_last_of_first_set(
                [it for it, _ in chosen[place + 1 :]]
            ):
                self.recovered.priority_seconds = self.elapsed()
            self._keep(self.recovered)
        self.recovered.seconds = self.elapsed()
        self._context.report(replace(self._before, step=self._step))
        return self.recovered

    def elapsed(self) -> float:
        """Return the time since the request [s]."""
        return round(self._context.clock.monotonic() - self._began, 2)

    def _candidates(self, vault: Vault) -> list[Snapshot]:
        """Return the states to try: the one that a person chose and no other, or the best ones."""
        return [self._picked[vault]] if vault in self._picked else snapshots_to_try(vault)

    @staticmethod
    def _is_last_of_first_set(rest: Sequence[Vault]) -> bool:
        return not any(vault.protection_class in FIRST_SET for vault in rest)

    def _expect(self, vault: Vault, count: int) -> None:
        """Count files of a vault among those to come; a negative count takes them out again."""
        self.recovered.expected += count
        self._before.files_total += count
        if vault.protection_class in FIRST_SET:
            self.recovered.first_expected += count

    def _recover(self, vault: Vault, candidates: Sequence[Snapshot], folder: str) -> None:
        """Restore the first of the candidates that gives anything, and count what came of it."""
        if not candidates:
            self.recovered.misses.append((folder, "it has never been backed up"))
            return
        failed: list[tuple[Snapshot, _Attempt]] = []
        try:
            with vault_on_hand(vault, clock=self._context.clock) as opened:
                for snapshot in candidates:
                    attempt = self._attempt(opened, snapshot, folder)
                    if not attempt.gave_nothing:
                        break
                    failed.append((snapshot, attempt))
                else:
                    snapshot, attempt = failed.pop(0)
                    failed = []
                self.recovered.problems[vault] = opened.reader.problems
                if silent := sorted({problem.label for problem in opened.reader.problems if problem.unanswered}):
                    self.note(vault, f"{', '.join(silent)} did not answer.")
        except (Cancelled, NoSpace):
            raise
        except (EngineError, StoreError) as exc:
            snapshot = candidates[0]
            attempt = _Attempt(expected=snapshot.file_count, misses=[(folder, str(exc))])
        self._take(vault, candidates[0], snapshot, attempt, folder)
        for unread, lost in failed:
            self.note(
                vault, f"the state of {moment(unread)} cannot be read ({lost.misses[0][1]}); an older one was taken."
            )

    def _attempt(self, opened: VaultOnHand, snapshot: Snapshot, folder: str) -> _Attempt:
        attempt = _Attempt()
        found = lost_folders = 0
        try:
            stored = opened.find(snapshot)
            for base, below in _folders_of(folder, stored):
                result = restore(
                    opened.reader,
                    stored,
                    os.path.join(self._target, below),
                    base=os.fsencode(base.strip("/")),
                    existing=Existing.IF_CHANGED,  # what an interrupted attempt has finished is only compared
                    listener=self._listen,
                    cancel=self._context.cancel,
                )
                found += result.wanted
                lost_folders += result.lost_folders
                self._add(attempt, below, result)
        except (Cancelled, NoSpace):
            raise
        except (EngineError, StoreError) as exc:
            attempt.misses.append((folder, str(exc)))
            lost_folders += 1
        # Nobody knows what was in a folder that is lost, but the snapshot knows how many files there were in all.
        attempt.expected = max(found, snapshot.file_count) if lost_folders else found
        return attempt

    def _add(self, attempt: _Attempt, folder: str, result: RestoreResult) -> None:
        assert result.proof is not None
        attempt.equal += result.proof.equal
        attempt.size_bytes += result.bytes_in_place
        below = f"{folder}/"
        self.recovered.told += [f"{below}{one}" for one in (*result.renamed, *result.refused)]
        if result.renamed:
            self.recovered.notes.append(
                f"{number(len(result.renamed))} names in {folder} were made readable, because the disk refuses them; "
                "the proof lists them."
            )
        for miss in (*result.misses, *result.proof.differing):
            attempt.misses.append((posixpath.join(folder, shown_path(miss.path)), miss.reason))
        self._before.files_done += result.proof.equal
        self._before.bytes_done += result.bytes_in_place

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
        self.recovered.unproved = max(0, self._told.files_done - self._before.files_done)
        self._context.report(self._told)

    def _take(self, vault: Vault, asked: Snapshot, snapshot: Snapshot, attempt: _Attempt, folder: str) -> None:
        """Count what came of one vault; `asked` is the state that was counted among those to come."""
        found = self.recovered
        self._expect(vault, attempt.expected - asked.file_count)
        if not attempt.misses:
            self._before.bytes_total += attempt.size_bytes - asked.source_bytes
        found.equal += attempt.equal
        found.unproved = 0
        found.size_bytes += attempt.size_bytes
        found.misses += attempt.misses
        if vault.protection_class in FIRST_SET:
            found.first_equal += attempt.equal
        found.snapshots[folder] = {
            "snapshot": snapshot.restic_id,
            "tree": snapshot.tree,
            "taken_at": snapshot.taken_at.isoformat(),
            "acknowledged": snapshot.acknowledged_at is not None,
        }
        if remark := snapshot_remark(snapshot):
            self.note(vault, f"the state of {moment(snapshot)}. {remark}")
        never_stored = asked.file_count - attempt.expected if snapshot == asked else 0
        if never_stored > 0:
            self.note(vault, f"{never_stored} files could not be read when they were to be backed up.")

    def note(self, vault: Vault, words: str) -> None:
        """Let a sentence about `vault` be told with the result."""
        self.recovered.notes.append(f"{vault.get_protection_class_display()}: {words}")


def _business_folders(vaults: Sequence[Vault]) -> dict[Organisation, str]:
    """Return the folder of each business, each its own on any disk; the same at every attempt."""
    found: dict[Organisation, str] = {}
    taken: set[str] = set()
    for business in sorted({vault.organisation for vault in vaults}, key=lambda it: it.name):
        number, name = 1, readable_part(os.fsencode(business.name))
        free = name
        while free.casefold() in taken:
            number += 1
            free = numbered(name, number)
        taken.add(free.casefold())
        found[business] = free
    return found


def _folders_of(folder: str, stored: VaultSnapshot) -> list[tuple[str, str]]:
    """Return (source path in the snapshot, folder below the target): one for a vault, or one per source in it."""
    if len(stored.paths) == 1:
        return [(stored.paths[0], folder)]
    found: list[tuple[str, str]] = []
    for place, path in enumerate(stored.paths, start=1):
        name = posixpath.basename(path.rstrip("/")) or "root"
        found.append((path, posixpath.join(folder, f"{place} {readable_part(os.fsencode(name))}")))
    return found
