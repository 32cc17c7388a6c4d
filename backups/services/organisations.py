"""Organisations: the businesses whose files are kept."""

from __future__ import annotations

from backups.models import Organisation
from wedbackup.core.clock import SYSTEM_CLOCK, Clock


def organisation_create(*, name: str, vendor_type: str, clock: Clock = SYSTEM_CLOCK) -> Organisation:
    """Record a business.

    name:        unique among all businesses.
    vendor_type: one of Organisation.VendorType.

    Raises django.core.exceptions.ValidationError for values that make no sense.
    """
    organisation = Organisation(name=name, vendor_type=vendor_type, created_at=clock.utcnow())
    organisation.full_clean()
    organisation.save()
    return organisation
