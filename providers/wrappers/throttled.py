"""Holds a location to so many bytes and requests per second, with buckets that all processes of this machine share.

A call that needs more than there is takes a debt and waits until it is paid, so a piece larger than a second's worth
passes, and the long-run rate is kept. What came down is paid for by the next call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from providers.stores.base import ObjectStore
from providers.wrappers.base import Call, Wrapper
from providers.wrappers.valve import Flow, Valve
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.logs import integration_event

T = TypeVar("T")

LOOK_SECONDS = 2.0  # so soon a waiting call follows a changed limit
LONG_WAIT_SECONDS = 1.0  # a wait that is worth a line in the log


class ThrottledStore(Wrapper):
    """Waits before a call as long as the valve's limits demand."""

    def __init__(
        self, inner: ObjectStore, valve: Valve, *, label: str = "the location", clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(inner)
        self._valve = valve
        self._label = label
        self._clock = clock

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        began = self._clock.monotonic()
        marks = {
            Flow.REQUESTS: self._valve.take(Flow.REQUESTS, 1, now=began),
            Flow.BYTES: self._valve.take(Flow.BYTES, call.sent_bytes, now=began),
        }
        for flow, mark in marks.items():
            if mark is not None:
                self._wait(flow, mark)
        waited = self._clock.monotonic() - began
        if waited > LONG_WAIT_SECONDS:
            integration_event("throttle wait", location=self._label, operation=call.operation, seconds=round(waited, 1))
        result = run()
        if isinstance(result, bytes) and result:
            self._valve.take(Flow.BYTES, len(result), now=self._clock.monotonic())
        return result

    def _wait(self, flow: Flow, mark: float) -> None:
        while (seconds := self._valve.wait_seconds(flow, mark, now=self._clock.monotonic())) > 0:
            self._clock.sleep(min(seconds, LOOK_SECONDS))
