"""The numbers of the overview, each with how many cases it stands on: a rate without its n says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q

from backups.models import Job
from backups.states import JobState
from backups.views.reads import ProofView, recovery_proof
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

PERIOD = timedelta(days=30)
RECOVERIES_SHOWN = 3
_CARRIED_OUT = (JobState.COMPLETED, JobState.DEGRADED, JobState.FAILED)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many backups of the period ended how; cancelled ones count neither way.

    completed: with everything where it should be, and acknowledged.   degraded: with gaps, or not in enough places.
    failed:    without a snapshot.
    """

    completed: int
    degraded: int
    failed: int

    @property
    def ended(self) -> int:
        return self.completed + self.degraded + self.failed

    @property
    def percent(self) -> str:
        """Share of complete ones [%], rounded down: 100 is said of all and not of almost all. "" while none ended."""
        if not self.ended:
            return ""
        return "100" if self.completed == self.ended else f"{1000 * self.completed // self.ended / 10:.1f}"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What came of the work so far: the success of one period, and the newest recoveries with what they proved."""

    success: Rate
    recoveries: list[tuple[Job, ProofView]]

    @property
    def is_empty(self) -> bool:
        return not self.success.ended and not self.recoveries


def dashboard_of(user: Any, *, clock: Clock = SYSTEM_CLOCK) -> Dashboard:
    """Return the numbers of everything that `user` may see, in two queries."""
    # By key first: a vendor's scope joins the memberships, and a join would count a job more than once.
    mine = Job.unscoped.filter(pk__in=Job.objects.visible_to(user).order_by().values("pk")).order_by()
    # Counted by itself and taken off: a negated look into JSON would leave out rows that do not speak of it.
    unproved = Q(state=JobState.COMPLETED, result__acknowledged=False)
    counts = mine.filter(kind=Job.Kind.BACKUP, finished_at__gte=clock.utcnow() - PERIOD).aggregate(
        done=Count("pk", filter=Q(state=JobState.COMPLETED)),
        unproved=Count("pk", filter=unproved),
        degraded=Count("pk", filter=Q(state=JobState.DEGRADED)),
        failed=Count("pk", filter=Q(state=JobState.FAILED)),
    )
    ended = mine.filter(kind=Job.Kind.RECOVERY, state__in=_CARRIED_OUT).select_related("wedding")
    newest = ended.order_by("-finished_at")[:RECOVERIES_SHOWN]
    return Dashboard(
        success=Rate(counts["done"] - counts["unproved"], counts["degraded"] + counts["unproved"], counts["failed"]),
        recoveries=[(job, recovery_proof(job)) for job in newest],
    )
