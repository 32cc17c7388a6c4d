"""Organisations (tenants) and who belongs to them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models

from backups.querysets import MembershipQuerySet, OrganisationQuerySet
from wedbackup.core.scoping import ScopedManager


class Organisation(models.Model):
    """A business that works on weddings."""

    class VendorType(models.TextChoices):
        PHOTOGRAPHER = "photographer", "Photographer"
        VENUE = "venue", "Venue"
        FLORIST = "florist", "Florist"
        PLANNER = "planner", "Planner"
        GENERAL = "general", "Other supplier"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    vendor_type = models.CharField(max_length=20, choices=VendorType.choices, default=VendorType.GENERAL)
    created_at = models.DateTimeField()

    objects = ScopedManager(OrganisationQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's place in an organisation."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        MEMBER = "member", "Member"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)

    objects = ScopedManager(MembershipQuerySet)
    unscoped = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "organisation"], name="one_membership_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organisation}"
