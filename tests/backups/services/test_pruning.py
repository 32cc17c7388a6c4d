"""What has expired for long enough goes in every copy that answers, for good, and nobody's absence stops that."""

from __future__ import annotations

import pytest

from backups.engine.format.repository import Repository
from backups.engine.upkeep.forget import forget
from backups.engine.upkeep.prune import prune
from backups.models import ForgottenSnapshot, Snapshot, Vault
from backups.services.retention import prune_request
from backups.services.vaults import vault_secret
from backups.states import JobState
from providers.services.locations import store_of
from tests.backups.ground import Ground, contents, let_grace_pass
from tests.backups.services.test_retention import make_aged
from tests.restic import stock
from wedbackup.core.audit import AuditTag
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.models import AuditEntry


@pytest.fixture
def aged(ground: Ground) -> Vault:
    """A vault with four snapshots, of which its policy keeps the last two; the grace of the others is over."""
    vault = make_aged(ground)
    assert len(let_grace_pass(vault)) == 2
    return vault


@pytest.mark.stock
def test_expired_snapshots_go_in_every_copy_and_stock_restic_agrees(ground: Ground, aged: Vault) -> None:
    gone = let_grace_pass(aged)
    job = prune_request(aged)
    assert job is not None

    ground.run(job)

    assert job.state == JobState.COMPLETED, (job.message, job.advice, job.result)
    assert Snapshot.unscoped.filter(vault=aged).count() == 2
    for place in range(3):
        stock.check(ground.repository(aged, place), vault_secret(aged))
        assert len(stock.snapshots(ground.repository(aged, place), vault_secret(aged))) == 2
    assert set(AuditEntry.objects.get(tag=AuditTag.SNAPSHOTS_FORGOTTEN).detail["snapshots"]) == gone
    assert set(ForgottenSnapshot.unscoped.filter(vault=aged).values_list("restic_id", flat=True)) == gone


@pytest.mark.stock
@pytest.mark.parametrize("killed_at", [0, 1, 2], ids=["first copy", "second copy", "third copy"])
def test_after_a_prune_that_was_killed_at_one_copy_the_next_one_prunes_all(
    ground: Ground, aged: Vault, killed_at: int
) -> None:
    """One copy was pruned already when the process died, the others have what it lacks."""
    going = let_grace_pass(aged)
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
