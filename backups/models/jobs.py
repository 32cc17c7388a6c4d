"""Jobs: the durable queue. A row is the truth about a piece of work; messages only ring the bell."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from backups.models.organisations import Organisation
from backups.models.vaults import Vault
from backups.models.weddings import Wedding
from backups.querysets import JobQuerySet
from backups.states import JobState
from wedbackup.core.scoping import ScopedManager

PLATFORM_KINDS = ("validation",)
SHARED_KINDS = ("recovery",)


class Job(models.Model):
    """One piece of work. What is done for the platform itself (PLATFORM_KINDS) belongs to no organisation, and what is
    done for all businesses of a wedding at once (SHARED_KINDS) may belong to none.

    priority:    smaller is more urgent.
    fence:       grows with each claim; a worker that lost its lease cannot write any more.
    parameters:  what was asked; result: what came out; progress: the engine's last report (plain numbers).
    """

    class Kind(models.TextChoices):
        BACKUP = "backup", "Backup"
        RECOVERY = "recovery", "Recovery"
        CATCH_UP = "catch_up", "Catch-up of a copy"
        CHECK = "check", "Check of a copy"
        PRUNE = "prune", "Prune"
        DOCUMENTS = "documents", "Documents for clients"
        VALIDATION = "validation", "Validation"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="jobs", null=True, blank=True)
    wedding = models.ForeignKey(Wedding, on_delete=models.PROTECT, related_name="jobs", null=True, blank=True)
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="jobs", null=True, blank=True)
    depends_on = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="followers")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    idempotency_key = models.CharField(max_length=120, unique=True, null=True, blank=True)

    state = models.CharField(max_length=12, choices=JobState.choices, default=JobState.QUEUED)
    priority = models.SmallIntegerField(default=50)
    created_at = models.DateTimeField()
    run_after = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)

    lease_owner = models.CharField(max_length=80, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveBigIntegerField(default=0)

    parameters = models.JSONField(default=dict, blank=True)
    progress = models.JSONField(default=dict, blank=True)
    progress_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)
    message = models.CharField(max_length=500, blank=True, help_text="the outcome in one sentence")
    advice = models.CharField(max_length=500, blank=True, help_text="what a person should do now")

    objects = ScopedManager(JobQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["priority", "run_after"], condition=Q(state="queued"), name="job_queue"),
            models.Index(fields=["lease_expires_at"], condition=Q(state="running"), name="job_leases"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # The lock of a vault: whoever runs on it runs alone.
            models.UniqueConstraint(
                fields=["vault"], condition=Q(state="running") & ~Q(kind="recovery"), name="one_writer_per_vault"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=PLATFORM_KINDS, organisation=None)
                | Q(kind__in=SHARED_KINDS)
                | (~Q(kind__in=PLATFORM_KINDS) & Q(organisation__isnull=False)),
                name="only_the_platforms_jobs_are_nobodys",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.vault or self.subject}"

    @property
    def subject(self) -> str:
        """Whose work it is, in words: the wedding, the organisation, or the location."""
        return str(self.wedding or self.organisation or self.parameters.get("location", "the platform"))

    @property
    def ended(self) -> bool:
        return self.state not in {JobState.QUEUED, JobState.RUNNING}


class JobMove(models.Model):
    """One change of a job's state: timeline, outbox and source of the audit trail."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="moves")
    old_state = models.CharField(max_length=12, blank=True)
    new_state = models.CharField(max_length=12)
    reason = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=150)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]

    def __str__(self) -> str:
        return f"{self.old_state or 'new'} -> {self.new_state}"
