"""Counting and timing."""

from __future__ import annotations

import pytest

from providers.stores.errors import LocationFull, ObjectNotFound
from providers.stores.memory import MemoryStore
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from providers.wrappers.metered import Measurement, MeteredStore
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock


class TestMeteredStore(StoreContract):
    @pytest.fixture
    def store(self) -> MeteredStore:
        return MeteredStore(MemoryStore())


def test_calls_bytes_seconds_and_errors_add_up() -> None:
    clock = ManualClock()
    plan = [StoreFault(Effect.SLOW, Operation.GET, seconds=3), StoreFault(Effect.FULL, Operation.PUT, skip=1)]
    faulty = FaultyStore(MemoryStore(), plan, clock=clock)
    heard: list[Measurement] = []
    store = MeteredStore(faulty, heard.append, clock=clock)
    store.put("a", bytes(100))
    with pytest.raises(LocationFull):
        store.put("b", bytes(50))
    store.get("a", length=30)
    with pytest.raises(ObjectNotFound):
        store.head("never")
    totals = store.totals()
    assert faulty.hits == 2
    assert totals.calls == {Operation.PUT: 2, Operation.GET: 1, Operation.HEAD: 1}
    assert totals.errors == {"LocationFull": 1, "ObjectNotFound": 1}
    assert (totals.sent_bytes, totals.received_bytes, totals.seconds) == (100, 30, 3)
    assert heard[1] == Measurement(Operation.PUT, "b", 50, 0, 0, "LocationFull", "injected fault: full at put b")
    assert heard[2] == Measurement(Operation.GET, "a", 0, 30, 3, None)


def test_the_totals_given_out_do_not_change_afterwards() -> None:
    store = MeteredStore(MemoryStore())
    before = store.totals()
    store.put("a", b"1")
    assert before.calls[Operation.PUT] == 0
    assert store.totals().calls[Operation.PUT] == 1
