"""What a provider tells us about a location: believed only when signed, fresh and new.

Two ways to sign. Standard Webhooks headers (wedbackup.core.signing), for a small forwarding function; or, for services
that can only send a fixed header (EventBridge, Event Grid, Supabase), "Authorization: Bearer <secret>". With the second
the message itself carries no protected moment: then every event in it must have happened within the last day, and the
event ids that we keep longer than that make a repetition harmless.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from providers.models import Location, Notification
from providers.notices import Notice, notices_in
from wedbackup.core import audit, sealing
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.signing import SIGNATURE_HEADER, SignatureRefused, check_signature, new_secret

KINDS = frozenset({"s3", "gcs", "azure", "supabase"})  # whose shapes providers.notices knows
BODY_BYTES_MAX = 1024 * 1024  # the largest that any of the providers sends
OLDEST = timedelta(days=1)
EARLIEST = timedelta(minutes=5)
KEEP = timedelta(days=8)  # longer than any of the providers goes on telling


@dataclass(frozen=True, slots=True)
class Received:
    """What came of a message: events that are new, told before, too old, or about another bucket."""

    fresh: int = 0
    repeated: int = 0
    stale: int = 0
    foreign: int = 0


def notifications_open(location: Location, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> str:
    """Give `location` a new secret for its notifications and return it; it is never shown again."""
    secret = new_secret()
    sealed = sealing.seal(secret.encode(), purpose=_purpose(location))
    with transaction.atomic():
        Location.objects.filter(pk=location.pk).update(sealed_notification_secret=sealed)
        audit.record(
            audit.AuditTag.NOTIFICATIONS_OPENED,
            actor=actor,
            subject_type="location",
            subject_id=location.pk,
            detail={"location": location.name},
            clock=clock,
        )
    location.sealed_notification_secret = sealed
    return secret


def notification_check(location: Location, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
    """Raise SignatureRefused unless `body` comes from who holds the location's secret.

    headers: by lower-case name.
    """
    if not location.sealed_notification_secret:
        raise SignatureRefused("this location takes no notifications; open them on its page first")
    secret = sealing.unseal(location.sealed_notification_secret, purpose=_purpose(location)).decode()
    if SIGNATURE_HEADER in headers:
        check_signature(secret, headers, body, now=now)
        return
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), secret.encode()):
        raise SignatureRefused("sign the message, or send the header Authorization: Bearer <secret>")


def notification_receive(location: Location, body: bytes, *, clock: Clock = SYSTEM_CLOCK) -> Received:
    """Keep what `body`, which was checked, tells about `location`; each event once. Raises ShapeUnknown."""
    now = clock.utcnow()
    told = notices_in(body)
    ours = [notice for notice in told if _is_about(location, notice)]
    recent = [notice for notice in ours if -EARLIEST <= now - notice.at <= OLDEST]
    with transaction.atomic():
        before = location.notifications.count()
        Notification.objects.bulk_create([_row(location, notice, now) for notice in recent], ignore_conflicts=True)
        fresh = location.notifications.count() - before
        location.notifications.filter(received_at__lt=now - KEEP).delete()
    return Received(fresh, len(recent) - fresh, len(ours) - len(recent), len(told) - len(ours))


def _is_about(location: Location, notice: Notice) -> bool:
    place = location.options.get("bucket") or location.options.get("container")
    return notice.place == place


def _row(location: Location, notice: Notice, now: datetime) -> Notification:
    return Notification(
        location=location,
        event_id=notice.event_id,
        happened=notice.happened.value,
        object_name=notice.name,
        sent_at=notice.at,
        received_at=now,
    )


def _purpose(location: Location) -> str:
    return f"notification secret of location {location.pk}"
