"""Counts and times the calls to a location: for health scores, costs and the progress line.

It stands directly around the provider's store, so that waiting for a rate limit or between attempts is not
taken for a slow provider, and every attempt counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from providers.stores.base import ObjectStore
from providers.wrappers.base import Call, Operation, Wrapper
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One finished call.

    received_bytes: what came down with it [bytes].
    seconds:        how long it took [s].
    error:          class name of the error it ended with; None for success.
    message:        its text.
    """

    operation: Operation
    name: str
    sent_bytes: int
    received_bytes: int
    seconds: float
    error: str | None
    message: str = ""


@dataclass
class Totals:
    """The sum of all calls so far, failed ones included; bytes of failed calls are not counted."""

    calls: Counter[Operation] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    received_bytes: int = 0
    seconds: float = 0.0

    def add(self, measurement: Measurement) -> None:
        self.calls[measurement.operation] += 1
        self.seconds += measurement.seconds
        if measurement.error:
            self.errors[measurement.error] += 1
        else:
            self.sent_bytes += measurement.sent_bytes
            self.received_bytes += measurement.received_bytes


class MeteredStore(Wrapper):
    """Adds every call up and reports it to `on_call`, if given, in the thread that made it.

    In another process it begins at zero there; `on_call` travels only if it can be pickled.
    """

    def __init__(
        self,
        inner: ObjectStore,
        on_call: Callable[[Measurement], None] | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(inner)
        self._on_call = on_call
        self._clock = clock
        self._totals = Totals()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.inner, self._on_call, self._clock)

    def totals(self) -> Totals:
        """Return a copy of the sums so far."""
        with self._lock:
            return replace(self._totals, calls=self._totals.calls.copy(), errors=self._totals.errors.copy())

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        began = self._clock.monotonic()
        try:
            result = run()
        except BaseException as exc:
            self._note(call, began, 0, exc)
            raise
        self._note(call, began, len(result) if isinstance(result, bytes) else 0, None)
        return result

    def _note(self, call: Call, began: float, received_bytes: int, exc: BaseException | None) -> None:
        seconds = self._clock.monotonic() - began
        error, message = (None, "") if exc is None else (type(exc).__name__, str(exc))
        measurement = Measurement(call.operation, call.name, call.sent_bytes, received_bytes, seconds, error, message)
        with self._lock:
            self._totals.add(measurement)
        if self._on_call:
            self._on_call(measurement)


def _rebuild(inner: ObjectStore, on_call: Callable[[Measurement], None] | None, clock: Clock) -> MeteredStore:
    return MeteredStore(inner, on_call, clock=clock)
