"""The one place that decides in which order wrappers stand around a store.

    read-only > breaker > gated > retrying > throttled > metered > watched > store

The breaker sees the outcome after the retries; the gate refuses before anything is tried, and what it refuses is not
retried; each attempt pays its toll; the meter sees the provider alone, and a call that the watchdog gave up as failed.
The engine's worker processes get the stack by pickle, without `breaker_state` (a row of the parent's database); the
valve reaches them by its file.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from providers.stores.base import ObjectStore
from providers.wrappers.breaker import BreakerPolicy, BreakerState, BreakerStore
from providers.wrappers.gated import GatedStore
from providers.wrappers.metered import Measurement, MeteredStore
from providers.wrappers.readonly import ReadOnlyStore
from providers.wrappers.retrying import RetryingStore, RetryPolicy
from providers.wrappers.throttled import ThrottledStore
from providers.wrappers.valve import Valve
from providers.wrappers.watched import Patience, WatchedStore
from wedbackup.core.clock import SYSTEM_CLOCK, Clock


def wrap_store(
    store: ObjectStore,
    *,
    retry: RetryPolicy | None = None,
    valve: Valve | None = None,
    label: str = "the location",
    gated: bool = True,
    throttled: bool = True,
    quota: bool = True,
    on_call: Callable[[Measurement], None] | None = None,
    breaker_state: BreakerState | None = None,
    breaker: BreakerPolicy | None = None,
    read_only: bool = False,
    patience: Patience | None = None,
    watched: bool = True,
    clock: Clock = SYSTEM_CLOCK,
    rng: random.Random | None = None,
) -> ObjectStore:
    """Return `store` with everything around it that a location needs.

    retry:         None takes the default policy (2 attempts); attempts=1 switches retries off.
    valve:         what this machine's processes share about the location: retry budget, and what the next three obey.
    label:         the location's name for people.
    gated:         obey pause, breaker and quota of the valve.   throttled: obey its limits.   quota: see GatedStore.
    on_call:       hears of every attempt; without it nothing is measured.
    breaker_state: where the breaker's state is kept; without it there is no breaker.
    breaker:       None takes the default policy.
    read_only:     refuse changes.
    patience:      how long a call may take; None takes the default.
    watched:       False if `store` watches itself: one that asks the database has to do so in the caller's thread.
    """
    if watched:
        store = WatchedStore(store, patience)
    if on_call is not None:
        store = MeteredStore(store, on_call, clock=clock)
    if valve is not None and throttled:
        store = ThrottledStore(store, valve, label=label, clock=clock)
    store = RetryingStore(store, retry, valve=valve, label=label, clock=clock, rng=rng)
    if valve is not None and gated:
        store = GatedStore(store, valve, label=label, quota=quota)
    if breaker_state is not None:
        store = BreakerStore(store, breaker_state, breaker, clock=clock)
    return ReadOnlyStore(store) if read_only else store
