"""Fails on order: for tests, drills and the simulation.

faulty = FaultyStore(store, [StoreFault(Effect.FULL, operation=Operation.PUT, skip=3)])
...
assert faulty.hits == 1
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from providers.stores.base import Buffer, ObjectInfo, ObjectStore
from providers.stores.errors import (
    AccessDenied,
    LocationFull,
    LocationMissing,
    NoAnswer,
    ObjectNotFound,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.wrappers.base import Call, Operation, Wrapper
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")


class Effect(enum.StrEnum):
    """What happens to a call that is hit."""

    CUT = "cut"  # the connection breaks before anything is done
    LOST_ANSWER = "lost_answer"  # it is done, but the caller hears of a broken connection
    SILENT = "silent"  # no answer until the time limit
    SLOW = "slow"  # it is done after `seconds`
    FLIP = "flip"  # one bit of what is sent (put) or received (get) turns over, unnoticed
    FULL = "full"
    THROTTLED = "throttled"  # with Retry-After of `seconds`
    DENIED = "denied"
    MISSING = "missing"  # the whole location is gone
    NOT_FOUND = "not_found"


@dataclass
class StoreFault:
    """One entry of the plan.

    operation: which calls it may hit; None means any.
    match:     part of the object's name.
    skip:      matching calls that pass before the first hit.
    times:     how many calls are hit; None means all from there on.
    seconds:   for SLOW, SILENT and THROTTLED [s].
    hits:      calls hit so far.
    """

    effect: Effect
    operation: Operation | None = None
    match: str = ""
    skip: int = 0
    times: int | None = 1
    seconds: float = 10.0
    hits: int = 0

    def takes(self, call: Call) -> bool:
        """Say whether `call` is hit, and count."""
        if self.operation not in (None, call.operation) or self.match not in call.name:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


class FaultyStore(Wrapper):
    """Carries calls out unless the plan has a fault for them; the first fitting fault is taken."""

    def __init__(self, inner: ObjectStore, plan: Iterable[StoreFault] = (), *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(inner)
        self.plan = list(plan)
        self._clock = clock

    @property
    def hits(self) -> int:
        """How many calls were hit, by all faults together."""
        return sum(fault.hits for fault in self.plan)

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        call = Call(Operation.PUT, name, memoryview(content).nbytes)
        fault = self._take(call)
        if fault and fault.effect is Effect.FLIP:
            content = _flipped(content)
        return self._carry_out(fault, call, lambda: self.inner.put(name, content, sha256=sha256))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the listing; a cut comes after the first entry, as a failing second page does."""
        call = Call(Operation.LIST, prefix)
        fault = self._take(call)
        if fault and fault.effect is Effect.CUT:
            for entry in self.inner.list(prefix):
                yield entry
                break
        yield from self._carry_out(fault, call, lambda: [*self.inner.list(prefix)])

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        return self._carry_out(self._take(call), call, run)

    def _take(self, call: Call) -> StoreFault | None:
        with self._lock:
            return next((fault for fault in self.plan if fault.takes(call)), None)

    def _carry_out(self, fault: StoreFault | None, call: Call, run: Callable[[], T]) -> T:
        if fault is None:
            return run()
        if fault.effect in (Effect.SLOW, Effect.SILENT):
            self._clock.sleep(fault.seconds)
        error = _error(fault, call)
        if error and fault.effect is not Effect.LOST_ANSWER:
            raise error
        result = run()
        if error:
            raise error
        if fault.effect is Effect.FLIP and isinstance(result, bytes):
            return _flipped(result)  # type: ignore[return-value]
        return result


def _error(fault: StoreFault, call: Call) -> StoreError | None:
    message = f"injected fault: {fault.effect} at {call.operation} {call.name}"
    match fault.effect:
        case Effect.CUT | Effect.LOST_ANSWER:
            return StoreUnavailable(message)
        case Effect.SILENT:
            return NoAnswer(message)
        case Effect.FULL:
            return LocationFull(message)
        case Effect.THROTTLED:
            return Throttled(message, retry_after=fault.seconds)
        case Effect.DENIED:
            return AccessDenied(message)
        case Effect.MISSING:
            return LocationMissing(message)
        case Effect.NOT_FOUND:
            return ObjectNotFound(message)
        case Effect.SLOW | Effect.FLIP:
            return None


def _flipped(content: Buffer) -> bytes:
    """Return `content` with the lowest bit of its middle byte turned over."""
    changed = bytearray(content)
    if changed:
        changed[len(changed) // 2] ^= 1
    return bytes(changed)
