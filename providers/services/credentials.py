"""The secret options of a location: sealed when they come in, opened only to open the store.

Nothing here hands a secret to a page, a log or a message. A new version replaces the old one at once and the old one
is marked as retired; stores that are open keep the version they were opened with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max

from providers import registry
from providers.models import Credential, Location
from providers.stores.options import InvalidOptions, secret_names
from wedbackup.core import audit, events, sealing
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

CREDENTIAL_AGE_MAX = timedelta(days=90)


def _purpose(location: Location) -> str:
    return f"credential of location {location.pk}"


def credential_set(
    location: Location, secrets: Mapping[str, str], *, actor: str, clock: Clock = SYSTEM_CLOCK
) -> Credential:
    """Seal `secrets` as the newest credential of `location` and retire the one before.

    secrets: all secret options of the location's kind, by name.
    actor:   who entered them, for the audit trail.

    Raises InvalidOptions when a name is not a secret option of this kind or one is missing, SealingError when the key
    file cannot be used.
    """
    known = secret_names(registry.options_class(location.kind))
    if unknown := sorted(set(secrets) - known):
        raise InvalidOptions(f"{', '.join(unknown)}: no secret option of this kind of location")
    if missing := sorted(name for name in known if not secrets.get(name)):
        raise InvalidOptions(f"missing secret: {', '.join(missing)}")
    sealed = sealing.seal(json.dumps(dict(secrets)).encode(), purpose=_purpose(location))
    now = clock.utcnow()
    with transaction.atomic():
        Location.objects.select_for_update().get(pk=location.pk)  # two people at once get two versions
        newest = location.credentials.aggregate(newest=Max("version"))["newest"] or 0
        location.credentials.filter(state="current", role="writer").update(state="retired", retired_at=now)
        credential = Credential.objects.create(location=location, version=newest + 1, sealed=sealed, created_at=now)
        audit.record(
            audit.AuditTag.CREDENTIAL_SET,
            actor=actor,
            subject_type="location",
            subject_id=str(location.pk),
            detail={"location": location.name, "version": credential.version},
            clock=clock,
        )
        events.emit(
            events.Tag.CREDENTIAL_CHANGED,
            subject_type="location",
            subject_id=location.pk,
            payload={"name": location.name, "version": credential.version},
            clock=clock,
        )
    return credential


def secrets_of(location: Location) -> dict[str, Any]:
    """Return the secret options of `location`, for opening its store; an empty dict if it needs none.

    Raises SealingError when the newest credential does not open, InvalidOptions when none was entered yet.
    """
    if not secret_names(registry.options_class(location.kind)):
        return {}
    newest = location.credentials.filter(state="current", role="writer").order_by("-version").first()
    if newest is None:
        raise InvalidOptions(f"{location.name} has no credential yet")
    secrets: dict[str, Any] = json.loads(sealing.unseal(newest.sealed, purpose=_purpose(location)))
    return secrets
