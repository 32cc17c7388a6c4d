"""The tables of legal moves, one per state machine. Services move rows by compare-and-set along them."""

from __future__ import annotations

from django.db import models


class JobState(models.TextChoices):
    QUEUED = "queued", "waiting"
    RUNNING = "running", "running"
    COMPLETED = "completed", "completed"
    DEGRADED = "degraded", "completed with gaps"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


JOB_MOVES: dict[str, frozenset[str]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    # Back to QUEUED: its worker died or shut down and handed it back, or it waits for a location to return.
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.COMPLETED, JobState.DEGRADED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.COMPLETED: frozenset(),
    JobState.DEGRADED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),  # a person asked to try again
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}
JOB_ENDED = frozenset({JobState.COMPLETED, JobState.DEGRADED, JobState.FAILED, JobState.CANCELLED})
JOB_UNFINISHED = frozenset({JobState.QUEUED, JobState.RUNNING})


class CopyState(models.TextChoices):
    """What one location holds of a vault."""

    EMPTY = "empty", "nothing yet"
    CURRENT = "current", "complete"
    BEHIND = "behind", "missing newer snapshots"
    UNREACHABLE = "unreachable", "not answering"
    DAMAGED = "damaged", "damaged, to be repaired"
