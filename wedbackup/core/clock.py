"""The only reader of the time. Everything that needs the time takes a `Clock`.

A test or a simulation hands in `ManualClock` and thirty days pass in a second; production hands in
`SystemClock`. Aware UTC datetimes for points in time, monotonic seconds for durations.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the program may know about time."""

    def utcnow(self) -> datetime:
        """Return the present moment as an aware datetime in UTC."""

    def monotonic(self) -> float:
        """Return seconds [s] since an arbitrary start; never jumps back."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds` [s]."""


# Goes on while the machine sleeps: a laptop's lid that was closed is no jump of the wall clock.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's own clock."""

    def utcnow(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(_STEADY)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to, or when somebody sleeps on it."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
        self._monotonic = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def utcnow(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` [s] pass, on the wall and on the monotonic clock."""
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Move only the wall clock, as a wrong NTP answer would; `seconds` may be negative."""
        self._now += timedelta(seconds=seconds)


SYSTEM_CLOCK: Clock = SystemClock()

SLACK = timedelta(minutes=2)  # machines that agree about the time may differ by so much


def is_within(at: datetime, now: datetime, span: timedelta) -> bool:
    """Say whether `at` lies in the last `span` before `now`.

    What lies ahead of now was written by a clock that was wrong; nobody knows how long ago that is: it is not within.
    """
    return -SLACK <= now - at <= span


def is_due(at: datetime, now: datetime, pause: timedelta) -> bool:
    """Say whether a moment that was set at most `pause` ahead has come.

    One that lies further ahead was set by a clock that was wrong, and is due now: better once too often than never.
    """
    return at <= now or at - now > pause + SLACK
