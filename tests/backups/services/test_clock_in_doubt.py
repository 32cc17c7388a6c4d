"""What a clock in doubt must not decide."""

from __future__ import annotations

import pytest

from backups.models import Vault
from backups.services.retention import retention_judge
from backups.services.verdicts import vault_verdict
from monitoring.models import Alert
from monitoring.watch import conditions_watch
from providers.models import Location
from tests.backups.ground import Ground
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock
from wedbackup.core.clockwatch import clock_watch

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = 3600.0


def test_while_in_doubt_nothing_is_pruned_nothing_is_safe_and_it_is_told(ground: Ground) -> None:
    """Here: a snapshot of next year kept the wedding green; a clock a year ahead aged everything else out."""
    vault = ground.vault()
    for location in ground.locations:
        Location.objects.filter(pk=location.pk).update(account=location.name, medium=location.name)
    ground.back_up(vault)
    clock = ManualClock(SYSTEM_CLOCK.utcnow())
    clock_watch(clock=clock)
    assert vault_verdict(Vault.unscoped.get(), clock=clock).is_safe
    assert retention_judge(vault, clock=clock).frozen == ""
    clock.jump(-HOUR)
    clock_watch(clock=clock)
    conditions_watch(clock=clock)
    assert "jumped back" in vault_verdict(Vault.unscoped.get(), clock=clock).sentence
    assert "jumped back" in retention_judge(vault, clock=clock).frozen
    assert Alert.objects.get(key="clock.doubted").severity == "critical"
