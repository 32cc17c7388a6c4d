"""Weddings and who works on them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from django.db import transaction

from backups.models import Organisation, Wedding, WeddingVendor
from backups.policy.priority import Promise, promise_at
from backups.policy.wedding_mode import REACH_DAYS, wedding_mode_window
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


def in_wedding_mode(
    weddings: Iterable[Wedding], *, clock: Clock = SYSTEM_CLOCK
) -> list[tuple[Wedding, datetime.datetime]]:
    """Return those of `weddings` that are in wedding mode now, each with its end in UTC."""
    now = clock.utcnow()
    found = []
    for wedding in weddings:
        begins, ends = wedding_mode_window(wedding.date, wedding.zone)
        if begins <= now < ends:
            found.append((wedding, ends))
    return found


def is_any_in_wedding_mode(*, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Say whether some wedding of the platform is in wedding mode now."""
    today, reach = clock.utcnow().date(), datetime.timedelta(days=REACH_DAYS)
    near = Wedding.unscoped.filter(date__range=(today - reach, today + reach))
    return bool(in_wedding_mode(near, clock=clock))
