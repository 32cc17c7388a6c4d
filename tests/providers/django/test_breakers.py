"""Promises of providers.services.breakers: one breaker for all workers, visible, and reset by hand."""

from __future__ import annotations

import pytest

from providers.models import Location
from providers.services.breakers import ROW_POLICY, RowBreakerState, breaker_of, breaker_reset, breaker_words
from providers.stores.errors import BreakerOpen, Paused, StoreUnavailable
from providers.wrappers.breaker import Breaker, BreakerReading, Phase
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, Event

pytestmark = pytest.mark.django_db
DOWN = StoreUnavailable("connection refused")


class Interleaved(RowBreakerState):
    """Another worker moves the row between this one's reading and its writing, as it can on PostgreSQL."""

    def __init__(self, location: Location, clock: ManualClock, other: Breaker, *, moves: str) -> None:
        super().__init__(location, clock)
        self.other, self.moves, self.met = other, moves, 0

    def compare_and_set(self, old: BreakerReading, new: BreakerReading) -> bool:
        if not self.met:
            self.met = 1
            if self.moves == "probe":
                assert self.other.enter() is not None
            else:
                self.other.report(DOWN)
        return super().compare_and_set(old, new)


def fail(location: Location, clock: ManualClock, times: int = 1) -> None:
    for _ in range(times):
        breaker_of(location, clock, error=DOWN).report(DOWN)


def tags() -> list[str]:
    return [*Event.objects.order_by("id").values_list("tag", flat=True)]


def test_of_two_workers_that_find_the_pause_over_one_becomes_the_probe(folder: Location, clock: ManualClock) -> None:
    fail(folder, clock, 2)
    clock.advance(ROW_POLICY.open_seconds)
    theirs = breaker_of(Location.objects.get(), clock)
    state = Interleaved(folder, clock, theirs, moves="probe")
    with pytest.raises(BreakerOpen):
        Breaker(state, ROW_POLICY, clock=clock).enter()
    assert state.met
    assert Location.objects.get().breaker == Phase.HALF_OPEN


def test_failures_of_two_workers_at_the_same_moment_both_count(folder: Location, clock: ManualClock) -> None:
    state = Interleaved(folder, clock, breaker_of(Location.objects.get(), clock), moves="fail")
    Breaker(state, ROW_POLICY, clock=clock).report(DOWN)
    row = Location.objects.get()
    assert state.met
    assert (row.breaker, row.breaker_failures) == (Phase.OPEN, 2)
    assert tags() == ["location.down"], "it went down once"


def test_a_person_has_it_asked_again_at_once(folder: Location, clock: ManualClock) -> None:
    fail(folder, clock, 2)
    with pytest.raises(BreakerOpen):
        breaker_of(folder, clock).enter()
    assert breaker_reset(folder, actor="alice", clock=clock)
    assert breaker_of(Location.objects.get(), clock).enter() is None
    assert tags() == ["location.down", "location.recovered"]
    assert Event.objects.last().payload["reason"] == "reset by alice"  # type: ignore[union-attr]
    line = AuditEntry.objects.filter(tag="breaker.reset").get()
    assert (line.actor, line.detail["location"]) == ("alice", "Shelf")
    assert not breaker_reset(folder, actor="alice", clock=clock), "there was nothing to reset"
    assert AuditEntry.objects.filter(tag="breaker.reset").count() == 1


def test_a_reset_while_the_probe_is_under_way_makes_its_outcome_old_news(folder: Location, clock: ManualClock) -> None:
    fail(folder, clock, 2)
    clock.advance(ROW_POLICY.open_seconds)
    breaker = breaker_of(folder, clock)
    probe = breaker.enter()
    breaker_reset(Location.objects.get(), actor="alice", clock=clock)
    breaker.leave(probe, DOWN)
    row = Location.objects.get()
    assert (row.breaker, row.breaker_failures) == (Phase.CLOSED, 0)


def test_what_was_not_asked_says_nothing(folder: Location, clock: ManualClock) -> None:
    fail(folder, clock, 2)
    clock.advance(ROW_POLICY.open_seconds)
    breaker_of(folder, clock).enter()
    for error in (Paused("paused"), BreakerOpen("left alone")):
        breaker_of(folder, clock).report(error)
        assert Location.objects.get().breaker == Phase.HALF_OPEN


def test_the_page_says_since_when_why_and_when_it_is_asked_again(folder: Location, clock: ManualClock) -> None:
    assert breaker_words(folder) == "In use."
    fail(folder, clock)
    assert breaker_words(Location.objects.get()).startswith("In use, after 1 failure in a row.")
    fail(folder, clock)
    Location.objects.update(last_error="connection refused. The provider is down.")
    words = breaker_words(Location.objects.get())
    assert words.startswith("Left alone since 12:00:00 UTC, after 2 failures in a row: connection refused.")
    assert "from 12:00:12 UTC on" in words
    clock.advance(12)
    breaker_of(folder, clock).enter()
    words = breaker_words(Location.objects.get())
    assert words.startswith("Being tried since 12:00:12 UTC by one single call, after 2 failures in a row")
