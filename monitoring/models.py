"""Alerts and how far monitoring has read the events."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class Alert(models.Model):
    """Something a person has to know. One open alert per `key`: the same trouble again only counts up.

    key:        what it is about, e.g. "location.down:<id>".
    text:       what happened, in words that everybody in the organisation may read.
    detail:     for admins and staff only: names of locations, paths, providers' answers.
    what_to_do: one sentence, imperative.
    """

    class Severity(models.TextChoices):
        CRITICAL = "critical", "Critical"
        WARNING = "warning", "Warning"
        INFO = "info", "For information"

    class State(models.TextChoices):
        OPEN = "open", "needs you"
        ACKNOWLEDGED = "acknowledged", "acknowledged"
        RESOLVED = "resolved", "resolved"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=160)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    organisation_id = models.UUIDField(null=True, blank=True, db_index=True)
    title = models.CharField(max_length=160)
    text = models.TextField(blank=True)
    detail = models.TextField(blank=True)
    what_to_do = models.TextField()
    link = models.CharField(max_length=200, blank=True)
    raised_at = models.DateTimeField(db_index=True)
    last_seen_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledgement_ends_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-raised_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["key"], condition=~Q(state="resolved"), name="one_live_alert_per_key"),
        ]

    def __str__(self) -> str:
        return self.title


class Cursor(models.Model):
    """How far a reader of the events has come; moved in the transaction that did the reading's work."""

    reader = models.CharField(max_length=40, primary_key=True)
    last_event_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.reader} at {self.last_event_id}"


class Webhook(models.Model):
    """An address elsewhere that is told of events, signed.

    organisation_id: hears of this organisation's events only; None hears of all.
    tags:            the event tags it wants; empty means all.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    url = models.CharField(max_length=500)
    sealed_secret = models.TextField(editable=False)
    organisation_id = models.UUIDField(null=True, blank=True)
    tags = models.JSONField(default=list, blank=True)
    private_address_allowed = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One message to one webhook; its id is the message's id in every attempt, so the receiver can tell repetitions."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        SENDING = "sending", "being sent"
        DELIVERED = "delivered", "delivered"
        GIVEN_UP = "given_up", "given up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    tag = models.CharField(max_length=60)
    body = models.TextField(help_text="JSON, as it is sent")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(help_text="the next attempt; while being sent: when the sender counts as dead")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP status of the last answer")
    last_error = models.CharField(max_length=200, blank=True)
    last_ms = models.FloatField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        verbose_name_plural = "deliveries"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["next_at"], condition=Q(state__in=["waiting", "sending"]), name="delivery_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.tag} to {self.webhook}"
