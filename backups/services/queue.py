"""Which job may start now: the reading side of the queue."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from backups.models import Job
from backups.states import JobState

DEPENDENCY_MET = frozenset({JobState.COMPLETED, JobState.DEGRADED})


def claimable(now: datetime) -> QuerySet[Job]:
    """Return the jobs that may start at `now`, the most urgent first.

    A job that was to run at once (`run_after` is its creation) waits for no clock: one that jumped back must not hold
    it up. A vault on which somebody writes is left alone; the constraint on the table has the last word about that.
    """
    writer = Job.unscoped.filter(vault=OuterRef("vault"), state=JobState.RUNNING).exclude(kind=Job.Kind.RECOVERY)
    dependency = Job.unscoped.filter(pk=OuterRef("depends_on"), state__in=DEPENDENCY_MET)
    return (
        Job.unscoped.filter(Q(run_after__lte=now) | Q(run_after__lte=F("created_at")), state=JobState.QUEUED)
        .filter(Q(depends_on=None) | Exists(dependency))
        .filter(Q(kind=Job.Kind.RECOVERY) | Q(vault=None) | ~Exists(writer))
        .order_by("priority", "created_at", "pk")
    )
