"""Trying again, in one layer."""

from __future__ import annotations

import random

import pytest

from providers.stores.errors import AccessDenied, LocationFull, NoAnswer, ObjectNotFound, StoreUnavailable, Throttled
from providers.stores.memory import MemoryStore
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from providers.wrappers.retrying import RetryingStore, RetryPolicy
from providers.wrappers.valve import RETRY_BUDGET, Valve
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock

STORED = b"content"


def retrying(
    *plan: StoreFault, policy: RetryPolicy | None = None, clock: ManualClock | None = None
) -> tuple[RetryingStore, FaultyStore, ManualClock]:
    clock = clock or ManualClock()
    faulty = FaultyStore(MemoryStore(clock=clock), plan, clock=clock)
    faulty.inner.put("a", STORED)
    return RetryingStore(faulty, policy, clock=clock, rng=random.Random(1)), faulty, clock


class TestRetryingStore(StoreContract):
    @pytest.fixture
    def store(self) -> RetryingStore:
        return RetryingStore(MemoryStore())


@pytest.mark.parametrize("operation", [Operation.PUT, Operation.GET, Operation.LIST, Operation.DELETE])
def test_a_passing_failure_is_not_seen(operation: Operation) -> None:
    store, faulty, clock = retrying(StoreFault(Effect.CUT, operation))
    {
        Operation.PUT: lambda: store.put("b", b"1"),
        Operation.GET: lambda: store.get("a"),
        Operation.LIST: lambda: [*store.list()],
        Operation.DELETE: lambda: store.delete("a"),
    }[operation]()
    assert faulty.hits == 1
    assert len(clock.slept) == 1


def test_a_listing_that_breaks_in_the_middle_names_nothing_twice() -> None:
    store, faulty, _ = retrying(StoreFault(Effect.CUT, Operation.LIST))
    for number in range(5):
        faulty.inner.put(f"b/{number}", b"")
    names = [info.name for info in store.list()]
    assert faulty.hits == 1
    assert sorted(names) == ["a", "b/0", "b/1", "b/2", "b/3", "b/4"]


@pytest.mark.parametrize(
    ("effect", "error"),
    [
        (Effect.DENIED, AccessDenied),
        (Effect.FULL, LocationFull),
        (Effect.NOT_FOUND, ObjectNotFound),
        (Effect.SILENT, NoAnswer),
    ],
)
def test_what_trying_again_cannot_help_is_told_at_once(effect: Effect, error: type[Exception]) -> None:
    store, faulty, _ = retrying(StoreFault(effect, times=None))
    with pytest.raises(error):
        store.get("a")
    assert faulty.hits == 1


def test_a_silent_location_is_noticed_within_twelve_seconds() -> None:
    store, faulty, clock = retrying(StoreFault(Effect.SILENT, times=None, seconds=10))
    with pytest.raises(NoAnswer):
        store.get("a")
    assert faulty.hits == 1
    assert clock.monotonic() <= 12


def test_it_gives_up_after_the_attempts() -> None:
    store, faulty, _ = retrying(StoreFault(Effect.CUT, times=None), policy=RetryPolicy(attempts=3))
    with pytest.raises(StoreUnavailable):
        store.get("a")
    assert faulty.hits == 3


def test_pauses_double_in_their_limit_and_differ() -> None:
    policy = RetryPolicy(attempts=6, base_seconds=1, longest_seconds=4, deadline_seconds=1000)
    first, faulty, clock = retrying(StoreFault(Effect.CUT, times=5), policy=policy)
    assert first.get("a") == STORED
    assert faulty.hits == 5
    limits = [1, 2, 4, 4, 4]
    assert all(0 <= pause <= limit for pause, limit in zip(clock.slept, limits, strict=True))
    assert len(set(clock.slept)) == 5


def test_the_provider_says_how_long_to_wait() -> None:
    store, faulty, clock = retrying(StoreFault(Effect.THROTTLED, seconds=7))
    assert store.get("a") == STORED
    assert faulty.hits == 1
    assert 7 <= clock.slept[0] <= 7.5


def test_no_attempt_begins_after_the_deadline() -> None:
    store, faulty, clock = retrying(StoreFault(Effect.THROTTLED, times=None, seconds=40))
    with pytest.raises(Throttled) as caught:
        store.get("a")
    assert (faulty.hits, clock.slept) == (1, [])
    assert caught.value.retry_after == 40


def test_a_provider_that_is_down_is_not_asked_twice_for_ever() -> None:
    store, faulty, _ = retrying(StoreFault(Effect.CUT, times=None))
    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            store.get("a")
    assert faulty.hits == 100 + RETRY_BUDGET
    faulty.plan.clear()
    for _ in range(20):
        store.get("a")
    faulty.plan.append(StoreFault(Effect.CUT))
    assert store.get("a") == STORED  # successes earn retries again


def test_many_runs_together_share_one_budget() -> None:
    valve, clock = Valve(), ManualClock()
    plans = [FaultyStore(MemoryStore(clock=clock), [StoreFault(Effect.CUT, times=None)], clock=clock) for _ in range(5)]
    stores = [RetryingStore(faulty, valve=valve, clock=clock) for faulty in plans]
    for _ in range(10):
        for store in stores:
            with pytest.raises(StoreUnavailable):
                store.get("a")
    assert sum(faulty.hits for faulty in plans) == 50 + RETRY_BUDGET
