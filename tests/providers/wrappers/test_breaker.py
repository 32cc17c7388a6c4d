"""The circuit breaker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from providers.stores.errors import (
    AccessDenied,
    BreakerOpen,
    InvalidName,
    LocationFull,
    ObjectNotFound,
    StoreError,
    StoreUnavailable,
)
from providers.stores.memory import MemoryStore
from providers.wrappers.base import Call
from providers.wrappers.breaker import BreakerPolicy, BreakerReading, BreakerStore, MemoryBreakerState, Phase
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock

T = TypeVar("T")

POLICY = BreakerPolicy(failures_to_open=3, open_seconds=30, probe_seconds=60)


class Location:
    """A breaker over a store that fails as long as `down`."""

    def __init__(self, state: MemoryBreakerState | None = None, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.state = state or MemoryBreakerState()
        self.outage = StoreFault(Effect.CUT, times=None)
        self.faulty = FaultyStore(MemoryStore(clock=self.clock))
        self.faulty.inner.put("a", b"content")
        self.store = BreakerStore(self.faulty, self.state, POLICY, clock=self.clock)

    def go_down(self) -> None:
        self.faulty.plan = [self.outage]

    def come_back(self) -> None:
        self.faulty.plan = []

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(StoreUnavailable):
                self.store.get("a")

    @property
    def phase(self) -> Phase:
        return self.state.load().phase


@pytest.fixture
def location() -> Location:
    return Location()


@pytest.fixture
def opened(location: Location) -> Location:
    location.go_down()
    location.fail(times=3)
    return location


class TestBreakerStore(StoreContract):
    @pytest.fixture
    def store(self) -> BreakerStore:
        return BreakerStore(MemoryStore(), MemoryBreakerState())


def test_it_opens_after_failures_in_a_row_and_asks_no_more(opened: Location) -> None:
    assert opened.phase is Phase.OPEN
    hits = opened.faulty.hits
    opened.clock.advance(10)
    for call in (lambda: opened.store.get("a"), lambda: opened.store.put("b", b""), lambda: [*opened.store.list()]):
        with pytest.raises(BreakerOpen) as caught:
            call()
        assert caught.value.retry_after == 20
    assert opened.faulty.hits == hits


def test_a_success_between_failures_keeps_it_closed(location: Location) -> None:
    for _ in range(5):
        location.go_down()
        location.fail(times=2)
        location.come_back()
        location.store.get("a")
    assert location.phase is Phase.CLOSED


def test_after_the_pause_one_success_closes_it(opened: Location) -> None:
    opened.come_back()
    opened.clock.advance(30)
    assert opened.store.get("a") == b"content"
    assert opened.phase is Phase.CLOSED
    assert opened.state.load().failures == 0


def test_a_failed_probe_opens_it_again_for_the_whole_pause(opened: Location) -> None:
    opened.clock.advance(30)
    opened.fail()
    opened.come_back()
    opened.clock.advance(29)
    with pytest.raises(BreakerOpen):
        opened.store.get("a")
    opened.clock.advance(1)
    opened.store.get("a")


@pytest.mark.parametrize(
    ("effect", "error"),
    [(Effect.NOT_FOUND, ObjectNotFound), (Effect.DENIED, AccessDenied), (Effect.FULL, LocationFull)],
)
def test_an_answer_is_no_failure_of_the_location(location: Location, effect: Effect, error: type[StoreError]) -> None:
    location.faulty.plan = [fault := StoreFault(effect, times=None)]
    for _ in range(10):
        with pytest.raises(error):
            location.store.get("a")
    assert fault.hits == 10
    assert location.phase is Phase.CLOSED


class Cancelled(BaseException):
    pass


@pytest.mark.parametrize("error", [Cancelled(), KeyboardInterrupt(), ValueError("caller's mistake")])
def test_a_cancelled_call_is_neither_failure_nor_success(
    opened: Location, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    opened.clock.advance(30)

    def cancel(name: str, **_: object) -> bytes:
        raise error

    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(opened.faulty.inner, "get", cancel)
        opened.come_back()
        opened.store.get("a")
    assert opened.phase is Phase.OPEN
    assert opened.store.get("a") == b"content"  # the next one may probe at once
    assert opened.phase is Phase.CLOSED


def test_a_bad_name_does_not_count_as_an_answer(opened: Location) -> None:
    opened.clock.advance(30)
    opened.come_back()
    with pytest.raises(InvalidName):
        opened.store.put("../up", b"")
    assert opened.phase is Phase.OPEN


def test_of_many_workers_one_probes(opened: Location) -> None:
    """The others are refused while the probe is under way."""
    opened.clock.advance(30)
    opened.come_back()
    others: list[type[StoreError] | bytes] = []

    class Probing(BreakerStore):
        def _around(self, call: Call, run: Callable[[], T]) -> T:
            def run_while_others_try() -> T:
                threads = [threading.Thread(target=try_as_another) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                return run()

            return super()._around(call, run_while_others_try)

    def try_as_another() -> None:
        try:
            others.append(opened.store.get("a"))
        except StoreError as exc:
            others.append(type(exc))

    probe = Probing(opened.faulty, opened.state, POLICY, clock=opened.clock)
    assert probe.get("a") == b"content"
    assert others == [BreakerOpen] * 8
    assert opened.phase is Phase.CLOSED


def test_a_probe_that_died_is_replaced(opened: Location) -> None:
    opened.come_back()
    dead = BreakerReading(Phase.HALF_OPEN, 3, opened.clock.utcnow())
    assert opened.state.compare_and_set(opened.state.load(), dead)
    with pytest.raises(BreakerOpen):
        opened.store.get("a")
    opened.clock.advance(60)
    opened.store.get("a")
    assert opened.phase is Phase.CLOSED


def test_a_clock_set_back_does_not_close_the_location_off(opened: Location) -> None:
    opened.come_back()
    opened.clock.jump(-7 * 24 * 3600)
    assert opened.store.get("a") == b"content"


def test_workers_share_what_they_learn() -> None:
    clock, state = ManualClock(), MemoryBreakerState()
    one, two = Location(state, clock), Location(state, clock)
    one.go_down()
    one.fail(times=3)
    with pytest.raises(BreakerOpen):
        two.store.get("a")


def test_failures_at_the_same_time_are_all_counted() -> None:
    """A compare-and-set that loses is repeated with the newer reading."""

    class Contested(MemoryBreakerState):
        lost = 0

        def compare_and_set(self, old: BreakerReading, new: BreakerReading) -> bool:
            if not self.lost:
                self.lost = 1
                super().compare_and_set(old, BreakerReading(failures=old.failures + 1))
                return False
            return super().compare_and_set(old, new)

    location = Location(Contested())
    location.go_down()
    location.fail()
    assert location.state.load().failures == 2
