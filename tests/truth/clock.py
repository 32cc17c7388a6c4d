"""A world whose true time never jumps, while the clock that the product reads does."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from wedbackup.core.clock import SystemClock


class WorldClock:
    """true:  seconds of the world since it began [s]; what judges go by.
    error: how far the wall clock that the product sees is off [s].
    """

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._lock = threading.Lock()
        self.true = 0.0
        self.error = 0.0

    def utcnow(self) -> datetime:
        return self._start + timedelta(seconds=self.true + self.error)

    def true_now(self) -> datetime:
        return self._start + timedelta(seconds=self.true)

    def monotonic(self) -> float:
        return self.true

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self.true += seconds

    def install(self) -> None:
        """Let the whole product read this clock, whoever holds the system's: for a process of the oracle's own."""
        for name in ("utcnow", "monotonic", "sleep"):
            setattr(SystemClock, name, staticmethod(getattr(self, name)))


def start_of_worlds() -> datetime:
    """Files are dated by the machine's own clock, so a world begins now, at a full second."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)
