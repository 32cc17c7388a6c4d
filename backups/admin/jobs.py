"""Jobs: to look at, to cancel, to try again. Their history cannot be edited."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from backups.models import Job, JobMove
from backups.services.jobs import JobRefused, job_cancel, job_retry
from backups.states import JobState
from wedbackup.core.adminsite import PlatformAdmin, ReadOnlyInline


class JobMoveInline(ReadOnlyInline):
    model = JobMove
    verbose_name_plural = "timeline"
    fields = readonly_fields = ("at", "old_state", "new_state", "actor", "reason")
    newest = 100


@admin.register(Job)
class JobAdmin(PlatformAdmin):
    list_display = ("__str__", "state", "progress_shown", "message", "created_at", "finished_at", "priority")
    list_filter = ("state", "kind", "organisation")
    list_select_related = ("organisation", "wedding", "vault__wedding", "vault__organisation")
    search_fields = ("wedding__couple", "organisation__name", "vault__wedding__couple", "message", "id")
    date_hierarchy = "created_at"
    inlines = (JobMoveInline,)
    actions = ("cancel", "try_again")
    fieldsets = (
        (None, {"fields": ("kind", "state", "progress_shown", "message", "advice")}),
        ("About", {"fields": ("organisation", "wedding", "vault", "depends_on", "requested_by", "id")}),
        ("When", {"fields": ("priority", "created_at", "run_after", "started_at", "finished_at", "attempts")}),
        ("Who has it", {"fields": ("lease_owner", "lease_expires_at", "fence", "cancel_requested")}),
        ("Details", {"fields": ("parameters", "progress", "progress_at", "result")}),
    )

    @admin.display(description="progress")
    def progress_shown(self, job: Job) -> str:
        """Percent of the bytes while it runs and the total is known; nothing when that would be a guess."""
        done, total = job.progress.get("bytes_done"), job.progress.get("bytes_total")
        if job.state != JobState.RUNNING or not done or not total:
            return "-"
        return f"{min(100, round(100 * done / total))} %"

    def view_on_site(self, job: Job) -> str:
        return reverse("job", args=[job.pk])

    @admin.action(description="Cancel", permissions=["act"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        for job in jobs:
            if job_cancel(job, actor=request.user):  # type: ignore[arg-type]
                messages.success(request, f"{job} is being cancelled.")
            else:
                messages.warning(request, f"{job} had ended already.")

    @admin.action(description="Try again", permissions=["act"])
    def try_again(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        for job in jobs:
            try:
                job_retry(job, actor=request.user)  # type: ignore[arg-type]
            except JobRefused as exc:
                messages.error(request, f"{job}: {exc}")
            else:
                messages.success(request, f"{job} is in the queue again.")
