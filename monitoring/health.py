"""Whether this installation is alive: the database answers and the scheduler was seen a moment ago."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from wedbackup.core.models import Heartbeat

SCHEDULER = "scheduler"
SILENT_AFTER = timedelta(seconds=60)  # the scheduler ticks every few seconds


def health(*, now: datetime) -> dict[str, Any]:
    """Return {"ok", "database", "scheduler", "scheduler_seen_seconds_ago"}. Raises DatabaseError.

    scheduler is None in a new installation that has not ticked yet; that is not ill.
    """
    seen = Heartbeat.objects.filter(name=SCHEDULER).values_list("at", flat=True).first()
    silence = None if seen is None else max(timedelta(0), now - seen)
    alive = None if silence is None else silence <= SILENT_AFTER
    return {
        "ok": alive is not False,
        "database": True,
        "scheduler": alive,
        "scheduler_seen_seconds_ago": None if silence is None else round(silence.total_seconds(), 1),
    }
