"""The numbers of the overview, each with how many cases it stands on: a rate without its n says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q

from backups.models import Job
from backups.states import JOB_UNFINISHED, JobState
from providers.models import Location
from providers.reads import LocationCard, location_cards
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

PERIOD = timedelta(days=30)
RECOVERIES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Rate:
    """How many backups of the period ended how; cancelled ones count neither way.

    completed: with everything where it should be.   degraded: with gaps.   failed: without a snapshot.
    """

    completed: int
    degraded: int
    failed: int

    @property
    def ended(self) -> int:
        return self.completed + self.degraded + self.failed

    @property
    def percent(self) -> float | None:
        """Share of complete ones [%]; None as long as none has ended."""
        return 100 * self.completed / self.ended if self.ended else None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What one person's overview shows; vendors see no locations."""

    success: Rate
    running: int
    waiting: int
    recoveries: list[Job]
    locations: list[LocationCard]


def dashboard_of(user: Any, *, clock: Clock = SYSTEM_CLOCK) -> Dashboard:
    """Return the numbers of everything that `user` may see, in at most five queries."""
    now = clock.utcnow()
    # By key first: a vendor's scope joins the memberships, and a join would count a job more than once.
    mine = Job.unscoped.filter(pk__in=Job.objects.visible_to(user).order_by().values("pk")).order_by()
    ended = Q(kind=Job.Kind.BACKUP, finished_at__gte=now - PERIOD)
    counts = mine.filter(ended | Q(state__in=JOB_UNFINISHED)).aggregate(
        completed=Count("pk", filter=ended & Q(state=JobState.COMPLETED)),
        degraded=Count("pk", filter=ended & Q(state=JobState.DEGRADED)),
        failed=Count("pk", filter=ended & Q(state=JobState.FAILED)),
        running=Count("pk", filter=Q(state=JobState.RUNNING)),
        waiting=Count("pk", filter=Q(state=JobState.QUEUED)),
    )
    recoveries = mine.filter(kind=Job.Kind.RECOVERY).select_related("wedding", "organisation", "requested_by")
    return Dashboard(
        success=Rate(counts["completed"], counts["degraded"], counts["failed"]),
        running=counts["running"],
        waiting=counts["waiting"],
        recoveries=list(recoveries.order_by("-created_at")[:RECOVERIES_SHOWN]),
        locations=location_cards(Location.objects.all(), now=now) if user.sees_everything else [],
    )
