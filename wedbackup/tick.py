"""The tick of the scheduler: every few seconds, each part by itself, so that one's trouble is not the others'.

What is due is in the rows (`next_due_at`, `run_after`, leases), so a missed tick is made up by the next one and a
second scheduler does no harm.
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
from monitoring.health import SCHEDULER
from providers.services import probes, rotation
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import Heartbeat

log = logging.getLogger(__name__)

APART = timedelta(seconds=1)  # ticks that come closer together are one tick: there may be two schedulers

# In this order: what is quick and urgent first, what waits for the network last.
PARTS = (
    "backups.services.leases.leases_sweep",
    "backups.services.schedule.enqueue_due",
    "backups.services.notices.notices_judge",
    "backups.doorbell.ring_due",
    "backups.services.uploads.parts.unfinished_clear",
    "monitoring.reader.read",
    "wedbackup.tick.turn_credentials",
    "wedbackup.tick.probe_locations",
    "monitoring.services.webhooks.deliveries_send",
    "providers.services.counting.count_next",
)
_at_work = {part: threading.Lock() for part in PARTS}


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
    if not _claim_tick(clock):
        return False
    for part in PARTS:
        _run_part(part)
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


def _claim_tick(clock: Clock) -> bool:
    """Note the tick; compare-and-set decides between two schedulers."""
    now = clock.utcnow()
    beat, created = Heartbeat.objects.get_or_create(name=SCHEDULER, defaults={"at": now})
    if created:
        return True
    if abs(now - beat.at) < APART:
        return False
    return Heartbeat.objects.filter(name=SCHEDULER, at=beat.at).update(at=now) == 1


def _run_part(part: str) -> None:
    """Call one part, unless the last tick's call of it is still under way in this process."""
    lock = _at_work[part]
    if not lock.acquire(blocking=False):
        return
    try:
        call: Callable[[], object] = import_string(part)
        call()
    except Exception:
        log.exception("a part of the tick failed: %s", part)
    finally:
        lock.release()
