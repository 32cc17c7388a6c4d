"""What an admin decides about traffic: pauses, limits, office hours, and a measurement of the line."""

from __future__ import annotations

import os
import uuid
from typing import Any

from django.db import transaction

from providers.models import Location, Traffic
from providers.services.traffic import valve_of
from providers.services.usage import change_judged
from providers.stores.base import ObjectStore
from wedbackup.core import audit, events, live
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

MEASURE_BYTES = 8 * 1024 * 1024
MEASURE_FOLDER = "wedbackup-probe"  # what a measurement leaves behind is swept with what probes leave
LIMITS = ("requests_per_second", "bytes_per_second", "office_share_percent", "quota_bytes")
HOURS = ("office_from", "office_until", "office_weekdays", "office_zone")


def location_pause(location: Location, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Begin nothing more at `location` and end transfers after their object; return whether that was a change."""
    with transaction.atomic():
        fields = {"paused_at": clock.utcnow(), "paused_by": actor}
        changed = Location.objects.filter(pk=location.pk, paused_at=None).update(**fields) == 1
        if changed:
            _tell(location, events.Tag.LOCATION_PAUSED, audit.AuditTag.LOCATION_PAUSED, actor, clock)
    return changed


def location_resume(location: Location, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Use `location` again; its copies are caught up. Return whether that was a change."""
    with transaction.atomic():
        paused = Location.objects.filter(pk=location.pk, paused_at__isnull=False)
        changed = paused.update(paused_at=None, paused_by="") == 1
        if changed:
            _tell(location, events.Tag.LOCATION_RESUMED, audit.AuditTag.LOCATION_RESUMED, actor, clock)
    return changed


def traffic_pause(*, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Stop all traffic but recoveries; return whether that was a change."""
    with transaction.atomic():
        row = _locked_row()
        if row.paused_at is not None:
            return False
        row.paused_at, row.paused_by = clock.utcnow(), actor
        row.save()
        _tell(None, events.Tag.TRAFFIC_PAUSED, audit.AuditTag.TRAFFIC_PAUSED, actor, clock)
    return True


def traffic_resume(*, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Let all traffic go on; locations that are paused by themselves stay so. Return whether that was a change."""
    with transaction.atomic():
        row = _locked_row()
        if row.paused_at is None:
            return False
        row.paused_at, row.paused_by = None, ""
        row.save()
        _tell(None, events.Tag.TRAFFIC_RESUMED, audit.AuditTag.TRAFFIC_RESUMED, actor, clock)
    return True


def location_limits_set(location: Location, limits: dict[str, Any], *, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Set the fields of LIMITS on `location`; return whether that was a change. Running transfers follow in seconds."""
    changed = {name: limits[name] for name in LIMITS if limits[name] != getattr(location, name)}
    if not changed:
        return False
    with transaction.atomic():
        change_judged(location.pk, clock=clock, **changed)
        _audit(audit.AuditTag.LOCATION_CHANGED, location, actor, changed, clock)
    for name, value in changed.items():
        setattr(location, name, value)
    return True


def office_hours_set(hours: dict[str, Any], *, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Set the fields of HOURS; return whether that was a change."""
    with transaction.atomic():
        row = _locked_row()
        changed = {name: hours[name] for name in HOURS if hours[name] != getattr(row, name)}
        if not changed:
            return False
        for name, value in changed.items():
            setattr(row, name, value)
        row.save()
        _audit(
            audit.AuditTag.TRAFFIC_CHANGED, None, actor, {name: str(value) for name, value in changed.items()}, clock
        )
    return True


def line_measure(location: Location, store: ObjectStore, *, clock: Clock = SYSTEM_CLOCK) -> float:
    """Upload 8 MiB of noise through the bare `store`, delete them, and keep how fast that was; return it [bytes/s].

    It says what one upload gets at this moment, with everything else that is under way on the line. Raises StoreError.
    """
    name = f"{MEASURE_FOLDER}/{uuid.uuid4().hex}"
    content = os.urandom(MEASURE_BYTES)
    began = clock.monotonic()
    store.put(name, content)
    speed = MEASURE_BYTES / max(clock.monotonic() - began, 0.001)
    store.delete(name)
    Location.objects.filter(pk=location.pk).update(line_bytes_per_second=speed)
    valve_of(location).forget_spans()
    location.line_bytes_per_second = speed
    return speed


def _locked_row() -> Traffic:
    """Return the one row for writing, made if nobody needed it before."""
    Traffic.objects.get_or_create(pk=1)
    return Traffic.objects.select_for_update().get(pk=1)


def _tell(location: Location | None, tag: events.Tag, audited: audit.AuditTag, actor: str, clock: Clock) -> None:
    """Write event and audit line, and tell the open pages after the commit."""
    payload = {"name": location.name if location else "all locations", "by": actor}
    subject_type, subject_id = ("location", str(location.pk)) if location else ("traffic", "all")
    events.emit(tag, subject_type=subject_type, subject_id=subject_id, payload=payload, clock=clock)
    _audit(audited, location, actor, {}, clock)
    message = {"type": "location.changed", "location": location.pk if location else None}
    transaction.on_commit(lambda: live.publish(live.PLATFORM, message))


def _audit(tag: audit.AuditTag, location: Location | None, actor: str, detail: dict[str, Any], clock: Clock) -> None:
    audit.record(
        tag,
        actor=actor,
        subject_type="location" if location else "traffic",
        subject_id=str(location.pk) if location else "all",
        detail={"location": location.name, **detail} if location else detail,
        clock=clock,
    )
