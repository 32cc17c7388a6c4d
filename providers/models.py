"""Locations, their credentials and their health."""

from __future__ import annotations

import uuid
from datetime import datetime, time, timedelta
from typing import ClassVar

from django.db import models

ANSWERED_LATE = timedelta(seconds=75)  # two probes and a half without an answer
ASKED_LATE = timedelta(minutes=15)  # it is probed each half minute; then nothing is known of it any more


def _working_week() -> list[int]:
    return [0, 1, 2, 3, 4]


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

    # Traffic. None means no limit; the share applies in office hours only (see Traffic).
    requests_per_second = models.FloatField(null=True, blank=True, help_text="at most so many requests each second")
    bytes_per_second = models.FloatField(null=True, blank=True, help_text="at most so many bytes each second")
    line_bytes_per_second = models.FloatField(null=True, blank=True, help_text="what the line was measured to carry")
    office_share_percent = models.PositiveSmallIntegerField(
        default=50, help_text="of the measured line, in office hours; 100 for no limit"
    )
    quota_bytes = models.BigIntegerField(null=True, blank=True, help_text="a warning at 80 %, no more writing at 100 %")
    used_bytes = models.BigIntegerField(default=0, help_text="what our copies take, as counted last")
    used_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True)

    private_address_allowed = models.BooleanField(default=False, help_text="its address may be inside our own network")
    sealed_notification_secret = models.TextField(blank=True, editable=False)

    last_probe_at = models.DateTimeField(null=True, blank=True)
    last_answer_at = models.DateTimeField(null=True, blank=True)
    last_latency_ms = models.FloatField(null=True, blank=True)
    last_upload_bytes_per_second = models.FloatField(null=True, blank=True)
    last_download_bytes_per_second = models.FloatField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    last_error_kind = models.CharField(max_length=40, blank=True, help_text="class name in providers.stores.errors")

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def failure_domain(self) -> tuple[str, str, str]:
        """Places with an equal failure domain can be lost together."""
        return (self.account, self.region, self.medium)

    def away_since(self, now: datetime) -> tuple[str, datetime | None]:
        """Say why it cannot be reached now, and since when if that is known; "" while it answers.

        Left alone by its breaker, refusing every probe, switched off, paused, or not asked by anybody for ASKED_LATE.
        """
        if not self.enabled:
            return "it is switched off", None
        if self.is_failing:
            return "it does not answer", self.last_answer_at
        if self.paused_at is not None:
            return "it is paused", self.paused_at
        if self.last_probe_at is not None and abs(now - self.last_probe_at) > ASKED_LATE:
            return "nobody has asked it", self.last_probe_at
        return "", None

    @property
    def is_failing(self) -> bool:
        """Whether it is down: left alone by its breaker, or refusing every probe (a wrong credential)."""
        return self.breaker != self.Breaker.CLOSED or (bool(self.last_error) and self._answered_late())

    def _answered_late(self) -> bool:
        if self.last_probe_at is None or self.last_answer_at is None:
            return self.last_probe_at is not None
        return abs(self.last_probe_at - self.last_answer_at) > ANSWERED_LATE

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return ", ".join(part for part in (self.city or self.region or self.medium, self.country) if part)


class Credential(models.Model):
    """The secret fields of a location, sealed; shown to nobody again once entered.

    entered -> proved -> current -> draining -> retired, or refused when the proof failed. At most one per role is
    current; a draining one is still in the hands of running transfers and must not be deleted at the provider yet.
    """

    class Role(models.TextChoices):
        WRITER = "writer", "daily work"
        PRUNER = "pruner", "deleting"

    class State(models.TextChoices):
        ENTERED = "entered", "being proved"
        PROVED = "proved", "proved"
        CURRENT = "current", "in use"
        DRAINING = "draining", "still held by running transfers"
        RETIRED = "retired", "retired: delete it at the provider"
        REFUSED = "refused", "refused"

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="credentials")
    version = models.PositiveIntegerField()
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.WRITER)
    state = models.CharField(max_length=8, choices=State.choices, default=State.CURRENT)
    sealed = models.TextField(editable=False)
    entered_by = models.CharField(max_length=150, blank=True)
    report = models.CharField(max_length=500, blank=True, help_text="what the proof found, in words")
    created_at = models.DateTimeField()
    proved_at = models.DateTimeField(null=True, blank=True)
    switched_at = models.DateTimeField(null=True, blank=True, help_text="when its successor took over")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-version"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["location", "version"], name="one_credential_per_version"),
            models.UniqueConstraint(
                fields=["location", "role"], condition=models.Q(state="current"), name="one_current_credential"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.location} credential {self.version}"


class HealthSample(models.Model):
    """One probe of a location: a small object written, read back, compared and deleted."""

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    ok = models.BooleanField()
    latency_ms = models.FloatField(null=True, blank=True)
    upload_bytes_per_second = models.FloatField(null=True, blank=True)
    download_bytes_per_second = models.FloatField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)
    error_kind = models.CharField(max_length=40, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at"]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["location", "-at"], name="sample_by_location")]

    def __str__(self) -> str:
        return f"{self.location} {self.at:%H:%M:%S} {'ok' if self.ok else self.error}"


class Traffic(models.Model):
    """What holds for all locations together; one row.

    paused_at:    no byte goes to or from any location until it is resumed; recoveries go on.
    office hours: when only a share of the line is used (`Location.office_share_percent`), in their own time zone.
    """

    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True)
    office_from = models.TimeField(default=time(8))
    office_until = models.TimeField(default=time(18))
    office_weekdays = models.JSONField(default=_working_week, help_text="Monday is 0")
    office_zone = models.CharField(max_length=60, default="Europe/London", help_text="IANA time zone")

    class Meta:
        verbose_name_plural = "traffic"

    def __str__(self) -> str:
        return "all locations"


class Validation(models.Model):
    """One run of the conformance suite against a location, finding by finding."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="validations")
    requested_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    passed = models.BooleanField(null=True, blank=True)
    findings = models.JSONField(default=list, help_text="[{promise, state, detail, seconds}]")
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at"]

    def __str__(self) -> str:
        return f"validation of {self.location} {self.started_at:%Y-%m-%d %H:%M}"


class Notification(models.Model):
    """Something that a provider told us about an object, once."""

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="notifications")
    event_id = models.CharField(max_length=200, help_text="the provider's own id, or a hash of what it said")
    happened = models.CharField(max_length=20, help_text="created, removed, restored, other")
    object_name = models.CharField(max_length=1024, blank=True)
    received_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    judged_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-received_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["location", "event_id"], name="one_row_per_notification"),
        ]

    def __str__(self) -> str:
        return f"{self.location}: {self.happened} {self.object_name}"
