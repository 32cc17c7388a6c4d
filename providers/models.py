"""Locations, their credentials and their health."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models


class Location(models.Model):
    """A bucket or folder where copies may live: one provider, one region, one account.

    options holds what is not secret (root, bucket, endpoint ...); secrets are in Credential.
    The failure domain is (account, region, medium): places that are lost together share it.
    """

    class Breaker(models.TextChoices):
        CLOSED = "closed", "answering"
        OPEN = "open", "left alone"
        HALF_OPEN = "half_open", "being tried"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=20, help_text="provider, as in providers.registry")
    options = models.JSONField(default=dict, blank=True)
    account = models.CharField(max_length=120, help_text="provider account, or the machine a folder is on")
    region = models.CharField(max_length=60, blank=True)
    medium = models.CharField(max_length=120, blank=True, help_text="for folders: the disk they are on")
    city = models.CharField(max_length=80, blank=True)
    country = models.CharField(max_length=2, blank=True)
    jurisdiction = models.CharField(max_length=20, blank=True)
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    enabled = models.BooleanField(default=True, help_text="receives copies and is read from")
    created_at = models.DateTimeField()
    validated_at = models.DateTimeField(null=True, blank=True)

    # Shared by all workers, so that one worker's bad experience spares the others theirs.
    breaker = models.CharField(max_length=10, choices=Breaker.choices, default=Breaker.CLOSED)
    breaker_failures = models.PositiveIntegerField(default=0)
    breaker_changed_at = models.DateTimeField(null=True, blank=True)
    breaker_probe_at = models.DateTimeField(null=True, blank=True)

    last_probe_at = models.DateTimeField(null=True, blank=True)
    last_answer_at = models.DateTimeField(null=True, blank=True)
    last_latency_ms = models.FloatField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def failure_domain(self) -> tuple[str, str, str]:
        """Places with an equal failure domain can be lost together."""
        return (self.account, self.region, self.medium)

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return ", ".join(part for part in (self.city or self.region or self.medium, self.country) if part)


class Credential(models.Model):
    """The secret fields of a location, sealed; shown to nobody again once entered."""

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="credentials")
    version = models.PositiveIntegerField()
    sealed = models.TextField(editable=False)
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-version"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["location", "version"], name="one_credential_per_version"),
        ]

    def __str__(self) -> str:
        return f"{self.location} credential {self.version}"


class HealthSample(models.Model):
    """One probe of a location: a small object written, read back, compared and deleted."""

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    ok = models.BooleanField()
    latency_ms = models.FloatField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at"]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["location", "-at"], name="sample_by_location")]

    def __str__(self) -> str:
        return f"{self.location} {self.at:%H:%M:%S} {'ok' if self.ok else self.error}"
