"""What the policy says of a vault's snapshots: what stays and why, and the two phases of what goes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import transaction

from backups.models import Copy, Job, Policy, Snapshot, Vault
from backups.services.damage import damage_note
from backups.services.retention import GRACE, prune_request, retention_judge, retention_mark, rules_of
from backups.states import CopyState
from tests.backups.ground import Ground, keep_only, let_grace_pass
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock


@pytest.fixture
def aged(ground: Ground) -> Vault:
    """A vault with four snapshots of one day, of which its policy keeps the last two."""
    return make_aged(ground)


def make_aged(ground: Ground) -> Vault:
    keep_only(ground.policy, 2)
    vault = ground.vault()
    for number in range(4):
        (ground.source() / f"only in {number}").write_bytes(f"{number}".encode() * 50_000)
        ground.back_up(vault)
        (ground.source() / f"only in {number}").unlink()
    Job.unscoped.filter(kind=Job.Kind.PRUNE).delete()
    return reread(vault)


def reread(vault: Vault) -> Vault:
    return Vault.unscoped.select_related("policy", "wedding", "organisation").get(pk=vault.pk)


def going(vault: Vault) -> set[str]:
    return {verdict.snapshot_id for verdict in retention_judge(vault).going}


def test_every_shipped_policy_keeps_everything_of_two_weeks_and_of_the_wedding(ground: Ground) -> None:
    """Ours: "last 3 and one a day" at the five-minute rhythm lost a file that lived two hours on the wedding day."""
    for policy in Policy.objects.all():
        assert policy.keep_within_days >= 14 and policy.keep_yearly >= 7 and policy.finals_years >= 7, policy
        assert (policy.wedding_days_before, policy.wedding_days_after) >= (1, 2) and policy.keep_wedding_days >= 90


def test_a_vaults_rules_are_made_of_its_policy_its_class_and_its_wedding(ground: Ground) -> None:
    ground.wedding.time_zone, ground.wedding.jurisdiction = "America/Los_Angeles", "UK"
    ground.wedding.date = date(2026, 7, 4)
    ground.wedding.save()
    media, documents, guests = (rules_of(reread(ground.vault(name))) for name in ("media", "documents", "guests"))
    assert media.span is not None and media.span.start.isoformat() == "2026-07-03T00:00:00-07:00"
    assert media.span.end.isoformat() == "2026-07-07T00:00:00-07:00"
    assert media.within == timedelta(days=14)
    assert (media.monthly_years, documents.monthly_years, guests.monthly_years) == (7, 7, 0)
    assert "Limitation Act 1980" in documents.monthly_reason
    Policy.objects.filter(pk=ground.policy.pk).update(contract_years=12)
    assert rules_of(Vault.unscoped.get(wedding=ground.wedding, protection_class="documents")).monthly_years == 12


def test_what_no_rule_keeps_waits_for_a_week_before_it_goes(aged: Vault) -> None:
    clock = ManualClock(SYSTEM_CLOCK.utcnow())
    Snapshot.unscoped.update(expired_at=None)  # the backups marked them already
    assert prune_request(aged, clock=clock) is None
    marked = Snapshot.unscoped.filter(vault=aged, expired_at=clock.utcnow())
    assert {snapshot.restic_id for snapshot in marked} == going(aged) != set()
    clock.advance(GRACE.total_seconds() - 1)
    assert prune_request(aged, clock=clock) is None
    clock.advance(1)
    assert set(retention_judge(aged, clock=clock).ripe) == going(aged)
    assert prune_request(aged, clock=clock) is not None
    assert prune_request(aged, clock=clock) is None, "at most once a day"


def test_what_a_rule_keeps_again_within_the_week_has_its_whole_week_again(aged: Vault) -> None:
    """A policy that was set too tight by mistake is set right on the sixth day: nothing is lost."""
    let_grace_pass(aged)
    aged.policy.keep_within_days = 14
    assert not retention_mark(aged).ripe
    assert not Snapshot.unscoped.filter(vault=aged, expired_at__isnull=False).exists()
    aged.policy.keep_within_days = 0
    assert retention_mark(aged).going and not retention_mark(aged).ripe


def test_a_mark_that_was_set_while_the_clock_ran_ahead_waits_a_week_and_no_year(aged: Vault) -> None:
    clock = ManualClock(SYSTEM_CLOCK.utcnow())
    Snapshot.unscoped.filter(vault=aged).update(expired_at=clock.utcnow() + timedelta(days=365))
    retention_mark(aged, clock=clock)
    clock.advance(GRACE.total_seconds())
    assert set(retention_judge(aged, clock=clock).ripe) == going(aged) != set()


@pytest.mark.parametrize("why", ["suspicion", "hold"])
def test_while_a_vault_is_suspicious_or_held_nothing_goes(aged: Vault, why: str) -> None:
    assert let_grace_pass(aged)
    setattr(aged, why, "The source is empty.")
    assert not going(aged) and prune_request(aged) is None
    assert "The source is empty." in retention_judge(aged).verdicts[3].reasons[0]


def test_an_older_version_stays_while_the_newer_may_be_damaged_everywhere(ground: Ground, aged: Vault) -> None:
    """restic #828: the newer one's confirmations said three copies, and the last whole version went."""
    assert let_grace_pass(aged)
    clock = ManualClock(SYSTEM_CLOCK.utcnow())
    rotten, other, _ = Copy.unscoped.filter(vault=aged).order_by("location__name")
    with transaction.atomic():
        damage_note(rotten, {"data/ab/abcd": "its bytes do not hash to its name"}, clock=clock)
    assert not going(aged) and prune_request(aged, clock=clock) is None
    Copy.unscoped.filter(pk=other.pk).update(verified_at=clock.utcnow() - timedelta(days=1))
    assert not going(aged), "it was read before the damage was found"
    Copy.unscoped.filter(pk=other.pk).update(verified_at=clock.utcnow() + timedelta(days=1))
    assert going(aged), "the damage is known to be of one place; that must not stop the others for ever"


def test_only_copies_that_are_whole_and_in_use_now_count(ground: Ground, aged: Vault) -> None:
    """The newest two were confirmed at three places once; what counts is who can give them back today."""
    keep_only(ground.policy, 1)
    aged = reread(aged)
    newest = Snapshot.unscoped.filter(vault=aged).first()
    assert newest is not None
    newest.confirmations.filter(copy__location=ground.locations[0]).delete()
    assert len(going(aged)) == 2, "the newest, and the newest with three copies"
    Copy.unscoped.filter(vault=aged, location=ground.locations[1]).update(state=CopyState.UNREACHABLE)
    assert "newest with 2 verified copies" in retention_judge(aged).verdicts[1].reasons
    ground.locations[2].enabled = False
    ground.locations[2].save()
    assert "newest with 1 verified copies" in retention_judge(aged).verdicts[1].reasons


def test_a_snapshot_under_a_legal_hold_stays_and_tells_why(aged: Vault) -> None:
    oldest = Snapshot.unscoped.filter(vault=aged).last()
    assert oldest is not None and oldest.restic_id in going(aged)
    Snapshot.unscoped.filter(pk=oldest.pk).update(hold="dispute about the gallery")
    assert retention_judge(aged).verdicts[-1].reasons == ("legal hold: dispute about the gallery",)


def test_snapshots_of_a_source_that_looked_wrong_push_no_good_one_out(aged: Vault) -> None:
    newest = list(Snapshot.unscoped.filter(vault=aged))[:2]
    Snapshot.unscoped.filter(pk__in=[snapshot.pk for snapshot in newest]).update(suspicion="shrank")
    assert not going(aged)
