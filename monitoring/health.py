"""Whether this installation is alive: the database takes a write, and the scheduler was heard a moment ago."""

from __future__ import annotations

from typing import Any

from wedbackup.core.clock import Clock
from wedbackup.core.models import Heartbeat
from wedbackup.core.silence import SILENT_AFTER, is_silent, silence_seconds

SCHEDULER = "scheduler"
STUCK = "stuck "  # begins the heartbeat of a part of the scheduler that does not return, as long as it does not
_TRIED = "health"


def health(*, clock: Clock) -> dict[str, Any]:
    """Return {"ok", "database", "scheduler", "scheduler_seen_seconds_ago", "stuck"}. Raises DatabaseError.

    scheduler: None in a new installation that has not ticked yet; that is not ill.
    stuck:     parts of the scheduler that do not return. That alone is not ill: a restart would not mend a dead disk,
    and end the backups that are under way.
    """
    Heartbeat.objects.update_or_create(name=_TRIED, defaults={"at": clock.utcnow()})  # a full disk can still be read
    beat = Heartbeat.objects.filter(name=SCHEDULER).first()
    silence = None if beat is None else silence_seconds(beat, clock=clock)
    alive = None if silence is None else silence <= SILENT_AFTER.total_seconds()
    return {
        "ok": alive is not False,
        "database": True,
        "scheduler": alive,
        "scheduler_seen_seconds_ago": None if silence is None else round(silence, 1),
        "stuck": parts_stuck(clock=clock),
    }


def parts_stuck(*, clock: Clock) -> list[str]:
    """Return the parts of the scheduler that have not returned for long, by name; each says so again at every tick."""
    beats = Heartbeat.objects.filter(name__startswith=STUCK)
    return [beat.name.removeprefix(STUCK) for beat in beats if not is_silent(beat, clock=clock)]
