"""The page that says what is kept and why, before anything goes; the hold; the locks."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.test import Client

from backups.models import Policy, Snapshot, Vault
from backups.services.retention import retention_mark
from tests.pages.conftest import House, acknowledged_snapshot
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db


@pytest.fixture
def old(house: House, clock: ManualClock) -> Snapshot:
    """The house's snapshot, a day older than the two that came after it."""
    for _ in range(2):
        clock.advance(86_400)
        acknowledged_snapshot(house.vault, clock)
    return house.snapshot


def words(client: Client, vault: Vault, query: str = "") -> str:
    answer = client.get(f"/vaults/{vault.pk}/kept/{query}")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_another_policy_is_tried_before_it_is_chosen_and_nothing_changes(
    house: House, old: Snapshot, alice: Client
) -> None:
    numbers = {field.name: 0 for field in Policy._meta.fields if field.name.startswith("keep_")}
    tight = Policy.objects.create(name="Tight", finals_years=0, **numbers | {"keep_last": 1})
    assert "within 14 days of the newest" in words(alice, house.vault)
    trial = words(alice, house.vault, f"?policy={tight.pk}")
    assert "This is a trial" in trial and "<dt>Would go</dt><dd>2</dd>" in trial and "no rule keeps it" in trial
    assert not Snapshot.unscoped.filter(expired_at__isnull=False).exists()
    assert Vault.unscoped.get(pk=house.vault.pk).policy != tight


def test_what_goes_says_when_and_can_be_kept_with_one_press(
    house: House, old: Snapshot, alice: Client, sam: Client, clock: ManualClock
) -> None:
    keeping = Policy.objects.filter(pk=house.vault.policy_id)
    numbers = {field.name: 0 for field in Policy._meta.fields if field.name.startswith("keep_")}
    keeping.update(finals_years=0, **numbers | {"keep_last": 2})
    vault = Vault.unscoped.select_related("policy", "wedding").get(pk=house.vault.pk)
    retention_mark(vault, clock=clock)
    goes = (clock.utcnow() + timedelta(days=7)).strftime("%Y, %H:%M UTC")
    assert goes in words(alice, vault)
    assert "Keep it" not in words(sam, vault), "staff look, admins decide"
    alice.post(f"/vaults/{vault.pk}/kept/hold/", {"snapshot": str(old.pk), "reason": "wanted"})
    old.refresh_from_db()
    assert (old.hold, old.held_by, old.expired_at) == ("wanted", "alice", None)
    assert "legal hold: wanted" in words(alice, vault)


def test_a_hold_is_set_and_lifted_on_the_page(house: House, alice: Client) -> None:
    path = f"/vaults/{house.vault.pk}/kept/hold/"
    assert "Say why" in alice.post(path, {"reason": ""}, follow=True).content.decode()
    assert (
        "Nothing goes at present: legal hold: dispute"
        in alice.post(path, {"reason": "dispute"}, follow=True).content.decode()
    )
    assert "lifted" in alice.post(path, {"lift": "1"}, follow=True).content.decode()
    assert Vault.unscoped.get(pk=house.vault.pk).hold == ""


def test_a_vendor_holds_nothing_and_a_foreign_snapshot_cannot_be_named(
    house: House, vera: Client, alice: Client
) -> None:
    path = f"/vaults/{house.vault.pk}/kept/hold/"
    assert vera.post(path, {"reason": "mine"}).status_code == 403
    assert alice.post(path, {"snapshot": os.urandom(16).hex(), "reason": "x"}).status_code == 404
    assert alice.post(path, {"snapshot": "no id", "reason": "x"}).status_code == 404
