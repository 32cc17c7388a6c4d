"""How full a location is: what our transfers stored is added as they go, and a listing sets it right from time to time.

Deleted objects are found by the listing only. So a location counts as fuller than it is until the next one, which comes
weekly, daily above the warning line, and whenever it is validated.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from providers.models import Location
from providers.stores.base import ObjectStore
from wedbackup.core import events
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

WARNING_SHARE = 0.8
FULL_SHARE = 0.99  # the next pack is refused somewhere above it
COUNT_EVERY = timedelta(days=7)
COUNT_EVERY_WHEN_FILLING = timedelta(days=1)


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


def usage_count(location: Location, store: ObjectStore, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """List `store`, write down what everything in it takes, and return it [bytes].

    What other programs keep below the location's prefix counts too: it takes space like ours. Raises StoreError; then
    the former count stays.
    """
    counted = sum(info.size_bytes for info in store.list())
    change_judged(location.pk, clock=clock, used_bytes=counted, used_at=clock.utcnow())
    location.used_bytes, location.used_at = counted, clock.utcnow()
    return counted


def count_due(*, clock: Clock = SYSTEM_CLOCK) -> Location | None:
    """Return the location whose listing is most overdue, and take it: nobody else lists it within the next hour."""
    now = clock.utcnow()
    filling = Q(quota_bytes__isnull=False, used_bytes__gte=F("quota_bytes") * WARNING_SHARE)
    due = Location.objects.filter(enabled=True, paused_at=None, breaker=Location.Breaker.CLOSED).filter(
        Q(used_at=None)
        | Q(used_at__lte=now - COUNT_EVERY)
        | filling & Q(used_at__lte=now - COUNT_EVERY_WHEN_FILLING)
        | Q(used_at__gt=now + COUNT_EVERY)  # the clock was set back
    )
    location = due.order_by(F("used_at").asc(nulls_first=True)).first()
    if location is None:
        return None
    # One that cannot be listed comes again after an hour, and does not keep the others from their turn.
    again_at = now - COUNT_EVERY + timedelta(hours=1)
    mine = Location.objects.filter(pk=location.pk, used_at=location.used_at).update(used_at=again_at) == 1
    return location if mine else None


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
