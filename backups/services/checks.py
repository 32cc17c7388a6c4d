"""Copies are checked with the vault's key, and repaired from the others without a person where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Q

from backups.engine.errors import EngineError
from backups.engine.format import FileKind, file_name
from backups.engine.upkeep.check import check
from backups.engine.upkeep.copies import Place, list_kind
from backups.engine.upkeep.findings import CheckResult, Verdict
from backups.engine.upkeep.replicate import replicate
from backups.models import Copy, Job, Snapshot, Vault
from backups.services.copies import newly_acknowledged
from backups.services.copystates import copy_confirm, copy_degrade
from backups.services.jobs import job_enqueue
from backups.services.opening import OpenCopies, copies_of, copies_open, copy_key, usual_proof
from backups.services.retention import forgotten_of
from backups.services.vaults import vault_master, vault_of
from backups.states import JOB_UNFINISHED, CopyState, JobState
from backups.worker import JobContext, Outcome
from providers.models import Location
from providers.services.locations import location_report, store_of
from providers.stores.errors import StoreError
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.templatetags.words import number, size

CHECK_RANK = 80  # when nothing else waits
CHECK_EVERY = timedelta(days=7)
SAMPLE_EVERY = timedelta(days=1)  # of copies whose provider proves nothing, between the full reads
SAMPLE_BYTES = 64 * 1024 * 1024  # of each copy
CHECKS_PER_TICK = 20
FINDINGS_SHOWN = 50


def check_request(
    copies: Sequence[Copy],
    *,
    read_data: bool,
    sample: bool = False,
    user: object = None,
    clock: Clock = SYSTEM_CLOCK,
) -> list[Job]:
    """Queue a check of each copy, unless one is waiting or running: that one is returned.

    read_data: read every byte, not only the structure.
    sample:    read a few blobs, chosen at random.
    """
    jobs = []
    for copy in copies:
        unfinished = Job.unscoped.filter(vault=copy.vault, kind=Job.Kind.CHECK, state__in=JOB_UNFINISHED)
        same = next((job for job in unfinished if job.parameters.get("copy") == copy.pk), None)
        jobs.append(
            same
            or job_enqueue(
                kind=Job.Kind.CHECK,
                organisation=copy.vault.organisation,
                wedding=copy.vault.wedding,
                vault=copy.vault,
                priority=CHECK_RANK,
                parameters={
                    "copy": copy.pk,
                    "location": copy.location.name,
                    "read_data": read_data,
                    "sample": sample,
                },
                requested_by=user,  # type: ignore[arg-type]
                clock=clock,
            )
        )
    return jobs


def checks_enqueue_due(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue a full read of every copy that was not read for CHECK_EVERY, the longest unread first."""
    before = clock.utcnow() - CHECK_EVERY
    unread = Q(verified_at__lt=before) | Q(verified_at=None, vault__created_at__lt=before)
    due = Copy.unscoped.filter(unread, state=CopyState.CURRENT).exclude(
        vault__jobs__kind=Job.Kind.CHECK, vault__jobs__created_at__gte=clock.utcnow() - timedelta(days=1)
    )
    due = due.select_related("vault__organisation", "vault__wedding", "location").order_by("verified_at")
    return check_request(list(due[:CHECKS_PER_TICK]), read_data=True, clock=clock)


def samples_enqueue_due(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue a look at random into every copy whose provider proves nothing and that was not checked for SAMPLE_EVERY.

    Copies whose full read is due are left to that.
    """
    now = clock.utcnow()
    recent = Job.unscoped.filter(kind=Job.Kind.CHECK).filter(
        Q(created_at__gte=now - SAMPLE_EVERY) | Q(state__in=JOB_UNFINISHED)
    )
    checked = {parameters.get("copy") for parameters in recent.values_list("parameters", flat=True)}
    unread = Copy.unscoped.filter(
        Q(verified_at__lt=now - SAMPLE_EVERY, verified_at__gte=now - CHECK_EVERY)
        | Q(verified_at=None, vault__created_at__lt=now - SAMPLE_EVERY, vault__created_at__gte=now - CHECK_EVERY),
        state=CopyState.CURRENT,
        location__enabled=True,
    )
    unread = unread.select_related("vault__organisation", "vault__wedding", "location").order_by("pk")
    proving: dict[Any, bool] = {}
    due = []
    for copy in unread:
        if copy.pk not in checked and not proving.setdefault(copy.location_id, _proves_at_rest(copy.location)):
            due.append(copy)
        if len(due) == CHECKS_PER_TICK:
            break
    return check_request(due, read_data=False, sample=True, clock=clock)


def _proves_at_rest(location: Location) -> bool:
    """Whether the provider proves what it stores without a download; also true when its store cannot be opened now."""
    try:
        return store_of(location).capabilities.proves_at_rest
    except StoreError:
        return True


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
        self._opened = opened
        self._master = vault_master(vault)
        self._read_data = bool(context.job.parameters.get("read_data"))
        self._sample = bool(context.job.parameters.get("sample"))

    def run(self) -> Outcome:
        key = copy_key(self._target)
        if key in self._opened.errors:
            raise self._opened.errors[key]
        try:
            found = self._check()
            damaged = found.damaged | self._vanished()
            repaired = self._repair(damaged) if damaged else None
        except StoreError as exc:
            self._degrade(CopyState.UNREACHABLE, str(exc))
            location_report(self._target.location, ok=False, error=exc, clock=self._context.clock)
            raise
        location_report(self._target.location, ok=True, clock=self._context.clock)
        if repaired is None:
            return self._unrepaired(found)
        return self._after_repair(repaired, len(damaged))

    def _place(self, key: str) -> Place:
        return Place(self._opened.stores[key], self._vault.prefix)

    def _check(self) -> CheckResult:
        return check(
            self._place(copy_key(self._target)),
            self._master,
            read_data=self._read_data,
            sample_bytes=SAMPLE_BYTES if self._sample else 0,
            listener=self._context.report,
            cancel=self._context.cancel,
        )

    def _vanished(self) -> set[str]:
        """Return the snapshot files that were confirmed here and are gone: the structure alone does not miss them."""
        confirmed = set(Snapshot.unscoped.filter(confirmations__copy=self._target).values_list("restic_id", flat=True))
        gone = confirmed - list_kind(self._place(copy_key(self._target)), FileKind.SNAPSHOTS).keys()
        return {file_name(FileKind.SNAPSHOTS, snapshot_id) for snapshot_id in gone}

    def _repair(self, damaged: set[str]) -> CheckResult:
        """Put the damaged files again from the other copies, and check once more."""
        key = copy_key(self._target)
        self._degrade(CopyState.DAMAGED, f"{len(damaged)} files are damaged or missing")
        sources = {other: self._place(other) for other in self._opened.stores if other != key}
        try:
            replicate(
                sources,
                self._place(key),
                damaged=damaged,
                forgotten=forgotten_of(self._vault),
                listener=self._context.report,
                cancel=self._context.cancel,
            )
        except EngineError:
            self._context.cancel.check()  # a cancelled job is no failed repair
        return self._check()

    def _unrepaired(self, found: CheckResult) -> Outcome:
        """The outcome when there was nothing to repair."""
        serious = next((finding for finding in found.findings if not finding.kind.harmless), None)
        if serious is not None and found.verdict is Verdict.UNKNOWN:
            return self._outcome(found, JobState.DEGRADED, "could not be verified completely", serious.kind.advice)
        if serious is not None:
            self._degrade(CopyState.DAMAGED, str(serious))
            return self._outcome(found, JobState.FAILED, "is damaged", serious.kind.advice)
        self._confirm()
        return self._outcome(found, JobState.COMPLETED, "is whole")

    def _after_repair(self, found: CheckResult, damaged: int) -> Outcome:
        files = "1 file was" if damaged == 1 else f"{number(damaged)} files were"
        if found.verdict is Verdict.WHOLE and not self._vanished():
            self._confirm()
            return self._outcome(found, JobState.COMPLETED, f"is whole again: {files} replaced from the other copies")
        advice = "The next backup stores again whatever the source still has; keep the other copies."
        return self._outcome(found, JobState.FAILED, "is damaged and no other copy could repair all of it", advice)

    def _degrade(self, state: str, reason: str) -> None:
        with self._context.fenced():
            copy_degrade(self._target, state, reason, clock=self._context.clock)

    def _confirm(self) -> None:
        """Record what the copy is proved to hold; a copy that lacks the newest snapshot is not current by this."""
        key, clock = copy_key(self._target), self._context.clock
        shown = list_kind(self._place(key), FileKind.SNAPSHOTS)
        held = list(Snapshot.unscoped.filter(vault=self._vault, restic_id__in=shown).select_related("vault__policy"))
        newest = Snapshot.unscoped.filter(vault=self._vault).first()
        with self._context.fenced():
            if newest is not None and newest in held:
                copy_confirm(self._target, held, proof=usual_proof(self._opened.stores[key]), clock=clock)
                for snapshot in held:
                    newly_acknowledged(snapshot, clock)
            if self._read_data:
                Copy.unscoped.filter(pk=self._target.pk).update(verified_at=clock.utcnow())

    def _outcome(self, found: CheckResult, state: str, words: str, advice: str = "") -> Outcome:
        read = f"{number(found.packs)} packs, {size(found.bytes_read)} read" if self._read_data else "structure only"
        if found.sample is not None:
            read = f"structure and a sample: {found.sample}"
        snapshots = "1 snapshot" if found.snapshots == 1 else f"{number(found.snapshots)} snapshots"
        message = f"The copy at {self._target.location.name} {words} ({snapshots}, {read})."
        findings = [str(finding) for finding in found.findings[:FINDINGS_SHOWN]]
        details = {"verdict": str(found.verdict), "packs": found.packs, "bytes": found.bytes_read, "findings": findings}
        return Outcome(state, message, advice, details)
