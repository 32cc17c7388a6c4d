"""Counting by listing what a location really holds: weekly, daily when it fills, and after each validation.

One location per call of `count_next`, in the tick. What other programs keep below the location's prefix counts too: it
takes space like ours.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import F, Q

from providers.models import Location
from providers.services.locations import store_of
from providers.services.traffic import all_paused, valve_of
from providers.services.usage import WARNING_SHARE, change_judged
from providers.stores.errors import StoreError
from providers.wrappers.watched import WatchedStore
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.logs import integration_event

COUNT_EVERY = timedelta(days=7)
COUNT_EVERY_WHEN_FILLING = timedelta(days=1)
AGAIN_AFTER = timedelta(hours=1)  # one that could not be listed


def count_next(*, clock: Clock = SYSTEM_CLOCK) -> Location | None:
    """Count the location that is most overdue; None if there is none."""
    if all_paused():
        return None
    now = clock.utcnow()
    filling = Q(quota_bytes__isnull=False, used_bytes__gte=F("quota_bytes") * WARNING_SHARE)
    due = Location.objects.filter(enabled=True, paused_at=None, breaker=Location.Breaker.CLOSED).filter(
        Q(used_at=None)
        | Q(used_at__lte=now - COUNT_EVERY)
        | filling & Q(used_at__lte=now - COUNT_EVERY_WHEN_FILLING)
        | Q(validated_at__gt=F("used_at"))
        | Q(used_at__gt=now)  # the clock was set back
    )
    location = due.order_by(F("used_at").asc(nulls_first=True)).first()
    if location is None or not _claim(location, clock):
        return None
    try:
        location_count(location, clock=clock)
    except StoreError as exc:
        error = type(exc).__name__
        integration_event("count failed", level=logging.WARNING, location=location.name, error=error, message=str(exc))
    return location


def location_count(location: Location, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """List `location`, write down what everything in it takes, and return it [bytes].

    Raises StoreError; then the former count stays.
    """
    store = WatchedStore(store_of(location))
    valve_of(location).collect_sent()  # the listing sees it
    try:
        counted = sum(info.size_bytes for info in store.list())
    finally:
        store.close()
    now = clock.utcnow()
    change_judged(location.pk, clock=clock, used_bytes=counted, used_at=now)
    location.used_bytes, location.used_at = counted, now
    return counted


def _claim(location: Location, clock: Clock) -> bool:
    """Move `used_at` so that nobody else counts it now, and that it comes again in AGAIN_AFTER if it fails.

    Not so after a validation: what has just answered and fails now is counted when its time comes.
    """
    now, seen_at = clock.utcnow(), location.used_at
    if seen_at is None or seen_at <= now - COUNT_EVERY:
        used_at = now - COUNT_EVERY + AGAIN_AFTER
    elif location.validated_at is not None and location.validated_at > seen_at:
        used_at = now
    else:
        used_at = now - COUNT_EVERY_WHEN_FILLING + AGAIN_AFTER
    return Location.objects.filter(pk=location.pk, used_at=seen_at).update(used_at=used_at) == 1
