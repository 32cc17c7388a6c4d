"""Promises of the pages about credentials: what is in use, how far a new one is, and nothing of what was entered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from providers.models import Credential, Location
from providers.services.credentials import secrets_of
from providers.services.rotation import CALLS_END, credentials_retire, rotations_continue
from tests.cast import Cast
from tests.providers.django.cloud import Cloud
from wedbackup.core import clock as clock_module
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(cast: Cast, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The admin's browser; the pages read the test's clock."""
    monkeypatch.setattr(clock_module, "SYSTEM_CLOCK", clock)
    client = Client()
    client.force_login(cast.alice)
    return client


def form_of(location: Location) -> str:
    return f"/locations/{location.pk}/credentials/"


def card(client: Client, location: Location) -> str:
    """The part that refreshes itself."""
    headers = {"HX-Request": "true", "HX-Target": "credentials"}
    text = client.get(f"/locations/{location.pk}/", headers=headers).content.decode()
    assert text.lstrip().startswith('<section id="credentials"')
    return text


def test_a_rotation_is_told_step_by_step_and_ends_with_what_to_delete(
    alice: Client, in_cloud: Location, cloud: Cloud, clock: ManualClock
) -> None:
    cloud.keys["second-canary"] = cloud.keys["first"]
    assert "Version 1 (Key id id-1): entered today" in card(alice, in_cloud)
    answer = alice.post(form_of(in_cloud), {"key": "second-canary", "key_id": "id-2"}, follow=True)
    assert "Version 2 is entered and is being proved" in answer.content.decode()
    assert "Version 2 is being proved" in card(alice, in_cloud)
    rotations_continue(clock=clock)
    told = card(alice, in_cloud)
    assert "Version 2 (Key id id-2): entered today" in told and "by alice" in told
    assert "Version 1 may still be held by running transfers. Do not delete it at the provider yet." in told
    clock.advance(CALLS_END.total_seconds())
    credentials_retire(None, clock=clock)
    assert "Version 1 for daily work (Key id id-1): retired: delete it at the provider" in card(alice, in_cloud)
    assert secrets_of(in_cloud)["key"] == "second-canary", "the canary must be there to be missed elsewhere"
    whole = alice.get(f"/locations/{in_cloud.pk}/").content.decode() + alice.get(form_of(in_cloud)).content.decode()
    assert "second-canary" not in whole + answer.content.decode()


def test_a_refused_credential_says_why(alice: Client, in_cloud: Location, clock: ManualClock) -> None:
    alice.post(form_of(in_cloud), {"key": "wrong"})
    rotations_continue(clock=clock)
    told = card(alice, in_cloud)
    assert "Version 2 for daily work: refused" in told and "no key [removed] here. Check the credential" in told


def test_what_was_typed_into_a_refused_form_does_not_come_back(alice: Client, in_cloud: Location) -> None:
    Location.objects.update(breaker="open")
    page = alice.post(form_of(in_cloud), {"key": "hush-canary"}).content.decode()
    assert "Sky does not answer and is being left alone" in page and "when the location answers again" in page
    assert "hush-canary" not in page
    fields = [line for line in page.splitlines() if 'type="password"' in line]
    assert len(fields) == 2 and all('autocomplete="off"' in line and "value=" not in line for line in fields)


def test_a_pruner_is_entered_on_the_same_page(
    alice: Client, in_cloud: Location, cloud: Cloud, clock: ManualClock
) -> None:
    cloud.keys["deleter"] = cloud.keys["first"]
    assert "a new credential for deleting" in alice.get(f"{form_of(in_cloud)}?role=pruner").content.decode()
    alice.post(form_of(in_cloud), {"key": "deleter", "role": "pruner"})
    rotations_continue(clock=clock)
    told = card(alice, in_cloud)
    assert "for daily work</span> Version 1" in told and "for deleting</span> Version 2" in told
    assert alice.get(f"{form_of(in_cloud)}?role=king").status_code == 404


@pytest.mark.parametrize(("days", "tone", "notice"), [(79, "safe", False), (80, "safe", True), (91, "attention", True)])
def test_the_card_reminds_ten_days_before_the_alert_does(
    alice: Client, in_cloud: Location, clock: ManualClock, days: int, tone: str, notice: bool
) -> None:
    Credential.objects.update(created_at=clock.utcnow() - timedelta(days=days))
    told = card(alice, in_cloud)
    assert f'class="badge tone-{tone}"' in told and f"{days} days old" in told
    assert ("Make a new key at the provider" in told) is notice


def test_a_folder_has_no_credentials_to_tell_of(alice: Client, folder: Location) -> None:
    assert "Credentials" not in alice.get(f"/locations/{folder.pk}/").content.decode()
    assert "Shelf is opened without a credential" in alice.get(form_of(folder), follow=True).content.decode()


def test_only_admins_enter_credentials(in_cloud: Location, cast: Cast) -> None:
    staff = Client()
    staff.force_login(cast.sam)
    assert staff.post(form_of(in_cloud), {"key": "x"}).status_code == 403
    assert "Enter a new one" not in staff.get(f"/locations/{in_cloud.pk}/").content.decode()
    assert not Credential.objects.filter(version=2).exists()
