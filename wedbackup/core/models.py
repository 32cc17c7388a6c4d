"""People, events (the outbox that monitoring reads) and the audit trail."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person who signs in."""

    class Role(models.TextChoices):
        ADMIN = "admin", "Admin"
        STAFF = "staff", "Staff"
        VENDOR = "vendor", "Vendor"

    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VENDOR)

    @property
    def sees_everything(self) -> bool:
        """Admins and staff run the platform; vendors see their own organisations only."""
        return self.role in {self.Role.ADMIN, self.Role.STAFF}

    @property
    def is_admin(self) -> bool:
        return self.role == self.Role.ADMIN

    @property
    def may_recover(self) -> bool:
        """Whether the person may start an emergency recovery."""
        return self.sees_everything

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username


class Event(models.Model):
    """Something that happened, written in the transaction in which it happened. Monitoring reads these rows in order.

    tag:             "subject.part.action" of `wedbackup.core.events`.
    organisation_id: the tenant it concerns, None for the platform itself.
    payload:         plain values for rules and templates; never a secret.
    """

    id = models.BigAutoField(primary_key=True)
    tag = models.CharField(max_length=60, db_index=True)
    at = models.DateTimeField(db_index=True)
    organisation_id = models.UUIDField(null=True, blank=True)
    subject_type = models.CharField(max_length=30)
    subject_id = models.CharField(max_length=64)
    payload = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]

    def __str__(self) -> str:
        return f"{self.tag} {self.subject_type} {self.subject_id}"


class AuditError(RuntimeError):
    """The audit trail is append-only."""


class AuditEntry(models.Model):
    """One line of the audit trail; each holds the hash of the line before it."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150, help_text="user name, or the part of the system that acted")
    tag = models.CharField(max_length=60)
    organisation_id = models.UUIDField(null=True, blank=True)
    subject_type = models.CharField(max_length=30)
    subject_id = models.CharField(max_length=64)
    detail = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]
        verbose_name_plural = "audit trail"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.tag}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise AuditError("the audit trail is append-only")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise AuditError("the audit trail is append-only")


class AuditHead(models.Model):
    """The end of the audit trail: one row, locked by whoever appends, so that lines follow each other one by one.

    entries, last_id, hash: how many lines there are, the id and the hash of the last one.
    """

    entries = models.PositiveBigIntegerField()
    last_id = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.entries} lines, last {self.last_id}"


class Heartbeat(models.Model):
    """When a part of the system was last seen alive: "scheduler", or "worker <name>"."""

    name = models.CharField(max_length=100, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return f"{self.name} {self.at:%Y-%m-%d %H:%M:%S}"


class ClockReading(models.Model):
    """The last moment at which a machine's clock was believed, and what speaks against it since.

    boot, monotonic: seconds [s] since which start of the machine.   doubt: "" while there is none.
    jumped: the doubt is of a jump while it ran, which a restart does not settle.
    """

    machine = models.CharField(max_length=100, primary_key=True)
    boot = models.CharField(max_length=40)
    at = models.DateTimeField()
    monotonic = models.FloatField()
    doubt = models.CharField(max_length=200, blank=True)
    jumped = models.BooleanField(default=False)
    doubted_since = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.machine}: {self.doubt or 'believed'}"
