"""Promises of providers.services.usage and counting: how full a location is, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from providers.models import Location
from providers.services.counting import COUNT_EVERY, count_next, location_count
from providers.services.locations import location_open
from providers.services.pauses import location_limits_set, location_pause
from providers.services.traffic import rules_refresh
from providers.services.usage import Level, level_of, usage_add
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def filled(folder: Location, clock: ManualClock) -> Location:
    """700 bytes in two objects, of 1,000 allowed; counted a moment ago."""
    store = location_open(folder, purpose="backup", clock=clock)
    store.put("a", bytes(300))
    store.put("b", bytes(400))
    rules_refresh(clock=clock)
    Location.objects.update(quota_bytes=1000, used_at=clock.utcnow())
    folder.refresh_from_db()
    return folder


def tags() -> list[str]:
    return [tag for tag in Event.objects.order_by("id").values_list("tag", flat=True) if tag.startswith("location.")]


@pytest.mark.parametrize(
    ("used", "quota", "level"),
    [
        (799, 1000, Level.ROOMY),
        (800, 1000, Level.FILLING),
        (989, 1000, Level.FILLING),
        (990, 1000, Level.FULL),
        (10**15, None, Level.ROOMY),
        (0, 0, Level.FULL),
    ],
)
def test_the_warning_comes_at_80_percent(used: int, quota: int | None, level: Level) -> None:
    assert level_of(used, quota) is level


def test_what_transfers_store_is_added(filled: Location) -> None:
    assert filled.used_bytes == 700


def test_each_level_is_told_once(filled: Location, clock: ManualClock) -> None:
    for stored in (50, 60, 70, 110, 5):
        usage_add(filled.pk, stored, clock=clock)
    assert tags() == ["location.filling", "location.full"]
    event = Event.objects.get(tag="location.filling")
    assert event.payload == {"name": "Shelf", "used_bytes": 810, "quota_bytes": 1000}


def test_a_raised_quota_ends_it(filled: Location, clock: ManualClock) -> None:
    usage_add(filled.pk, 200, clock=clock)
    limits = {"requests_per_second": None, "bytes_per_second": None, "office_share_percent": 50, "quota_bytes": 2000}
    location_limits_set(Location.objects.get(), limits, actor="alice", clock=clock)
    assert tags() == ["location.filling", "location.roomy"]


def test_what_was_deleted_is_found_by_the_listing(filled: Location, clock: ManualClock) -> None:
    usage_add(filled.pk, 200, clock=clock)
    location_open(filled, purpose="prune", clock=clock).delete("b")
    assert location_count(filled, clock=clock) == 300
    filled.refresh_from_db()
    assert (filled.used_bytes, filled.used_at) == (300, clock.utcnow())
    assert tags() == ["location.filling", "location.roomy"]


def test_it_is_counted_weekly_and_daily_when_it_fills(filled: Location, clock: ManualClock) -> None:
    clock.advance(timedelta(days=6).total_seconds())
    assert count_next(clock=clock) is None
    clock.advance(timedelta(days=1).total_seconds())
    assert count_next(clock=clock) == filled
    assert count_next(clock=clock) is None
    usage_add(filled.pk, 200, clock=clock)
    clock.advance(timedelta(days=1).total_seconds())
    assert count_next(clock=clock) == filled


def test_it_is_counted_after_a_validation(filled: Location, clock: ManualClock) -> None:
    clock.advance(60)
    Location.objects.update(validated_at=clock.utcnow())
    assert count_next(clock=clock) == filled
    assert count_next(clock=clock) is None


def test_one_that_cannot_be_listed_keeps_its_count_and_comes_again_after_an_hour(
    filled: Location, broken: Callable[[bool], None], clock: ManualClock
) -> None:
    clock.advance(COUNT_EVERY.total_seconds())
    broken(True)
    assert count_next(clock=clock) == filled
    filled.refresh_from_db()
    assert filled.used_bytes == 700
    assert count_next(clock=clock) is None
    broken(False)
    clock.advance(3600)
    assert count_next(clock=clock) == filled
    filled.refresh_from_db()
    assert filled.used_at == clock.utcnow()


def test_a_paused_location_is_not_listed(filled: Location, clock: ManualClock) -> None:
    clock.advance(COUNT_EVERY.total_seconds())
    location_pause(filled, actor="alice", clock=clock)
    assert count_next(clock=clock) is None
