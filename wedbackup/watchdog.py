"""The dead man's switch: a thread of the web process that notices when scheduler and workers do nothing any more.

Alerts are normally found by the tick. When the tick itself has stopped, nobody would say so; then this thread has
monitoring read once, which sees the old heartbeats and raises the alert on every open page.
"""

from __future__ import annotations

import logging
import threading

from django.db import connections

from monitoring import reader
from monitoring.health import SCHEDULER
from wedbackup.celery import TICK_SECONDS
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import Heartbeat

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
QUIET_SECONDS = TICK_SECONDS * 5  # [s] without a tick: look at the alerts from here

_started = threading.Lock()


def start() -> None:
    """Start the thread once per process."""
    if _started.acquire(blocking=False):
        threading.Thread(target=_watch, daemon=True, name="watchdog").start()


def silence_seconds(*, clock: Clock = SYSTEM_CLOCK) -> float:
    """Return how long ago the scheduler last ticked [s]; infinite if it never did."""
    beat = Heartbeat.objects.filter(name=SCHEDULER).first()
    return max(0.0, (clock.utcnow() - beat.at).total_seconds()) if beat else float("inf")


def look(*, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Have monitoring read if nobody ticks; return whether that was so."""
    if silence_seconds(clock=clock) < QUIET_SECONDS:
        return False
    reader.read(clock=clock)
    return True


def _watch() -> None:
    while True:
        SYSTEM_CLOCK.sleep(LOOK_SECONDS)
        try:
            look()
        except Exception:
            log.exception("the watchdog could not look")
        finally:
            connections.close_all()
