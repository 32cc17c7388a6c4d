"""The one layer that tries again: SDK retries are off and Celery does not repeat the same fault.

Full jitter spreads many workers' second attempts; a budget, which all runs on this machine share, stops them from
doubling the load of a provider that is down; a deadline keeps a caller from waiting longer than a failover would take.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from providers.stores.base import ObjectStore
from providers.stores.errors import NoAnswer, StoreError
from providers.wrappers.base import Call, Wrapper
from providers.wrappers.valve import Valve
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.logs import integration_event

T = TypeVar("T")

_SYSTEM_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long.

    attempts:            tries in all, the first included.
    base_seconds:        upper limit of the first pause [s]; doubles with each attempt.
    longest_seconds:     upper limit of any pause [s].
    deadline_seconds:    no attempt begins later than this after the first one began [s].
    """

    attempts: int = 2
    base_seconds: float = 0.5
    longest_seconds: float = 8.0
    deadline_seconds: float = 30.0


class RetryingStore(Wrapper):
    """Repeats what failed for a passing reason.

    A silent server (NoAnswer) is not asked again within the call: its time limit has passed once already, and a
    caller must hear of it within 12 s.
    """

    def __init__(
        self,
        inner: ObjectStore,
        policy: RetryPolicy | None = None,
        *,
        valve: Valve | None = None,
        label: str = "the location",
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
    ) -> None:
        """
        valve: holds the budget; None makes one for this store alone.
        label: the location's name for people.
        rng:   source of the jitter; None takes the system's, which differs between worker processes.
        """
        super().__init__(inner)
        self.policy = policy or RetryPolicy()
        self._valve = valve or Valve()
        self._label = label
        self._clock = clock
        self._rng = rng

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        began, attempt = self._clock.monotonic(), 1
        while True:
            try:
                result = run()
            except StoreError as error:
                pause = self._pause_after(error, attempt, self._clock.monotonic() - began)
                if pause is None:
                    raise
                self._tell(call, error, attempt, pause)
                self._clock.sleep(pause)
                attempt += 1
            else:
                self._valve.earn_retry()
                return result

    def _pause_after(self, error: StoreError, attempt: int, elapsed_seconds: float) -> float | None:
        """Return how long to wait before the next attempt [s]; None means that there is none."""
        policy = self.policy
        if not error.retryable or isinstance(error, NoAnswer) or attempt >= policy.attempts:
            return None
        limit = min(policy.longest_seconds, policy.base_seconds * 2 ** (attempt - 1))
        pause = (self._rng or _SYSTEM_RANDOM).uniform(0, limit)
        if error.retry_after is not None:  # the provider knows better; jitter on top keeps the callers apart
            pause += error.retry_after
        if elapsed_seconds + pause > policy.deadline_seconds or not self._valve.spend_retry():
            return None
        return pause

    def _tell(self, call: Call, error: StoreError, attempt: int, pause: float) -> None:
        integration_event(
            "retry",
            location=self._label,
            operation=call.operation,
            object=call.name,
            error=type(error).__name__,
            attempt=attempt,
            pause_seconds=round(pause, 2),
        )
