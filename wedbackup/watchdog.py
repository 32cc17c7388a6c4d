"""The dead man's switch: a thread of the web process that notices when scheduler and workers do nothing any more.

Alerts are normally found by the tick. When the tick itself has stopped, nobody would say so; then this thread has
monitoring read, which sees the old heartbeats and raises the alert on every open page, and sends what is to be sent to
webhooks: whoever has no page open hears of it as well.
"""

from __future__ import annotations

import logging
import threading

from django.db import connections

from monitoring import reader
from monitoring.health import SCHEDULER
from monitoring.services import webhooks
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import Heartbeat
from wedbackup.core.silence import silence_seconds
from wedbackup.tick import TICK_SECONDS

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
QUIET_SECONDS = TICK_SECONDS * 5  # [s] without a tick: look at the alerts from here

_started = threading.Lock()


def start() -> None:
    """Start the thread once per process."""
    if _started.acquire(blocking=False):
        threading.Thread(target=_watch, daemon=True, name="watchdog").start()


def look(*, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Have monitoring read, and tell the webhooks, if nobody ticks; return whether that was so."""
    beat = Heartbeat.objects.filter(name=SCHEDULER).first()
    if beat is not None and silence_seconds(beat, clock=clock) < QUIET_SECONDS:
        return False
    reader.read(clock=clock)
    webhooks.deliveries_send(clock=clock)
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
