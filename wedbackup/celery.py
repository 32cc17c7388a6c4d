"""Celery carries rings of the doorbell and the tick of the scheduler; the truth about every job is in the database.

Production: `celery -A wedbackup worker -c 64` (threads, as configured here); each worker ticks by itself, so that
`celery -A wedbackup beat` is not needed, and does no harm. Embedded: `manage.py serve` runs the same worker in threads
over `memory://`.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wedbackup.settings")

BEAT_SECONDS = 2.0  # [s]

app = Celery("wedbackup")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"polling_interval": 0.1}
    if settings.CELERY_BROKER_URL.startswith("memory")
    else {"socket_connect_timeout": 2, "socket_timeout": 10, "socket_keepalive": True},
    imports=["backups.tasks", "wedbackup.tick"],
    task_acks_late=False,  # a ring is not worth delivering twice
    task_ignore_result=True,
    worker_pool="threads",  # also when nobody says -P threads: a job's lease is renewed by its own process's thread
    worker_concurrency=settings.WORKER_CONCURRENCY,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    timezone="UTC",
    enable_utc=True,
    beat_scheduler="celery.beat:Scheduler",  # in memory: what is due is in the rows
    # Every worker ticks by itself, on the monotonic clock (`wedbackup.tick.Ticker`); beat is one more, where it runs.
    beat_max_loop_interval=BEAT_SECONDS,
    beat_schedule={
        "tick": {"task": "wedbackup.tick", "schedule": BEAT_SECONDS, "options": {"expires": BEAT_SECONDS * 3}},
    },
)


@worker_ready.connect
def _on_ready(**_: Any) -> None:
    """Take back at once what this machine's dead processes held, and say that a worker is here."""
    from wedbackup import lifecycle

    lifecycle.worker_started()


@worker_shutting_down.connect
def _on_shutdown(**_: Any) -> None:
    """SIGTERM: hand the running jobs back instead of waiting for hours until they end."""
    from wedbackup import lifecycle

    lifecycle.worker_stops()
