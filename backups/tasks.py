"""What the doorbell wakes."""

from __future__ import annotations

from celery import shared_task
from django.db import close_old_connections, connections

from backups.doorbell import TASK
from backups.services.leases import worker_name
from backups.worker import run_next


@shared_task(name=TASK, ignore_result=True)
def claim() -> None:
    """Run jobs, the most urgent first, until none is left to start."""
    close_old_connections()
    try:
        while run_next(worker_name()) is not None:
            close_old_connections()
    finally:
        connections.close_all()
