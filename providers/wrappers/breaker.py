"""The circuit breaker: leaves a failing location alone and asks again with one single probe.

The state lives behind `BreakerState`, so that all workers share it (a row of the database) or a test holds it in
memory. Every change is a compare-and-set: of many workers that find the pause over, one becomes the probe.

    closed --(failures in a row)--> open --(pause over, one probe)--> half-open --success--> closed
                                     ^------------------------failure---------'
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from providers.stores.base import ObjectStore
from providers.stores.errors import LOCATION_TROUBLE, UNTRIED, BreakerOpen, InvalidName, StoreError
from providers.wrappers.base import Call, Wrapper
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")


class Phase(enum.StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerReading:
    """The breaker at one moment.

    failures: failures in a row so far.
    since:    when this phase began, aware UTC; None as long as nothing ever happened.
    """

    phase: Phase = Phase.CLOSED
    failures: int = 0
    since: datetime | None = None


class BreakerState(Protocol):
    """Where the reading is kept."""

    def load(self) -> BreakerReading:
        """Return the present reading."""

    def compare_and_set(self, old: BreakerReading, new: BreakerReading) -> bool:
        """Replace the reading by `new` if it still equals `old`; return whether it did."""


class MemoryBreakerState:
    """A breaker state for one process."""

    def __init__(self) -> None:
        self._reading = BreakerReading()
        self._lock = threading.Lock()

    def load(self) -> BreakerReading:
        return self._reading

    def compare_and_set(self, old: BreakerReading, new: BreakerReading) -> bool:
        with self._lock:
            if self._reading != old:
                return False
            self._reading = new
            return True


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to open and when to ask again.

    failures_to_open: failures in a row that open it.
    open_seconds:     how long the location is left alone [s].
    probe_seconds:    a probe that has not reported by then is taken for dead, another may go [s].
    """

    failures_to_open: int = 5
    open_seconds: float = 30.0
    probe_seconds: float = 60.0


class Breaker:
    """The transitions of one breaker. Used around calls by `BreakerStore`, or told of outcomes by `report`."""

    def __init__(
        self, state: BreakerState, policy: BreakerPolicy | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._state = state
        self.policy = policy or BreakerPolicy()
        self._clock = clock

    def enter(self) -> BreakerReading | None:
        """Let a call through or raise BreakerOpen; return the half-open reading if this call is the probe."""
        reading = self._state.load()
        if reading.phase is Phase.CLOSED:
            return None
        pause = self.policy.open_seconds if reading.phase is Phase.OPEN else self.policy.probe_seconds
        age = self._age_seconds(reading)
        if age >= pause:
            probe = replace(reading, phase=Phase.HALF_OPEN, since=self._clock.utcnow())
            if self._state.compare_and_set(reading, probe):
                return probe
        raise BreakerOpen(f"left alone after {reading.failures} failures in a row", retry_after=max(0.0, pause - age))

    def leave(self, probe: BreakerReading | None, error: BaseException | None) -> None:
        """Take note of how a call ended; `probe` is what `enter` gave it, `error` None means success."""
        if isinstance(error, LOCATION_TROUBLE):
            self._failed(probe)
        elif error is None or (isinstance(error, StoreError) and not isinstance(error, (InvalidName, *UNTRIED))):
            self._succeeded(probe)  # an answer, if not the one hoped for: the location is there
        elif probe:
            self._give_back(probe)

    def report(self, error: BaseException | None) -> None:
        """Take note of an outcome that somebody else's call had, maybe the probe's in another process.

        What was refused without asking the location says nothing, and is not the probe's.
        """
        if isinstance(error, UNTRIED):
            return
        reading = self._state.load()
        self.leave(reading if reading.phase is Phase.HALF_OPEN else None, error)

    def reset(self) -> bool:
        """Close it because a person says that the location is well again; return whether that was a change.

        A probe under way finds its reading gone, and its outcome is old news.
        """
        while True:
            reading = self._state.load()
            if reading.phase is Phase.CLOSED and not reading.failures:
                return False
            if self._state.compare_and_set(reading, BreakerReading(since=self._clock.utcnow())):
                return True

    def _age_seconds(self, reading: BreakerReading) -> float:
        if reading.since is None:
            return float("inf")
        age = (self._clock.utcnow() - reading.since).total_seconds()
        return age if age >= 0 else float("inf")  # the clock was set back: better ask once too often than never

    def _failed(self, probe: BreakerReading | None) -> None:
        while True:
            reading = self._state.load()
            if probe is None and reading.phase is not Phase.CLOSED:
                return  # a call from before the opening: old news
            if probe is not None and reading != probe:
                return  # took too long, another probe was sent
            failures = reading.failures + 1
            opens = probe is not None or failures >= self.policy.failures_to_open
            new = BreakerReading(Phase.OPEN if opens else Phase.CLOSED, failures, self._clock.utcnow())
            if self._state.compare_and_set(reading, new):
                return

    def _succeeded(self, probe: BreakerReading | None) -> None:
        reading = self._state.load()
        if probe is not None:
            self._state.compare_and_set(probe, BreakerReading(since=self._clock.utcnow()))
        elif reading.phase is Phase.CLOSED and reading.failures:
            self._state.compare_and_set(reading, replace(reading, failures=0))

    def _give_back(self, probe: BreakerReading) -> None:
        """The probe was cancelled, which says nothing: the next caller may probe at once."""
        self._state.compare_and_set(probe, replace(probe, phase=Phase.OPEN, since=None))


class BreakerStore(Wrapper):
    """Refuses calls with BreakerOpen while the location is being left alone."""

    def __init__(
        self,
        inner: ObjectStore,
        state: BreakerState,
        policy: BreakerPolicy | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(inner)
        self._breaker = Breaker(state, policy, clock=clock)

    def _around(self, call: Call, run: Callable[[], T]) -> T:  # noqa: ARG002 - all calls are equal here
        probe = self._breaker.enter()
        try:
            result = run()
        except BaseException as exc:
            self._breaker.leave(probe, exc)
            raise
        self._breaker.leave(probe, None)
        return result
