"""A legal hold stands above every rule, and says who set it and why."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from backups.models import Snapshot, Vault
from backups.services.holds import hold_lift, hold_set
from backups.services.retention import retention_judge, retention_mark
from tests.backups.ground import Ground, let_grace_pass, make_member
from tests.backups.services.test_retention import make_aged
from wedbackup.core.audit import AuditTag
from wedbackup.core.models import AuditEntry


@pytest.fixture
def aged(ground: Ground) -> Vault:
    return make_aged(ground)


def test_under_a_hold_nothing_goes_and_lifted_it_has_its_whole_grace_again(ground: Ground, aged: Vault) -> None:
    alice = make_member(ground.studio, "alice")
    assert len(let_grace_pass(aged)) == 2
    hold_set(aged, " dispute, file 12/26 ", actor=alice)
    assert not retention_judge(aged).going
    assert (aged.hold, aged.held_by) == ("dispute, file 12/26", "alice")
    assert hold_lift(aged, actor=alice) and not hold_lift(aged, actor=alice)
    judgement = retention_mark(aged)
    assert len(judgement.going) == 2 and not judgement.ripe
    trail = AuditEntry.objects.filter(tag__in=[AuditTag.HOLD_SET, AuditTag.HOLD_LIFTED]).order_by("id")
    assert [(entry.tag, entry.actor, entry.detail["reason"]) for entry in trail] == [
        ("hold.set", "alice", "dispute, file 12/26"),
        ("hold.lifted", "alice", "dispute, file 12/26"),
    ]


def test_one_snapshot_can_be_held_by_itself(aged: Vault) -> None:
    let_grace_pass(aged)
    oldest = Snapshot.unscoped.filter(vault=aged).select_related("vault").last()
    assert oldest is not None
    hold_set(oldest, "the only one with the contract", actor="test")
    judgement = retention_mark(aged)
    assert len(judgement.going) == 1 and judgement.verdicts[-1].keep


def test_a_hold_without_a_reason_is_refused(aged: Vault) -> None:
    with pytest.raises(ValidationError, match="Say why"):
        hold_set(aged, "  ", actor="test")
