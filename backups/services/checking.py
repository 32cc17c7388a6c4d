"""The work of a check: read a copy with the vault's key, repair it from the others where that is possible."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import replace

from backups.engine.errors import EngineError
from backups.engine.format import CONFIG_NAME, FileKind, file_name, hash_hex
from backups.engine.upkeep.check import check
from backups.engine.upkeep.copies import Place, list_kind
from backups.engine.upkeep.findings import CheckResult, Kind, Verdict
from backups.engine.upkeep.losses import Losses, find_losses
from backups.engine.upkeep.reindex import reindex
from backups.engine.upkeep.replicate import replicate
from backups.models import Copy, Snapshot, Vault
from backups.services.checks import PARTS, check_request
from backups.services.copies import held_snapshots, newly_acknowledged
from backups.services.copystates import copy_confirm, copy_degrade, copy_heal
from backups.services.damage import (
    LOST_KEPT,
    damage_mended,
    damage_met,
    damage_note,
    damage_over,
    damaged_names,
    losses_over,
    losses_record,
    vault_damage,
)
from backups.services.opening import OpenCopies, copies_of, copies_open, copy_key, usual_proof
from backups.services.retention import forgotten_of
from backups.services.vaults import vault_master, vault_of
from backups.states import CopyState, JobState
from backups.worker import JobContext, Outcome
from providers.services.locations import location_report
from providers.stores.errors import ChecksumMismatch, ObjectNotFound, StoreError
from wedbackup.core.templatetags.words import number, size

LOST_NAMED = 3  # in the sentence
EVERYTHING = "/"  # as a path: all that the snapshot held
FINDINGS_SHOWN = 50
SAMPLE_BYTES = 64 * 1024 * 1024  # of each copy
REPAIRS_MAX = 3  # what was mended may show what else is missing: an index names packs


def run_check(context: JobContext) -> Outcome:
    """Check one copy; replace what is damaged from the other copies and check again.

    Raises StoreError when its location does not answer (the worker queues the job again), VaultSealed.
    """
    vault = vault_of(context.job)
    copies = copies_of(vault)
    target = next((copy for copy in copies if copy.pk == context.job.parameters["copy"]), None)
    if target is None:
        return Outcome(JobState.COMPLETED, "The copy was removed meanwhile; there is nothing to check.")
    with copies_open(copies, purpose="check", clock=context.clock) as opened:
        return _Check(context, vault, target, opened).run()


class _Check:
    def __init__(self, context: JobContext, vault: Vault, target: Copy, opened: OpenCopies) -> None:
        self._context = context
        self._vault = vault
        self._target = target
        self._key = copy_key(target)
        self._opened = opened
        self._master = vault_master(vault)
        self._read_data = bool(context.job.parameters.get("read_data"))
        self._part: int | None = context.job.parameters.get("part")
        self._sample = bool(context.job.parameters.get("sample"))
        self._began = context.clock.utcnow()
        self._was_named = False  # whether it was known, file by file, what is damaged

    def run(self) -> Outcome:
        if self._key in self._opened.errors:
            raise self._opened.errors[self._key]
        try:
            found, replaced = self._check_and_repair()
        except StoreError as exc:
            self._degrade(CopyState.UNREACHABLE, str(exc))
            location_report(self._target.location, ok=False, error=exc, clock=self._context.clock)
            raise
        location_report(self._target.location, ok=True, clock=self._context.clock)
        self._note_reading(found)
        if found.verdict is Verdict.UNKNOWN:
            advice = next(finding for finding in found.findings if not finding.kind.harmless).kind.advice
            return self._outcome(found, JobState.DEGRADED, "could not be verified completely", advice)
        if found.verdict is Verdict.DAMAGED or damaged_names(self._target):
            return self._damaged(found)
        return self._whole(found, replaced)

    def _check_and_repair(self) -> tuple[CheckResult, int]:
        """Return what the last look found, and how many files were replaced before it."""
        replaced: set[str] = set()
        for _ in range(REPAIRS_MAX):
            found = self._check()
            damaged = self._note_damage(found)
            if found.verdict is not Verdict.DAMAGED and not damaged:
                break
            mended = self._repair(damaged)
            if not mended:
                break
            replaced |= mended
        else:
            found = self._check()
            self._note_damage(found)
        return found, len(replaced)

    def _places(self) -> dict[str, Place]:
        return {key: Place(store, self._vault.prefix) for key, store in self._opened.stores.items()}

    @property
    def _place(self) -> Place:
        return self._places()[self._key]

    def _check(self) -> CheckResult:
        return check(
            self._place,
            self._master,
            read_data=self._read_data,
            part=None if self._part is None else (self._part, PARTS),
            sample_bytes=SAMPLE_BYTES if self._sample else 0,
            listener=self._context.report,
            cancel=self._context.cancel,
        )

    def _note_damage(self, found: CheckResult) -> dict[str, str]:
        """Write down what is damaged now, by name with the reason, and strike off what is not any more."""
        damaged = found.damage | self._vanished()
        known = damaged_names(self._target)
        still = self._read_again(known - damaged.keys())
        with self._context.fenced():
            self._was_named |= bool(known or damaged)
            damage_mended(self._target, known - damaged.keys() - still.keys())
            damage_note(self._target, damaged, clock=self._context.clock)
        return damaged | still

    def _vanished(self) -> dict[str, str]:
        """Return the snapshot files that were confirmed here and are gone: the structure alone does not miss them."""
        confirmed = set(Snapshot.unscoped.filter(confirmations__copy=self._target).values_list("restic_id", flat=True))
        gone = confirmed - list_kind(self._place, FileKind.SNAPSHOTS).keys()
        return {file_name(FileKind.SNAPSHOTS, snapshot_id): "it was confirmed here and is gone" for snapshot_id in gone}

    def _read_again(self, names: Collection[str]) -> dict[str, str]:
        """Return which of these files are still not what they should be. What is gone and not missed is no damage."""
        still = {}
        for name in names:
            self._context.cancel.check()
            try:
                stored = self._place.store.get(self._vault.prefix + name)
            except ObjectNotFound:
                continue
            except ChecksumMismatch as exc:
                still[name] = str(exc)
                continue
            if name != CONFIG_NAME and hash_hex(stored) != name.rsplit("/", 1)[1]:
                still[name] = "its bytes do not hash to its name"
        return still

    def _repair(self, damaged: Collection[str]) -> set[str]:
        """Put what is damaged or missing again; return the names that were put."""
        put = self._put_beginnings(damaged)
        sources = {
            other: Place(store, self._vault.prefix)
            for other, store in self._opened.stores.items()
            if other != self._key
        }
        with contextlib.suppress(EngineError):  # no other copy answers: what could be put stays put
            result = replicate(
                sources,
                self._place,
                damaged=set(damaged) - put,
                forgotten=forgotten_of(self._vault),
                listener=self._context.report,
                cancel=self._context.cancel,
            )
            put |= result.copied.keys()
            damage_met(self._opened.copies.values(), result.source_problems, clock=self._context.clock)
        self._context.cancel.check()  # a cancelled job is no failed repair
        if not put:
            put = reindex(self._place, self._master)
        with self._context.fenced():
            damage_mended(self._target, put)
        return put

    def _put_beginnings(self, damaged: Collection[str]) -> set[str]:
        """Put config and key file again from what the database keeps: no other copy need have them."""
        key_file, config = bytes(self._vault.key_file), bytes(self._vault.config_file)
        kept = {CONFIG_NAME: config, file_name(FileKind.KEYS, hash_hex(key_file)): key_file}
        if not list_kind(self._place, FileKind.KEYS):
            damaged = {*damaged, *kept}
        put = {name for name in kept if name in damaged}
        for name in put:
            self._place.store.put(self._vault.prefix + name, kept[name], sha256=hash_hex(kept[name]))
        return put

    def _note_reading(self, found: CheckResult) -> None:
        """Record how much of the copy was read, whatever it showed: what was not read is due again."""
        unread = any(finding.kind is Kind.NOT_READ for finding in found.findings)
        rows = Copy.unscoped.filter(pk=self._target.pk)
        with self._context.fenced():
            if self._sample:
                rows.update(sampled_at=self._began)
            if not self._read_data or unread:
                return
            if self._part is None or self._part + 1 == PARTS:
                began = self._target.reading_began_at if self._part is not None else None
                rows.update(verified_at=began or self._began, reading_began_at=None, parts_read=0)
            elif self._part == self._target.parts_read:
                began = self._target.reading_began_at if self._part else None
                rows.update(reading_began_at=began or self._began, parts_read=self._part + 1)

    def _whole(self, found: CheckResult, replaced: int) -> Outcome:
        proved = self._was_named or (self._read_data and self._part is None)
        shown = list_kind(self._place, FileKind.SNAPSHOTS)
        with self._context.fenced():
            if self._read_data and self._part is None:
                damage_over(self._target)
                losses_over(self._vault, shown)
            if proved:
                copy_heal(self._target, clock=self._context.clock)
        self._confirm()
        if self._target.state == CopyState.DAMAGED:
            check_request([self._target], read_data=True, clock=self._context.clock)
            advice = "Nothing to do: every byte of it will be read, which says what else is damaged."
            return self._outcome(found, JobState.DEGRADED, "was damaged, and is not proved to be whole yet", advice)
        if replaced:
            files = "1 file was" if replaced == 1 else f"{number(replaced)} files were"
            return self._outcome(found, JobState.COMPLETED, f"is whole again: {files} put again")
        return self._outcome(found, JobState.COMPLETED, "is whole" if self._read_data else "lacks nothing")

    def _damaged(self, found: CheckResult) -> Outcome:
        losses = self._losses()
        if losses is not None and self._is_all_there_is(found, losses):
            return self._whole_but_for(found, losses)
        serious = next((finding for finding in found.findings if not finding.kind.harmless), None)
        self._degrade(CopyState.DAMAGED, str(serious) if serious else "files that were damaged are still not whole")
        words = "is damaged and no other copy could repair all of it"
        advice = "The next backup stores again whatever the source still has; keep the other copies."
        outcome = self._outcome(found, JobState.FAILED, words, advice)
        if losses is None or not losses.paths:
            return outcome
        message = f"{outcome.message} {_lost_words(losses.paths)}"
        return replace(outcome, message=message, result=outcome.result | {"lost": losses.paths[:LOST_KEPT]})

    def _losses(self) -> Losses | None:
        """Find out, and write down, what no copy can give; None while a copy that may have it does not answer."""
        if self._opened.errors:
            return None
        suspects = vault_damage(self._vault)
        try:
            losses = find_losses(self._places(), self._master, suspects, cancel=self._context.cancel)
        except (EngineError, StoreError):
            self._context.cancel.check()
            return None
        if not losses.certain:
            return None
        published = set(Snapshot.unscoped.filter(vault=self._vault).values_list("restic_id", flat=True))
        gone = published - losses.readable
        losses.by_snapshot.update({snapshot_id: [EVERYTHING] for snapshot_id in gone})
        with self._context.fenced():
            losses_record(self._vault, losses.by_snapshot)
        self._give_up(gone)
        return losses

    def _give_up(self, snapshots: Collection[str]) -> None:
        """Let snapshots be no damage of this copy any more whose own file is readable nowhere: they are lost, by name.

        Their packs stay for the snapshots that share them, or until a prune.
        """
        names = damaged_names(self._target).intersection(file_name(FileKind.SNAPSHOTS, each) for each in snapshots)
        for name in names:
            with contextlib.suppress(StoreError):
                self._place.store.delete(self._vault.prefix + name)
        with self._context.fenced():
            damage_mended(self._target, names)

    def _is_all_there_is(self, found: CheckResult, losses: Losses) -> bool:
        """Whether the copy has all that any copy has, and the newest state lost nothing.

        Then its damage is no damage of this copy any more: older states lost files, and they are named.
        """
        newest = Snapshot.unscoped.filter(vault=self._vault).first()
        serious = {finding.kind for finding in found.findings if not finding.kind.harmless}
        return (
            serious <= {Kind.BLOB_MISSING, Kind.TREE_UNREADABLE, Kind.SNAPSHOT_DAMAGED}
            and not damaged_names(self._target)
            and newest is not None
            and newest.restic_id not in losses.by_snapshot
        )

    def _whole_but_for(self, found: CheckResult, losses: Losses) -> Outcome:
        with self._context.fenced():
            copy_heal(self._target, clock=self._context.clock)
        self._confirm()
        states = "1 older state" if len(losses.by_snapshot) == 1 else f"{number(len(losses.by_snapshot))} older states"
        outcome = self._outcome(
            found,
            JobState.DEGRADED,
            "has all that is left",
            "The newest state is whole. If the files still exist somewhere, put them back into the source folder.",
        )
        message = f"{outcome.message} {_lost_words(losses.paths)} They belong to {states}."
        return replace(outcome, message=message, result=outcome.result | {"lost": losses.paths[:LOST_KEPT]})

    def _degrade(self, state: str, reason: str) -> None:
        with self._context.fenced():
            copy_degrade(self._target, state, reason, clock=self._context.clock)

    def _confirm(self) -> None:
        """Record what the copy is proved to hold; a copy that lacks the newest snapshot is not current by this."""
        clock = self._context.clock
        held = held_snapshots(self._vault, self._place)
        newest = Snapshot.unscoped.filter(vault=self._vault).first()
        if newest is None:
            return
        if newest not in held:
            self._degrade(CopyState.BEHIND, "it does not hold the newest snapshot")
            return
        with self._context.fenced():
            copy_confirm(self._target, held, proof=usual_proof(self._opened.stores[self._key]), clock=clock)
            for snapshot in held:
                newly_acknowledged(snapshot, clock)

    def _outcome(self, found: CheckResult, state: str, words: str, advice: str = "") -> Outcome:
        read = f"{number(found.packs)} packs, {size(found.bytes_read)} read" if self._read_data else "structure only"
        if self._part is not None:
            read += f", part {self._part + 1} of {PARTS}"
        if found.sample is not None:
            read = f"structure and a sample: {found.sample}"
        snapshots = "1 snapshot" if found.snapshots == 1 else f"{number(found.snapshots)} snapshots"
        message = f"The copy at {self._target.location.name} {words} ({snapshots}, {read})."
        findings = [str(finding) for finding in found.findings[:FINDINGS_SHOWN]]
        details = {"verdict": str(found.verdict), "packs": found.packs, "bytes": found.bytes_read, "findings": findings}
        return Outcome(state, message, advice, details)


def _lost_words(paths: Sequence[str]) -> str:
    count = "1 file is" if len(paths) == 1 else f"{number(len(paths))} files are"
    return f"{count} readable in no place: {', '.join(paths[:LOST_NAMED])}{' ...' if len(paths) > LOST_NAMED else ''}."
