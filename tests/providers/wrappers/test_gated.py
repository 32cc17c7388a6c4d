"""Pause, breaker and quota, obeyed by transfers under way."""

from __future__ import annotations

import pytest

from providers.stores.errors import BreakerOpen, LocationFull, Paused, StoreUnavailable
from providers.stores.memory import MemoryStore
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from providers.wrappers.gated import GatedStore
from providers.wrappers.noted import CallNotes
from providers.wrappers.stack import wrap_store
from providers.wrappers.valve import Rules, Valve
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock


class TestGatedStore(StoreContract):
    @pytest.fixture
    def store(self) -> GatedStore:
        return GatedStore(MemoryStore(), Valve())


@pytest.mark.parametrize(
    ("rules", "error", "words"),
    [
        (Rules(paused=True), Paused, "Attic is paused"),
        (Rules(left_alone=True), BreakerOpen, "Attic is being left alone"),
        (Rules(paused=True, left_alone=True), Paused, "Attic is paused"),
    ],
)
def test_a_transfer_under_way_ends_with_its_present_object(rules: Rules, error: type[Exception], words: str) -> None:
    valve, faulty = Valve(), FaultyStore(MemoryStore())
    store = wrap_store(faulty, valve=valve, label="Attic")
    store.put("a", b"1")
    valve.set_rules(rules, now=0.0)
    for call in (lambda: store.put("b", b"1"), lambda: store.get("a"), lambda: [*store.list()]):
        with pytest.raises(error, match=words):
            call()
    valve.set_rules(Rules(), now=1.0)
    assert store.get("a") == b"1"


def test_at_the_quota_nothing_more_is_stored_but_all_can_be_read_and_deleted() -> None:
    valve, inner = Valve(), MemoryStore()
    valve.set_rules(Rules(room_bytes=100), now=0.0)
    store = wrap_store(inner, valve=valve, label="Attic", on_call=CallNotes("Attic", "backup", valve))
    store.put("a", bytes(60))
    with pytest.raises(LocationFull, match="Attic has reached its quota") as caught:
        store.put("b", bytes(60))
    assert "Raise its quota" in caught.value.advice
    store.put("c", bytes(40))
    assert store.get("a") == bytes(60)
    store.delete("a")
    assert [info.name for info in inner.list()] == ["c"]


def test_pruning_may_write_the_little_that_frees_much() -> None:
    valve = Valve()
    valve.set_rules(Rules(room_bytes=0), now=0.0)
    wrap_store(MemoryStore(), valve=valve, quota=False).put("lock", b"1")


def test_what_is_refused_is_neither_retried_nor_counted() -> None:
    clock, valve = ManualClock(), Valve()
    valve.set_rules(Rules(paused=True), now=0.0)
    heard: list[object] = []
    store = wrap_store(MemoryStore(), valve=valve, on_call=heard.append, clock=clock)
    with pytest.raises(Paused):
        store.put("a", b"1")
    assert (heard, clock.slept) == ([], [])


def test_only_what_was_stored_counts_for_the_quota() -> None:
    valve = Valve()
    faulty = FaultyStore(MemoryStore(), [StoreFault(Effect.CUT, times=2)])
    store = wrap_store(faulty, valve=valve, on_call=CallNotes("Attic", "backup", valve), clock=ManualClock())
    with pytest.raises(StoreUnavailable):
        store.put("a", bytes(10))
    store.put("a", bytes(10))
    store.get("a")
    assert faulty.hits == 2
    assert valve.collect_sent() == 10
