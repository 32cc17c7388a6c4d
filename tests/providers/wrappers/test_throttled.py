"""Rate limits."""

from __future__ import annotations

import pytest

from providers.stores.memory import MemoryStore
from providers.wrappers.throttled import RateLimits, ThrottledStore
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock


def throttled(limits: RateLimits) -> tuple[ThrottledStore, ManualClock]:
    clock = ManualClock()
    return ThrottledStore(MemoryStore(clock=clock), limits, clock=clock), clock


class TestThrottledStore(StoreContract):
    picklable = False

    @pytest.fixture
    def store(self) -> ThrottledStore:
        return throttled(RateLimits(bytes_per_second=1_000_000, requests_per_second=10))[0]


def test_bytes_going_up_keep_to_the_rate() -> None:
    store, clock = throttled(RateLimits(bytes_per_second=1000))
    for number in range(11):
        store.put(f"a{number}", bytes(1000))
    assert clock.monotonic() == pytest.approx(10)  # the first second's worth is free


def test_bytes_coming_down_are_paid_by_the_next_call() -> None:
    store, clock = throttled(RateLimits(bytes_per_second=1000))
    store.inner.put("a", bytes(5000))
    store.get("a")
    assert clock.monotonic() == 0
    store.get("a")
    assert clock.monotonic() == pytest.approx(4)


def test_a_piece_above_one_seconds_worth_passes() -> None:
    store, clock = throttled(RateLimits(bytes_per_second=1000))
    store.put("a", bytes(16_000))
    assert clock.monotonic() == pytest.approx(15)


def test_requests_keep_to_the_rate() -> None:
    store, clock = throttled(RateLimits(requests_per_second=2))
    for _ in range(12):
        store.delete("a")
    assert clock.monotonic() == pytest.approx(5)


def test_an_idle_hour_saves_up_one_second_only() -> None:
    store, clock = throttled(RateLimits(bytes_per_second=1000))
    clock.advance(3600)
    store.put("a", bytes(3000))
    assert clock.slept == [pytest.approx(2)]


def test_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="disable"):
        throttled(RateLimits(bytes_per_second=0))
