"""Promises of monitoring.services.alerts."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import connection

from monitoring.models import Alert
from monitoring.services.alerts import (
    ACKNOWLEDGED_FOR,
    acknowledgements_end,
    alert_acknowledge,
    alert_raise,
    alert_resolve,
    alerts_visible_to,
)
from tests.monitoring.conftest import World
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, Event

pytestmark = pytest.mark.django_db


def raised(clock: ManualClock, *, organisation_id: UUID | None = None, **changes: Any) -> Alert:
    wish: dict[str, Any] = {
        "key": "trouble:1",
        "severity": "warning",
        "title": "Trouble",
        "text": "Something is wrong.",
        "what_to_do": "Put it right.",
    }
    return alert_raise(**(wish | changes), organisation_id=organisation_id, clock=clock)


def test_the_same_trouble_again_counts_up_instead_of_raising_a_second_alert(clock: ManualClock) -> None:
    first = raised(clock)
    clock.advance(60)
    second = raised(clock, text="Still wrong.")
    assert second.pk == first.pk
    assert (second.count, second.text, second.last_seen_at) == (2, "Still wrong.", clock.utcnow())
    assert Alert.objects.count() == 1


def test_a_trouble_that_is_merely_still_there_does_not_count_up(clock: ManualClock) -> None:
    raised(clock)
    clock.advance(60)
    again = raised(clock, again=False)
    assert (again.count, again.last_seen_at) == (1, clock.utcnow())


def test_the_same_trouble_after_it_was_gone_is_a_new_alert(clock: ManualClock) -> None:
    first = raised(clock)
    assert alert_resolve("trouble:1", clock=clock)
    assert not alert_resolve("trouble:1", clock=clock)
    assert raised(clock).pk != first.pk


@pytest.mark.django_db(transaction=True)
def test_of_two_who_see_the_same_trouble_at_once_one_raises_it_and_one_counts(clock: ManualClock) -> None:
    def see() -> None:
        try:
            raised(clock)
        finally:
            connection.close()

    threads = [threading.Thread(target=see) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Alert.objects.get().count == 4


@pytest.mark.parametrize("name", ["sam", "vera"])
def test_only_an_admin_may_acknowledge(world: World, name: str) -> None:
    alert = raised(world.clock, organisation_id=world.cast.lumen.pk)
    with pytest.raises(PermissionDenied, match="Only an admin"):
        alert_acknowledge(alert, user=getattr(world.cast, name))
    alert.refresh_from_db()
    assert alert.state == "open"


def test_an_acknowledgement_is_written_down_and_the_second_one_comes_too_late(world: World) -> None:
    alert = raised(world.clock)
    same_seen_by_another = Alert.objects.get()
    assert alert_acknowledge(alert, user=world.cast.alice, note=" I am on it ", clock=world.clock)
    assert (alert.state, alert.note, alert.acknowledged_by) == ("acknowledged", "I am on it", world.cast.alice)
    assert alert.acknowledgement_ends_at == world.clock.utcnow() + ACKNOWLEDGED_FOR
    assert not alert_acknowledge(same_seen_by_another, user=world.cast.alice, clock=world.clock)
    entry = AuditEntry.objects.get(tag="alert.acknowledged")
    assert (entry.actor, entry.detail["note"]) == ("alice", "I am on it")
    assert Event.objects.filter(tag="alert.acknowledged", subject_id=str(alert.pk)).count() == 1


def test_an_acknowledged_alert_stays_quiet_until_its_acknowledgement_ends(world: World) -> None:
    alert = raised(world.clock)
    alert_acknowledge(alert, user=world.cast.alice, lasting=timedelta(hours=1), clock=world.clock)
    world.clock.advance(3599)
    assert raised(world.clock).state == "acknowledged"
    world.clock.advance(1)
    reopened = raised(world.clock)
    assert (reopened.pk, reopened.state, reopened.acknowledged_by) == (alert.pk, "open", None)


def test_an_acknowledgement_also_ends_when_nothing_new_is_heard_of_the_trouble(world: World) -> None:
    alert_acknowledge(raised(world.clock), user=world.cast.alice, clock=world.clock)
    assert acknowledgements_end(clock=world.clock) == 0
    world.clock.advance(ACKNOWLEDGED_FOR.total_seconds())
    assert acknowledgements_end(clock=world.clock) == 1
    assert Alert.objects.get().state == "open"


def test_a_trouble_that_becomes_worse_is_open_again_at_once(world: World) -> None:
    alert_acknowledge(raised(world.clock), user=world.cast.alice, clock=world.clock)
    worse = raised(world.clock, severity="critical", again=False)
    assert (worse.state, worse.severity) == ("open", "critical")


def test_vendors_see_their_own_organisations_alerts_and_nothing_of_the_platform(world: World) -> None:
    own = raised(world.clock, key="a", organisation_id=world.cast.lumen.pk)
    platform = raised(world.clock, key="b")
    everything = {own, platform}
    assert set(alerts_visible_to(world.cast.alice)) == set(alerts_visible_to(world.cast.sam)) == everything
    assert set(alerts_visible_to(world.cast.vera)) == {own}
    assert alerts_visible_to(world.cast.vera).get().get_deferred_fields() == {"note", "detail"}
    assert set(alerts_visible_to(world.cast.carl)) == set()
    assert set(alerts_visible_to(AnonymousUser())) == set()


def test_open_pages_hear_of_every_change_after_its_commit_and_not_before(
    world: World, sent: list[tuple[str, dict[str, Any]]], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        alert = raised(world.clock, organisation_id=world.cast.lumen.pk)
        assert sent == [], "a page that fetches before the commit would see the old state"
    assert [group for group, _ in sent] == ["platform", f"organisation.{world.cast.lumen.pk}"]
    with django_capture_on_commit_callbacks(execute=True):
        alert_acknowledge(alert, user=world.cast.alice, clock=world.clock)
        alert_resolve(alert.key, clock=world.clock)
    states = [message["state"] for group, message in sent if group == "platform"]
    assert states == ["open", "acknowledged", "resolved"]
    assert {message["kind"] for _, message in sent} == {"alert"}
