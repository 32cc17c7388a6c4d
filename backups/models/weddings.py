"""Weddings and the vendors that work on them."""

from __future__ import annotations

import uuid
from typing import ClassVar
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db import models

from backups.models.organisations import Organisation
from backups.querysets import WeddingQuerySet
from wedbackup.core.scoping import ScopedManager


def validate_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError("%(name)s is no IANA time zone, e.g. Europe/London", params={"name": name})


class Wedding(models.Model):
    """One wedding. `date` is the local date at the venue; moments are computed from it and `time_zone` on reading."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    couple = models.CharField(max_length=120, help_text='e.g. "Okafor & Lindqvist"')
    date = models.DateField(db_index=True)
    venue = models.CharField(max_length=120, blank=True)
    time_zone = models.CharField(max_length=40, default="Europe/London", validators=[validate_zone])
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    jurisdiction = models.CharField(max_length=20, blank=True, help_text="e.g. UK, EU, US: where its data may live")
    created_at = models.DateTimeField()

    objects = ScopedManager(WeddingQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["date", "couple"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"

    def __str__(self) -> str:
        return self.couple

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class WeddingVendor(models.Model):
    """An organisation's part in a wedding."""

    wedding = models.ForeignKey(Wedding, on_delete=models.CASCADE, related_name="vendors")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="weddings")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["wedding", "organisation"], name="one_part_per_vendor"),
        ]

    def __str__(self) -> str:
        return f"{self.organisation} at {self.wedding}"
