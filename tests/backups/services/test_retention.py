"""Old snapshots go by the rules, in every copy; suspicion and the last safe one stop everything."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backups.engine.format.repository import Repository
from backups.engine.upkeep.forget import forget
from backups.engine.upkeep.prune import prune
from backups.models import Job, Snapshot, Vault
from backups.services.retention import expired, prune_request
from backups.services.vaults import vault_secret
from backups.states import JobState
from providers.services.locations import store_of
from tests.backups.ground import Ground, contents
from tests.restic import stock
from wedbackup.core.audit import AuditTag
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.models import AuditEntry


@pytest.fixture
def aged(ground: Ground) -> Vault:
    """A vault with four snapshots of one day, of which its policy keeps the last two."""
    ground.policy.keep_last = 2
    ground.policy.keep_daily = ground.policy.keep_weekly = ground.policy.keep_monthly = ground.policy.keep_yearly = 0
    ground.policy.save()
    vault = ground.vault()
    for number in range(4):
        (ground.source() / f"only in {number}").write_bytes(f"{number}".encode() * 50_000)
        ground.back_up(vault)
        (ground.source() / f"only in {number}").unlink()
    Job.unscoped.filter(kind=Job.Kind.PRUNE).delete()
    return Vault.unscoped.select_related("policy", "wedding", "organisation").get(pk=vault.pk)


@pytest.mark.stock
def test_expired_snapshots_go_in_every_copy_and_stock_restic_agrees(ground: Ground, aged: Vault) -> None:
    job = prune_request(aged)
    assert job is not None

    ground.run(job)

    assert job.state == JobState.COMPLETED, (job.message, job.advice, job.result)
    assert Snapshot.unscoped.filter(vault=aged).count() == 2
    for place in range(3):
        stock.check(ground.repository(aged, place), vault_secret(aged))
        assert len(stock.snapshots(ground.repository(aged, place), vault_secret(aged))) == 2
    assert AuditEntry.objects.filter(tag=AuditTag.SNAPSHOTS_FORGOTTEN).exists()


@pytest.mark.stock
@pytest.mark.parametrize("killed_at", [0, 1, 2], ids=["first copy", "second copy", "third copy"])
def test_after_a_prune_that_was_killed_at_one_copy_the_next_one_prunes_all(
    ground: Ground, aged: Vault, killed_at: int
) -> None:
    """One copy was pruned already when the process died, the others have what it lacks."""
    going = [verdict.snapshot_id for verdict in expired(aged)]
    copies: dict[str, Repository] = {}
    for place, location in enumerate(ground.locations):
        copies[str(place)] = Repository.open(store_of(location), aged.prefix, vault_secret(aged))
    forget(copies, going, clock=SYSTEM_CLOCK)
    assert prune({"here": copies[str(killed_at)]}, clock=SYSTEM_CLOCK).removed
    job = prune_request(aged)
    assert job is not None

    ground.run(job)

    assert job.state == JobState.COMPLETED, (job.message, job.advice, job.result)
    held = [contents(ground.repository(aged, place)) for place in range(3)]
    assert held[0] == held[1] == held[2]
    for place in range(3):
        stock.check(ground.repository(aged, place), vault_secret(aged))
    assert job.result["bytes_freed"] > 0


def test_while_a_vault_is_suspicious_nothing_goes(aged: Vault) -> None:
    assert expired(aged)
    aged.suspicion = "The source is empty."
    assert not expired(aged)
    assert prune_request(aged) is None


def test_a_prune_is_queued_at_most_once_a_day(aged: Vault) -> None:
    assert prune_request(aged) is not None
    assert prune_request(aged) is None


def test_snapshots_of_a_source_that_looked_wrong_push_no_good_one_out(aged: Vault) -> None:
    newest = list(Snapshot.unscoped.filter(vault=aged))[:2]
    Snapshot.unscoped.filter(pk__in=[snapshot.pk for snapshot in newest]).update(suspicion="shrank")
    good = Snapshot.unscoped.filter(vault=aged, suspicion="").first()
    assert good is not None
    assert good.restic_id not in {verdict.snapshot_id for verdict in expired(aged)}
    assert good.taken_at > SYSTEM_CLOCK.utcnow() - timedelta(days=1)
