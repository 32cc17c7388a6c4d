"""The order in which wrappers stand around a store, seen from what it does."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from providers.stores.errors import BreakerOpen, ReadOnly, StoreUnavailable
from providers.stores.local import LocalOptions, LocalStore
from providers.stores.memory import MemoryStore
from providers.wrappers.base import Operation
from providers.wrappers.breaker import BreakerPolicy, MemoryBreakerState
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from providers.wrappers.metered import Measurement, MeteredStore
from providers.wrappers.noted import CallNotes
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from providers.wrappers.valve import Rules, Valve
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock


def note_nothing(measurement: Measurement) -> None:
    """A callback that can travel to another process."""


class TestTheStackThatWorkersGet(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> object:
        LocalStore.create(str(tmp_path / "location"))
        store = LocalStore(LocalOptions(str(tmp_path / "location")))
        valve = Valve(str(tmp_path / "valve"))
        valve.set_rules(Rules(bytes_per_second=10**12, room_bytes=10**12), now=0.0)
        notes = CallNotes("Attic", "backup", valve)
        return wrap_store(store, retry=RetryPolicy(), valve=valve, on_call=notes)


class TestTheWholeStack(StoreContract):
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
    valve = Valve()
    valve.set_rules(Rules(bytes_per_second=100), now=0.0)
    store = wrap_store(MemoryStore(), valve=valve, on_call=heard.append, clock=clock)
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


def test_a_recovery_waits_for_nobody() -> None:
    clock, valve, inner = ManualClock(), Valve(), MemoryStore()
    inner.put("a", bytes(1000))
    valve.set_rules(Rules(bytes_per_second=1, requests_per_second=1, paused=True, left_alone=True), now=0.0)
    store = wrap_store(inner, valve=valve, gated=False, throttled=False, clock=clock)
    for _ in range(3):
        assert store.get("a") == bytes(1000)
    assert clock.monotonic() == 0


def test_what_only_some_providers_can_do_passes_through_all_wrappers() -> None:
    class Freezer(MemoryStore):
        thawed = ""

        def thaw(self, name: str, *, days: int = 7) -> bool:
            self.thawed = f"{name} for {days} days"
            return False

    inner = Freezer()
    store = wrap_store(inner, valve=Valve(), on_call=note_nothing, breaker_state=MemoryBreakerState())
    assert store.thaw("a", days=3) is False
    assert inner.thawed == "a for 3 days"
    assert store.facts() == inner.facts()
