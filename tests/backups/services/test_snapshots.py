"""Which snapshot is the newest: the one that was recorded last, whatever the clock said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backups.management.naming import snapshot_named
from backups.models import Snapshot, Vault
from backups.services.recovery_choice import snapshot_to_recover
from tests.backups.ground import Ground
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_snapshot_made_while_the_clock_was_ahead_is_not_the_newest_for_a_year(ground: Ground) -> None:
    """restic #21956, kopia #3736: everything that asks for the newest state got the older one."""
    vault = ground.vault()
    ahead = ManualClock(SYSTEM_CLOCK.utcnow() + timedelta(days=365))
    ground.run(ground.ask(vault), clock=ahead)
    (ground.source() / "later.jpg").write_bytes(b"made after the clock was put right")
    ground.back_up(vault)
    newest = Snapshot.unscoped.filter(vault=vault).first()
    assert newest is not None and newest.taken_at < ahead.utcnow()
    assert newest.file_count == max(Snapshot.unscoped.values_list("file_count", flat=True))
    assert snapshot_to_recover(vault) == newest == snapshot_named("latest", vault)


def test_a_number_is_never_used_twice(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    Snapshot.unscoped.get().delete()
    ground.back_up(vault)
    numbers = set(Snapshot.unscoped.values_list("number", flat=True))  # the first is found at the places, and adopted
    assert 1 not in numbers and max(numbers) == Vault.unscoped.get(pk=vault.pk).last_number
