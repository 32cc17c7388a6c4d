"""Organisations: the businesses whose files are kept."""

from __future__ import annotations

from django.db import transaction

from backups.models import Organisation
from wedbackup.core.audit import SYSTEM, AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User


def organisation_create(
    *, name: str, vendor_type: str, actor: User | str = SYSTEM, clock: Clock = SYSTEM_CLOCK
) -> Organisation:
    """Record a business.

    name:        unique among all businesses.
    vendor_type: one of Organisation.VendorType.

    Raises django.core.exceptions.ValidationError for values that make no sense.
    """
    organisation = Organisation(name=name, vendor_type=vendor_type, created_at=clock.utcnow())
    organisation.full_clean()
    with transaction.atomic():
        organisation.save()
        record(
            AuditTag.ORGANISATION_CREATED,
            actor=actor,
            subject_type="organisation",
            subject_id=organisation.pk,
            organisation_id=organisation.pk,
            detail={"name": name},
            clock=clock,
        )
    return organisation
