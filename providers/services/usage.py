"""How full a location is, against its quota: what our transfers stored is added as they go.

Deleted objects are noticed only by a listing (`providers.services.counting`): until then a location counts as fuller
than it is.
"""

from __future__ import annotations

import enum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from providers.models import Location
from wedbackup.core import events
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

WARNING_SHARE = 0.8
FULL_SHARE = 0.99  # the next pack is refused somewhere above it


class Level(enum.IntEnum):
    """How near a location is to its quota."""

    ROOMY = 0
    FILLING = 1
    FULL = 2


_TAGS = {
    Level.ROOMY: events.Tag.LOCATION_ROOMY,
    Level.FILLING: events.Tag.LOCATION_FILLING,
    Level.FULL: events.Tag.LOCATION_FULL,
}


def level_of(used_bytes: int, quota_bytes: int | None) -> Level:
    """Return how near `used_bytes` is to the quota; None means that there is none."""
    if quota_bytes is None:
        return Level.ROOMY
    if used_bytes >= quota_bytes * FULL_SHARE:
        return Level.FULL
    return Level.FILLING if used_bytes >= quota_bytes * WARNING_SHARE else Level.ROOMY


def usage_add(location_id: UUID, stored_bytes: int, *, clock: Clock = SYSTEM_CLOCK) -> None:
    """Count what was stored at a location since the last time [bytes]."""
    if stored_bytes:
        change_judged(location_id, clock=clock, used_bytes=F("used_bytes") + stored_bytes)


def change_judged(location_id: UUID, *, clock: Clock, **fields: Any) -> None:
    """Write `fields` on the location's row; if that brings it to another level, write the event with it."""
    with transaction.atomic():
        before = Location.objects.select_for_update().get(pk=location_id)
        Location.objects.filter(pk=location_id).update(**fields)
        after = Location.objects.get(pk=location_id)
        level = level_of(after.used_bytes, after.quota_bytes)
        if level == level_of(before.used_bytes, before.quota_bytes):
            return
        events.emit(
            _TAGS[level],
            subject_type="location",
            subject_id=location_id,
            payload={"name": after.name, "used_bytes": after.used_bytes, "quota_bytes": after.quota_bytes},
            clock=clock,
        )
