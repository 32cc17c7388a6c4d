"""Whose turn it is: what several processes do every few seconds is done by one of them."""

from __future__ import annotations

from datetime import timedelta

from wedbackup.core.clock import Clock
from wedbackup.core.models import Heartbeat


def turn_claim(name: str, apart: timedelta, *, clock: Clock) -> bool:
    """Note a heartbeat of `name` and say whether it is the caller's turn: the last one was `apart` ago, or more.

    Compare-and-set decides between two. A clock that was set back holds nobody up.
    """
    now = clock.utcnow()
    beat, created = Heartbeat.objects.get_or_create(name=name, defaults={"at": now})
    if not created and abs(now - beat.at) < apart:
        return False
    return created or Heartbeat.objects.filter(name=name, at=beat.at).update(at=now) == 1
