"""The one place that decides in which order wrappers stand around a store.

    read-only > breaker > retrying > throttled > metered > store

The breaker sees the outcome after the retries; each attempt pays its toll; the meter sees the provider alone.
The engine's worker processes get a stack without `breaker_state` (a row of the parent's database) by pickle.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from providers.stores.base import ObjectStore
from providers.wrappers.breaker import BreakerPolicy, BreakerState, BreakerStore
from providers.wrappers.metered import Measurement, MeteredStore
from providers.wrappers.readonly import ReadOnlyStore
from providers.wrappers.retrying import RetryingStore, RetryPolicy
from providers.wrappers.throttled import RateLimits, ThrottledStore
from wedbackup.core.clock import SYSTEM_CLOCK, Clock


def wrap_store(
    store: ObjectStore,
    *,
    retry: RetryPolicy | None = None,
    limits: RateLimits | None = None,
    on_call: Callable[[Measurement], None] | None = None,
    breaker_state: BreakerState | None = None,
    breaker: BreakerPolicy | None = None,
    read_only: bool = False,
    clock: Clock = SYSTEM_CLOCK,
    rng: random.Random | None = None,
) -> ObjectStore:
    """Return `store` with everything around it that a location needs.

    retry:         None takes the default policy (2 attempts); attempts=1 switches retries off.
    limits:        None means no limit.
    on_call:       hears of every attempt; without it nothing is measured.
    breaker_state: where the breaker's state is kept; without it there is no breaker.
    breaker:       None takes the default policy.
    read_only:     refuse changes.
    """
    if on_call is not None:
        store = MeteredStore(store, on_call, clock=clock)
    if limits is not None:
        store = ThrottledStore(store, limits, clock=clock)
    store = RetryingStore(store, retry, clock=clock, rng=rng)
    if breaker_state is not None:
        store = BreakerStore(store, breaker_state, breaker, clock=clock)
    return ReadOnlyStore(store) if read_only else store
