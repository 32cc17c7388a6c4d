"""Old snapshots go by the policy's rules, in every copy, and their room is given back. Suspicion freezes everything."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, timedelta

from django.db.models import Count

from backups.engine.errors import Damaged, EngineError, RepositoryExists, RepositoryMissing
from backups.engine.format.repository import Repository
from backups.engine.upkeep.forget import forget
from backups.engine.upkeep.prune import PruneResult, prune
from backups.engine.upkeep.replicate import replicate
from backups.models import Job, Snapshot, Vault
from backups.policy.retention import Candidate, Rules, Verdict, judge
from backups.services.jobs import job_enqueue
from backups.services.opening import copies_of, copies_open
from backups.services.vaults import vault_config, vault_master, vault_of
from backups.states import JobState
from backups.worker import JobContext, Outcome
from providers.services.locations import PRUNE
from providers.stores.errors import StoreError
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.templatetags.words import number, size

PRUNE_RANK = 90
PRUNE_EVERY = timedelta(days=1)


def prune_request(vault: Vault, *, clock: Clock = SYSTEM_CLOCK) -> Job | None:
    """Queue a prune of `vault` if a snapshot has expired and none was queued within PRUNE_EVERY."""
    recent = Job.unscoped.filter(
        vault=vault, kind=Job.Kind.PRUNE, created_at__gte=clock.utcnow() - PRUNE_EVERY
    ).exists()
    if recent or not expired(vault, clock=clock):
        return None
    return job_enqueue(
        kind=Job.Kind.PRUNE,
        organisation=vault.organisation,
        wedding=vault.wedding,
        vault=vault,
        priority=PRUNE_RANK,
        clock=clock,
    )


def expired(vault: Vault, *, clock: Clock = SYSTEM_CLOCK) -> list[Verdict]:
    """Return the verdicts on the snapshots that no rule keeps."""
    policy = vault.policy
    rules = Rules(
        last=policy.keep_last,
        daily=policy.keep_daily,
        weekly=policy.keep_weekly,
        monthly=policy.keep_monthly,
        yearly=policy.keep_yearly,
        minimum_copies=policy.copies_needed,
        zone=vault.wedding.zone if vault.wedding else UTC,
    )
    snapshots = Snapshot.unscoped.filter(vault=vault).annotate(copies=Count("confirmations"))
    candidates = [
        # A snapshot whose source looked wrong stays out of the counting: it must not push a good one out.
        Candidate(snapshot.restic_id, snapshot.taken_at, snapshot.copies)
        for snapshot in snapshots
        if not snapshot.suspicion
    ]
    verdicts = judge(candidates, rules, now=clock.utcnow(), frozen=vault.suspicion)
    return [verdict for verdict in verdicts if not verdict.keep]


def run_prune(context: JobContext) -> Outcome:
    """Forget what has expired and prune. Raises Locked or StoreError while no copy can be worked on, Damaged."""
    vault = vault_of(context.job)
    going = [verdict.snapshot_id for verdict in expired(vault, clock=context.clock)]
    with _repositories(vault, context.clock) as (repositories, left_out):
        forgotten = forget(repositories, going, clock=context.clock)
        _forget_rows(context, vault, going)
        _make_equal({label: copy for label, copy in repositories.items() if label not in forgotten.failures}, context)
        result = prune(repositories, clock=context.clock, listener=context.report, cancel=context.cancel)
    behind = {**left_out, **forgotten.failures, **result.behind}
    return _outcome(going, result, behind)


@contextlib.contextmanager
def _repositories(vault: Vault, clock: Clock) -> Iterator[tuple[Mapping[str, Repository], dict[str, str]]]:
    """Open the vault's copies; the second part says which could not be opened and why."""
    master = vault_master(vault)
    config = vault_config(vault, master)
    with copies_open(copies_of(vault), purpose=PRUNE, clock=clock) as opened:
        names = {key: copy.location.name for key, copy in opened.copies.items()}
        if not opened.stores:
            raise EngineError("no copy can be opened: " + "; ".join(str(exc) for exc in opened.errors.values()))
        repositories = {
            names[key]: Repository(store, vault.prefix, master, config) for key, store in opened.stores.items()
        }
        yield repositories, {names[key]: str(exc) for key, exc in opened.errors.items()}


def _make_equal(repositories: Mapping[str, Repository], context: JobContext) -> None:
    """Bring back what only some copies have: a prune that was killed leaves them different, and only equal ones take
    part in the next. Nothing is removed here; a copy where it fails is left out by the prune, which says so.
    """
    for label, target in repositories.items():
        sources = {other: copy for other, copy in repositories.items() if other != label}
        if sources:
            with contextlib.suppress(StoreError, RepositoryMissing, RepositoryExists, Damaged):
                replicate(sources, target, cancel=context.cancel)


def _forget_rows(context: JobContext, vault: Vault, going: list[str]) -> None:
    if not going:
        return
    with context.fenced():
        Snapshot.unscoped.filter(vault=vault, restic_id__in=going).delete()
        record(
            AuditTag.SNAPSHOTS_FORGOTTEN,
            actor="retention",
            subject_type="vault",
            subject_id=vault.pk,
            organisation_id=vault.organisation_id,
            detail={"snapshots": going, "policy": vault.policy.name},
            clock=context.clock,
        )


def _outcome(going: list[str], result: PruneResult, behind: dict[str, str]) -> Outcome:
    message = f"{number(len(going))} old snapshots went by the policy, {size(result.bytes_freed)} freed at each place."
    details = {"forgotten": going, "bytes_freed": result.bytes_freed, "behind": behind}
    if not behind:
        return Outcome(JobState.COMPLETED, message, "", details)
    places = ", ".join(behind)
    return Outcome(
        JobState.DEGRADED,
        f"{message} {places} took no part.",
        "Nothing is lost: what is too much there goes at a later prune.",
        details,
    )
