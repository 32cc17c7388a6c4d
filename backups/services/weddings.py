"""Weddings and who works on them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db import transaction

from backups.models import Organisation, Wedding, WeddingVendor
from backups.policy.priority import Promise, promise_at
from wedbackup.core.audit import SYSTEM, AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User


@transaction.atomic
def wedding_create(
    *,
    couple: str,
    date: datetime.date,
    vendors: Sequence[Organisation],
    venue: str = "",
    time_zone: str = "Europe/London",
    latitude: float | None = None,
    longitude: float | None = None,
    jurisdiction: str = "",
    actor: User | str = SYSTEM,
    clock: Clock = SYSTEM_CLOCK,
) -> Wedding:
    """Record a wedding and the organisations that work on it.

    date:      the local date at the venue.
    time_zone: the venue's, an IANA name.

    Raises django.core.exceptions.ValidationError for values that make no sense.
    """
    wedding = Wedding(
        couple=couple,
        date=date,
        venue=venue,
        time_zone=time_zone,
        latitude=latitude,
        longitude=longitude,
        jurisdiction=jurisdiction,
        created_at=clock.utcnow(),
    )
    wedding.full_clean()
    wedding.save()
    for organisation in vendors:
        WeddingVendor.objects.create(wedding=wedding, organisation=organisation)
    record(
        AuditTag.WEDDING_CREATED,
        actor=actor,
        subject_type="wedding",
        subject_id=wedding.pk,
        detail={"couple": couple, "date": date, "vendors": [str(organisation) for organisation in vendors]},
        clock=clock,
    )
    return wedding


def wedding_promise(wedding: Wedding | None, *, clock: Clock = SYSTEM_CLOCK) -> Promise:
    """Return how often, how fresh and how fast, now; what belongs to no wedding is archive."""
    now = clock.utcnow()
    if wedding is None:
        return promise_at(None, datetime.UTC, now)
    return promise_at(wedding.date, wedding.zone, now)
