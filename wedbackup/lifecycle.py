"""What happens when a worker comes and goes, in both shapes."""

from __future__ import annotations

import threading

from django.db import connections

from backups import doorbell
from backups.pulse import PULSE
from backups.services.leases import leases_sweep, worker_name
from backups.worker import stop_runs
from providers.services.inspection import locations_inspect_in_background
from wedbackup.tick import TICKER


def worker_started() -> None:
    """Return the jobs of this machine's dead processes to the queue, ring, and begin to beat and to tick.

    The locations are looked at in the background: a dead network must delay nothing.
    """
    doorbell.worker_is_here()
    leases_sweep()
    doorbell.ring_due()
    PULSE.start(worker_name())
    TICKER.start()
    connections.close_all()
    locations_inspect_in_background()


def worker_stops() -> threading.Thread:
    """Begin to hand back this process's jobs; the returned thread ends when that is done.

    In a thread, because a signal handler of Celery's worker calls it: the jobs' own threads must go on meanwhile.
    """
    TICKER.stop()
    thread = threading.Thread(target=_hand_back, name="hand-back")
    thread.start()
    return thread


def _hand_back() -> None:
    try:
        stop_runs()
    finally:
        connections.close_all()
