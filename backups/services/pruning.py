"""What has expired for long enough is forgotten in every copy, for good, and its room is given back."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping

from backups.engine.errors import Damaged, EngineError
from backups.engine.format.repository import Repository
from backups.engine.upkeep.forget import forget
from backups.engine.upkeep.prune import PruneResult, prune
from backups.models import Copy, ForgottenSnapshot, Snapshot, Vault
from backups.services.checks import check_request
from backups.services.opening import copies_of, copies_open
from backups.services.retention import forgotten_of, newest_tombstone, owing, retention_mark
from backups.services.vaults import vault_config, vault_master, vault_of
from backups.states import JobState
from backups.worker import JobContext, Outcome
from providers.services.locations import PRUNE
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import Clock
from wedbackup.core.templatetags.words import number, size


def run_prune(context: JobContext) -> Outcome:
    """Forget what has expired, also where it was missed earlier, and prune.

    Raises Locked or StoreError while no copy can be worked on, Damaged, LastSnapshot.
    """
    vault, clock = vault_of(context.job), context.clock
    unpruned = [copy.location.name for copy in owing(vault)]
    with _repositories(vault, clock) as (repositories, left_out):
        going = list(retention_mark(vault_of(context.job), clock=clock).ripe)  # a hold may have come meanwhile
        forgotten = forget(repositories, going, forgotten=forgotten_of(vault), clock=clock)
        _forget_rows(context, vault, going)
        able = {label: copy for label, copy in repositories.items() if label not in forgotten.failures}
        lossy = Snapshot.unscoped.filter(vault=vault, lost_count__gt=0).values_list("restic_id", flat=True)
        try:
            result = prune(
                able,
                clock=clock,
                unpruned=unpruned,
                lossy=frozenset(lossy),
                listener=context.report,
                cancel=context.cancel,
            )
        except Damaged:
            check_request(copies_of(vault), read_data=True, clock=clock)  # it wants a blob that nobody gave
            raise
    with context.fenced():
        rid = Copy.unscoped.filter(vault=vault, location__name__in=result.in_line)
        rid.update(rid_of=newest_tombstone(vault))
    return _outcome(going, result, {**left_out, **forgotten.failures, **result.behind})


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


def _forget_rows(context: JobContext, vault: Vault, going: Collection[str]) -> None:
    """Take the snapshots' rows away and leave a tombstone for each: they are not to come back from anywhere."""
    if not going:
        return
    now = context.clock.utcnow()
    with context.fenced():
        Snapshot.unscoped.filter(vault=vault, restic_id__in=going).delete()
        ForgottenSnapshot.unscoped.bulk_create(
            (
                ForgottenSnapshot(vault=vault, restic_id=name, forgotten_at=now, reason=f"policy {vault.policy.name}")
                for name in going
            ),
            ignore_conflicts=True,
        )
        record(
            AuditTag.SNAPSHOTS_FORGOTTEN,
            actor="retention",
            subject_type="vault",
            subject_id=vault.pk,
            organisation_id=vault.organisation_id,
            detail={"snapshots": list(going), "policy": vault.policy.name},
            clock=context.clock,
        )


def _outcome(going: Collection[str], result: PruneResult, behind: dict[str, str]) -> Outcome:
    message = f"{number(len(going))} old snapshots went by the policy, {size(result.bytes_freed)} freed at each place."
    details = {"forgotten": list(going), "bytes_freed": result.bytes_freed, "behind": behind}
    if not behind:
        return Outcome(JobState.COMPLETED, message, "", details)
    places = ", ".join(behind)
    return Outcome(
        JobState.DEGRADED,
        f"{message} {places} took no part.",
        "Nothing that is kept is lost: what is too much there goes as soon as it answers again.",
        details,
    )
