"""How long nobody was heard: a heartbeat is alive while it changes, whatever moment it names.

A time that is compared with a clock which was set back an hour says "a moment ago" for an hour, and one set forward
"an hour ago" of somebody who is well. So each process remembers when it saw a heartbeat change, on its monotonic clock.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from wedbackup.core.clock import Clock
from wedbackup.core.models import Heartbeat

SILENT_AFTER = timedelta(seconds=60)  # heartbeats come every few seconds

_seen: WeakKeyDictionary[Clock, dict[str, tuple[datetime, float]]] = WeakKeyDictionary()
_lock = threading.Lock()


def silence_seconds(beat: Heartbeat, *, clock: Clock) -> float:
    """Return for how long `beat` has not changed [s].

    At first sight its own word is taken, unless it lies ahead of now: then nothing is known yet, and this is its
    beginning.
    """
    now = clock.monotonic()
    with _lock:
        seen = _seen.setdefault(clock, {})
        known = seen.get(beat.name)
        if known is None:
            age = (clock.utcnow() - beat.at).total_seconds()
            known = seen[beat.name] = (beat.at, now - max(0.0, age))
        elif known[0] != beat.at:
            known = seen[beat.name] = (beat.at, now)
    return now - known[1]


def is_silent(beat: Heartbeat, *, clock: Clock) -> bool:
    """Say whether nobody was heard under this name for SILENT_AFTER."""
    return silence_seconds(beat, clock=clock) > SILENT_AFTER.total_seconds()
