"""The doorbell: wakes a worker, who claims the most urgent job. A ring names no job; a lost one costs a tick."""

from __future__ import annotations

import logging

from celery import current_app
from django.db.models import QuerySet

from backups.models import Job
from backups.services.queue import claimable
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger(__name__)

TASK = "backups.claim"
EXPIRES_SECONDS = 10  # an old ring is of no use: the next tick rings again
RINGS_PER_TICK = 16


def ring() -> bool:
    """Wake one worker; False when the broker does not answer (the next tick rings again)."""
    try:
        current_app.send_task(TASK, expires=EXPIRES_SECONDS, ignore_result=True, retry=False)
    except Exception as exc:  # whatever the broker's client raises: a job is never lost for want of a ring
        log.warning("the doorbell does not ring (%s); the next tick rings again", type(exc).__name__)
        return False
    return True


def ring_due(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Ring once for each job that could start now, at most RINGS_PER_TICK times; return how often it rang."""
    waiting: QuerySet[Job] = claimable(clock.utcnow())
    return sum(ring() for _ in waiting.values_list("pk")[:RINGS_PER_TICK])
