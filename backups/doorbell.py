"""The doorbell: wakes a worker, who claims the most urgent job. A ring names no job; a lost one costs a tick."""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from backups.models import Job
from backups.services.queue import claimable
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger(__name__)

TASK = "backups.claim"
EXPIRES_SECONDS = 10  # an old ring is of no use: the next tick rings again
RINGS_PER_TICK = 16


_app_name = ""
_worker_here = threading.Event()


def connect(app_name: str) -> None:
    """Let rings go through the Celery application of this dotted name, which is imported at the first one."""
    global _app_name
    _app_name = app_name


def worker_is_here() -> None:
    """Say that a worker runs in this very process."""
    _worker_here.set()


def ring() -> bool:
    """Wake one worker; False when the broker does not answer (the next tick rings again).

    In the embedded shape only the process with the worker can hear a bell. A command leaves it to that one's next tick,
    and does not spend a quarter of a second on importing Celery.
    """
    if settings.CELERY_BROKER_URL.startswith("memory:") and not _worker_here.is_set():
        return False
    try:
        import_string(_app_name).send_task(TASK, expires=EXPIRES_SECONDS, ignore_result=True, retry=False)
    except Exception as exc:  # whatever the broker's client raises: a job is never lost for want of a ring
        log.warning("the doorbell does not ring (%s); the next tick rings again", type(exc).__name__)
        return False
    return True


def ring_due(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Ring once for each job that could start now, at most RINGS_PER_TICK times; return how often it rang."""
    waiting: QuerySet[Job] = claimable(clock.utcnow())
    return sum(ring() for _ in waiting.values_list("pk")[:RINGS_PER_TICK])
