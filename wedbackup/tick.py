"""The tick of the scheduler: every few seconds, each part by itself, so that one's trouble is not the others'.

What is due is in the rows (`next_due_at`, `run_after`, leases), so a missed tick is made up by the next one and a
second scheduler does no harm: each worker process ticks (`Ticker`), and one of them has the turn.

What touches a disk or a line has a thread of its own and may hang there for ever: it holds up nothing else, is not
started a second time, and is told of after STUCK_SECONDS.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from celery import shared_task
from django.db import close_old_connections, connections
from django.db.models import Min
from django.utils.module_loading import import_string

from backups.models import Job
from backups.services.weddings import is_any_in_wedding_mode
from backups.states import JobState
from monitoring.health import SCHEDULER, STUCK
from providers.services import probes, rotation
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import Heartbeat
from wedbackup.core.turns import turn_claim

log = logging.getLogger(__name__)

TICK_SECONDS = 2.0  # [s]
APART = timedelta(seconds=1)  # ticks that come closer together are one tick: there may be two schedulers
STUCK_SECONDS = 60.0  # a part that takes longer is told of
GLANCE_SECONDS = 1.0  # most of what touches a place has ended by then, and the tick with it
TOLD_AGAIN_SECONDS = 60.0  # the log of a full disk must not fill it

# In this order; they touch the database alone.
ROW_PARTS = (
    "wedbackup.core.clockwatch.clock_watch",
    "backups.services.leases.leases_sweep",
    "backups.services.schedule.enqueue_due",
    "backups.services.notices.notices_judge",
    "monitoring.reader.read",
)
# Side by side: disks and lines.
PLACE_PARTS = (
    "backups.doorbell.ring_due",
    "backups.services.uploads.parts.unfinished_clear",
    "monitoring.folders.folders_watch",
    "monitoring.disk.disk_watch",
    "wedbackup.tick.turn_credentials",
    "wedbackup.tick.probe_locations",
    "monitoring.services.webhooks.deliveries_send",
    "providers.services.counting.count_next",
)
PARTS = ROW_PARTS + PLACE_PARTS
_at_work: dict[str, float] = {}  # part -> since when it is under way in this process, monotonic [s]
_stuck: set[str] = set()
_told_at: dict[str, float] = {}
_lock = threading.Lock()


class Ticker:
    """Ticks on the monotonic clock; Celery's beat compares wall clocks, and stops when one is set back."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._started = False

    def start(self) -> None:
        """Begin to tick, once."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._loop, daemon=True, name="scheduler").start()

    def stop(self) -> None:
        """Begin no more ticks."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            try:
                run_tick()
            except Exception as exc:
                _tell_failure("the tick", exc, SYSTEM_CLOCK)
            finally:
                connections.close_all()


TICKER = Ticker()


@shared_task(name="wedbackup.tick", ignore_result=True)
def tick() -> None:
    """Celery's entry to `run_tick`."""
    close_old_connections()
    try:
        run_tick()
    finally:
        connections.close_all()


def run_tick(*, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Do one tick; False when another one came a moment ago."""
    if not turn_claim(SCHEDULER, APART, clock=clock):
        return False
    for part in ROW_PARTS:
        _run_part(part, clock)
    threads = [threading.Thread(target=_run_alone, args=(part, clock), daemon=True, name=part) for part in PLACE_PARTS]
    for thread in threads:
        thread.start()
    until = SYSTEM_CLOCK.monotonic() + GLANCE_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - SYSTEM_CLOCK.monotonic()))
    _tell_stuck(clock)
    return True


def probe_locations(*, clock: Clock = SYSTEM_CLOCK) -> list[probes.ProbeResult]:
    """Probe the locations that are due: twice as often while some wedding is in wedding mode."""
    interval = probes.CLOSE_INTERVAL if is_any_in_wedding_mode(clock=clock) else probes.INTERVAL
    return probes.probe_due(clock, interval=interval)


def turn_credentials(*, clock: Clock = SYSTEM_CLOCK) -> None:
    """Take new credentials further, and retire those that no running job can still hold."""
    rotation.rotations_continue(clock=clock)
    running = Job.unscoped.filter(state=JobState.RUNNING)
    rotation.credentials_retire(running.aggregate(oldest=Min("started_at"))["oldest"], clock=clock)


def _run_alone(part: str, clock: Clock) -> None:
    try:
        _run_part(part, clock)
    finally:
        connections.close_all()


def _run_part(part: str, clock: Clock) -> None:
    """Call one part, unless an earlier tick's call of it is still under way in this process."""
    with _lock:
        if part in _at_work:
            return
        _at_work[part] = clock.monotonic()
    try:
        call: Callable[[], object] = import_string(part)
        call()
    except Exception as exc:
        _tell_failure(f"a part of the tick failed: {part}", exc, clock)
    finally:
        with _lock:
            del _at_work[part]


def _tell_stuck(clock: Clock) -> None:
    """Write a heartbeat for each part that does not return, and take back those of parts that did after all."""
    with _lock:
        now = clock.monotonic()
        hanging = {part for part, since in _at_work.items() if now - since > STUCK_SECONDS}
    for part in hanging:
        Heartbeat.objects.update_or_create(name=STUCK + part, defaults={"at": clock.utcnow()})
    for part in _stuck - hanging:
        Heartbeat.objects.filter(name=STUCK + part).delete()
    _stuck.clear()
    _stuck.update(hanging)


def _tell_failure(what: str, exc: Exception, clock: Clock) -> None:
    """Log a failure with its traceback, the same one not again for a minute."""
    key, now = f"{what} {type(exc).__name__}", clock.monotonic()
    if abs(now - _told_at.get(key, float("-inf"))) >= TOLD_AGAIN_SECONDS:
        _told_at[key] = now
        log.error(what, exc_info=exc)
