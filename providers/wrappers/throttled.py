"""Holds a location to so many bytes and requests per second.

Two token buckets. A call that needs more than there is takes a debt and waits until it is paid, so a piece larger
than a second's worth passes, and the long-run rate is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from providers.stores.base import ObjectStore
from providers.wrappers.base import Call, Wrapper
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a location may be asked for; None means no limit.

    bytes_per_second:    up and down together [bytes/s].
    requests_per_second: calls [1/s].
    """

    bytes_per_second: float | None = None
    requests_per_second: float | None = None


class TokenBucket:
    """Fills at `rate` per second up to one second's worth. Thread-safe."""

    def __init__(self, rate: float, clock: Clock) -> None:
        if rate <= 0:
            raise ValueError("a rate limit must be above zero; to stop a location, disable it")
        self._rate = rate
        self._clock = clock
        self._tokens = rate
        self._filled_at = clock.monotonic()
        self._lock = threading.Lock()

    def take(self, amount: float) -> float:
        """Take `amount` and return how long the taker has to wait for it [s]."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
            self._tokens -= amount
            return max(0.0, -self._tokens / self._rate)


class ThrottledStore(Wrapper):
    """Waits before a call as long as the limits demand; what came down is paid for by the next call.

    Each process that it travels to has buckets of its own: divide the limits by the number of workers.
    """

    def __init__(self, inner: ObjectStore, limits: RateLimits, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(inner)
        self.limits = limits
        self._clock = clock
        self._bytes = _bucket(limits.bytes_per_second, clock)
        self._requests = _bucket(limits.requests_per_second, clock)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.inner, self.limits, self._clock)

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        wait = self._requests.take(1) if self._requests else 0.0
        if self._bytes:
            wait = max(wait, self._bytes.take(call.sent_bytes))
        if wait:
            self._clock.sleep(wait)
        result = run()
        if self._bytes and isinstance(result, bytes):
            self._bytes.take(len(result))
        return result


def _bucket(rate: float | None, clock: Clock) -> TokenBucket | None:
    return None if rate is None else TokenBucket(rate, clock)


def _rebuild(inner: ObjectStore, limits: RateLimits, clock: Clock) -> ThrottledStore:
    return ThrottledStore(inner, limits, clock=clock)
