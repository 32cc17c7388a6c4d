"""Faults on order do what they say, and count."""

from __future__ import annotations

import pytest

from providers.stores.errors import LocationMissing, StoreUnavailable
from providers.stores.memory import MemoryStore
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock


class TestFaultyStoreWithoutAPlan(StoreContract):
    @pytest.fixture
    def store(self) -> FaultyStore:
        return FaultyStore(MemoryStore())


def test_a_cut_does_nothing_and_a_lost_answer_does_it() -> None:
    store = FaultyStore(MemoryStore(), [StoreFault(Effect.CUT), StoreFault(Effect.LOST_ANSWER)])
    with pytest.raises(StoreUnavailable):
        store.put("cut", b"1")
    with pytest.raises(StoreUnavailable):
        store.put("lost", b"1")
    assert store.hits == 2
    assert [info.name for info in store.inner.list()] == ["lost"]


def test_a_flip_is_silent_in_both_directions() -> None:
    plan = [StoreFault(Effect.FLIP, Operation.PUT), StoreFault(Effect.FLIP, Operation.GET, skip=1)]
    store = FaultyStore(MemoryStore(), plan)
    store.put("a", b"abc")
    assert store.get("a") == b"acc"
    assert store.get("a") == b"abc"
    assert store.hits == 2


def test_a_fault_hits_only_what_it_names() -> None:
    store = FaultyStore(MemoryStore(), [StoreFault(Effect.MISSING, Operation.PUT, match="index/", skip=1, times=2)])
    results = []
    for name in ("data/1", "index/1", "index/2", "data/2", "index/3", "index/4"):
        try:
            store.put(name, b"")
            results.append("stored")
        except LocationMissing:
            results.append("missing")
    assert results == ["stored", "stored", "missing", "stored", "missing", "stored"]
    assert store.hits == 2


def test_a_slow_call_takes_its_time() -> None:
    clock = ManualClock()
    store = FaultyStore(MemoryStore(), [StoreFault(Effect.SLOW, seconds=5)], clock=clock)
    store.put("a", b"1")
    assert (clock.slept, store.hits) == ([5], 1)
