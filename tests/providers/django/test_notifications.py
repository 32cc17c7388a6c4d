"""A provider's word is taken when it is signed, fresh and new, and only then."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from providers.models import Location, Notification
from providers.services.notifications import notifications_open
from tests.cast import Cast
from wedbackup.core import clock as core_clock
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry
from wedbackup.core.signing import signed_headers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("key_file")]


@pytest.fixture
def location(db: None, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Location:
    monkeypatch.setattr(core_clock, "SYSTEM_CLOCK", clock)
    return Location.objects.create(
        name="Frankfurt", kind="s3", options={"bucket": "copies"}, account="ours", created_at=clock.utcnow()
    )


def message(at: datetime, *, bucket: str = "copies", event: str = "17793124") -> bytes:
    told = {
        "id": event,
        "detail-type": "Object Deleted",
        "time": at.isoformat(),
        "detail": {"bucket": {"name": bucket}, "object": {"key": "v/data/x"}},
    }
    return json.dumps(told).encode()


def tell(client: Client, location: Location, body: bytes, **headers: str) -> Any:
    return client.post(f"/notifications/{location.pk}/", body, content_type="application/json", headers=headers)


def test_a_signed_message_is_taken_without_a_session(client: Client, location: Location, clock: ManualClock) -> None:
    secret = notifications_open(location, actor="alice", clock=clock)
    body = message(clock.utcnow())
    headers = signed_headers(secret, message_id="m1", at=clock.utcnow(), body=body)
    assert tell(client, location, body, **headers).json() == {"fresh": 1, "repeated": 0, "stale": 0}
    notification = Notification.objects.get()
    assert (notification.happened, notification.object_name) == ("removed", "v/data/x")


def test_a_bearer_secret_is_taken_from_services_that_cannot_sign(
    client: Client, location: Location, clock: ManualClock
) -> None:
    secret = notifications_open(location, actor="alice", clock=clock)
    assert tell(client, location, message(clock.utcnow()), authorization=f"Bearer {secret}").status_code == 200


def test_the_same_event_told_again_changes_nothing(client: Client, location: Location, clock: ManualClock) -> None:
    bearer = f"Bearer {notifications_open(location, actor='alice', clock=clock)}"
    tell(client, location, message(clock.utcnow()), authorization=bearer)
    again = tell(client, location, message(clock.utcnow()), authorization=bearer)
    assert again.json() == {"fresh": 0, "repeated": 1, "stale": 0}
    assert Notification.objects.count() == 1


def test_old_and_early_events_are_not_believed(client: Client, location: Location, clock: ManualClock) -> None:
    bearer = f"Bearer {notifications_open(location, actor='alice', clock=clock)}"
    for far in (timedelta(days=-2), timedelta(hours=1)):
        answer = tell(client, location, message(clock.utcnow() + far), authorization=bearer)
        assert answer.json()["stale"] == 1
    assert Notification.objects.count() == 0


def test_a_captured_signature_is_worthless_after_five_minutes(
    client: Client, location: Location, clock: ManualClock
) -> None:
    secret = notifications_open(location, actor="alice", clock=clock)
    body = message(clock.utcnow())
    headers = signed_headers(secret, message_id="m1", at=clock.utcnow(), body=body)
    clock.advance(301)
    assert tell(client, location, body, **headers).status_code == 401


def test_news_of_another_bucket_are_not_ours(client: Client, location: Location, clock: ManualClock) -> None:
    bearer = f"Bearer {notifications_open(location, actor='alice', clock=clock)}"
    tell(client, location, message(clock.utcnow(), bucket="theirs"), authorization=bearer)
    assert Notification.objects.count() == 0


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}, {"authorization": "Basic eDp5"}]
)
def test_an_unsigned_or_forged_message_is_refused(
    client: Client, location: Location, clock: ManualClock, headers: dict[str, str]
) -> None:
    notifications_open(location, actor="alice", clock=clock)
    assert tell(client, location, message(clock.utcnow()), **headers).status_code == 401
    assert Notification.objects.count() == 0


def test_a_location_that_was_never_opened_takes_nothing(client: Client, location: Location, clock: ManualClock) -> None:
    assert tell(client, location, message(clock.utcnow()), authorization="Bearer ").status_code == 401


def test_an_unknown_location_answers_like_a_wrong_signature(client: Client, location: Location) -> None:
    unknown = Location(pk="00000000-0000-4000-8000-000000000000")
    assert tell(client, unknown, b"{}").status_code == 401


def test_an_oversized_message_is_not_read_whole(client: Client, location: Location) -> None:
    assert tell(client, location, b" " * (1024 * 1024 + 1)).status_code == 413


def test_a_message_without_shape_gets_a_clear_answer(client: Client, location: Location, clock: ManualClock) -> None:
    bearer = f"Bearer {notifications_open(location, actor='alice', clock=clock)}"
    answer = tell(client, location, b'{"what": "ever"}', authorization=bearer)
    assert answer.status_code == 400
    assert "Event Grid" in answer.json()["error"]


def test_an_admin_opens_notifications_and_sees_the_secret_once(client: Client, location: Location, cast: Cast) -> None:
    client.force_login(cast.alice)
    page = client.post(f"/locations/{location.pk}/notifications/")
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert f"/notifications/{location.pk}/" in page.content.decode()
    assert secret not in client.get(f"/locations/{location.pk}/").content.decode()
    assert AuditEntry.objects.filter(tag="location.notifications_opened").count() == 1
    assert secret not in str(list(Location.objects.values()))
