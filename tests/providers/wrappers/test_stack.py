"""The order in which wrappers stand around a store, seen from what it does."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from providers.stores.base import BreakerOpen, ReadOnly, StoreUnavailable
from providers.stores.local import LocalOptions, LocalStore
from providers.stores.memory import MemoryStore
from providers.wrappers.base import Operation
from providers.wrappers.breaker import BreakerPolicy, MemoryBreakerState
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from providers.wrappers.metered import Measurement, MeteredStore
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from providers.wrappers.throttled import RateLimits
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock


def note_nothing(measurement: Measurement) -> None:
    """A callback that can travel to another process."""


class TestTheStackThatWorkersGet(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> object:
        LocalStore.create(str(tmp_path / "location"))
        store = LocalStore(LocalOptions(str(tmp_path / "location")))
        limits = RateLimits(bytes_per_second=10**12)
        return wrap_store(store, retry=RetryPolicy(), limits=limits, on_call=note_nothing)


class TestTheWholeStack(StoreContract):
    picklable = False

    @pytest.fixture
    def store(self) -> object:
        return wrap_store(MemoryStore(), on_call=note_nothing, breaker_state=MemoryBreakerState())


def test_the_meter_sees_each_attempt_and_the_breaker_only_the_outcome() -> None:
    heard: list[Measurement] = []
    clock, state = ManualClock(), MemoryBreakerState()
    faulty = FaultyStore(MemoryStore(), [StoreFault(Effect.CUT, times=4)], clock=clock)
    store = wrap_store(
        faulty, on_call=heard.append, breaker_state=state, breaker=BreakerPolicy(failures_to_open=2), clock=clock
    )
    with pytest.raises(StoreUnavailable):
        store.put("a", b"1")
    assert len(heard) == 2
    assert state.load().failures == 1
    with pytest.raises(StoreUnavailable):
        store.put("a", b"1")
    with pytest.raises(BreakerOpen):
        store.put("a", b"1")
    assert (len(heard), faulty.hits) == (4, 4)


def test_waiting_for_the_rate_is_not_taken_for_a_slow_provider() -> None:
    heard: list[Measurement] = []
    clock = ManualClock()
    store = wrap_store(MemoryStore(), limits=RateLimits(bytes_per_second=100), on_call=heard.append, clock=clock)
    store.put("a", bytes(1000))
    assert clock.monotonic() == pytest.approx(9)
    assert heard[0].seconds == 0


def test_a_read_only_location_can_be_read_and_not_changed() -> None:
    inner = MemoryStore()
    inner.put("a", b"1")
    store = wrap_store(inner, read_only=True)
    assert store.get("a") == b"1"
    assert [info.name for info in store.list()] == ["a"]
    for change in (lambda: store.put("a", b"2"), lambda: store.delete("a")):
        with pytest.raises(ReadOnly):
            change()
    assert inner.get("a") == b"1"


def test_a_meter_begins_at_zero_in_another_process(tmp_path: Path) -> None:
    LocalStore.create(str(tmp_path / "location"))
    store = MeteredStore(LocalStore(LocalOptions(str(tmp_path / "location"))))
    store.put("a", b"1")
    travelled = pickle.loads(pickle.dumps(store))
    assert travelled.totals().calls == {}
    travelled.get("a")
    assert travelled.totals().calls == {Operation.GET: 1}
