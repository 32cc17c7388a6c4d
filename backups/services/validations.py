"""Validating a location as a job: it survives restarts, can be cancelled between promises, and is followed live."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

from backups.engine.progress import Progress
from backups.models import Job
from backups.services.jobs import job_enqueue
from backups.states import JOB_UNFINISHED, JobState
from backups.worker import JobContext, Outcome
from providers.models import Location
from providers.reads import ValidationView, newest_validation
from providers.services.validations import location_validate
from providers.validation import PROMISES, State
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User

VALIDATION_RANK = 20  # a person waits for it, and it is short


def validation_request(location: Location, *, user: User, large: bool = False, clock: Clock = SYSTEM_CLOCK) -> Job:
    """Queue a validation of `location`; one that waits or runs already is returned instead.

    large: also what moves more than a few MiB, or thousands of objects.
    """
    return unfinished_validation(location) or job_enqueue(
        kind=Job.Kind.VALIDATION,
        organisation=None,
        priority=VALIDATION_RANK,
        parameters={"location_id": str(location.pk), "location": location.name, "large": large},
        requested_by=user,
        clock=clock,
    )


def unfinished_validation(location: Location) -> Job | None:
    """Return the validation of `location` that waits or runs, if there is one."""
    rows = Job.unscoped.filter(kind=Job.Kind.VALIDATION, state__in=JOB_UNFINISHED)
    return rows.filter(parameters__location_id=str(location.pk)).order_by("created_at").first()


def validation_view(location: Location) -> ValidationView:
    """Return the newest run of the promises against `location`; a queued job has not begun, a dead one has ended."""
    job, newest = unfinished_validation(location), newest_validation(location).validation
    if job is None:
        return ValidationView(newest)
    begun = newest is not None and newest.pk == job.pk and job.state == JobState.RUNNING
    return ValidationView(newest if begun else None, under_way=begun, waiting=not begun)


def run_validation(context: JobContext) -> Outcome:
    """Put one location to the test. Started again after a restart, it begins anew under the same row.

    Raises StoreError when its store cannot be opened, Cancelled between two promises.
    """
    parameters = context.job.parameters
    location = Location.objects.filter(pk=parameters["location_id"]).first()
    if location is None:
        return Outcome(JobState.COMPLETED, "The location was removed meanwhile; there is nothing to validate.")
    large = bool(parameters.get("large"))
    asked = context.job.requested_by
    findings = location_validate(
        location,
        large=large,
        actor=asked.get_username() if asked else "validation",
        run_id=context.job.pk,
        hold=context.fenced,
        clock=context.clock,
    )
    total = sum(large or not promise.large for promise in PROMISES) + 1
    states: Counter[State] = Counter()
    with contextlib.closing(findings):
        for done, finding in enumerate(findings, start=1):
            states[finding.state] += 1
            context.report(_progress(done, total, finding.promise))
            context.cancel.check()
    return _outcome(location, states)


def _progress(done: int, total: int, promise: str) -> Progress:
    return Progress(
        step="validate", files_done=done, files_total=total, bytes_done=0, total_known=True, current=promise
    )


def _outcome(location: Location, states: Counter[State]) -> Outcome:
    result: dict[str, Any] = {str(state): count for state, count in states.items()}
    kept = states[State.KEPT] + states[State.WARNED]
    if broken := states[State.BROKEN]:
        message = f"{location.name} broke {broken} of {states.total()} promises: it must not hold copies yet."
        advice = "Its page shows each one with what to do; then validate again."
        return Outcome(JobState.FAILED, message, advice, result)
    exempt = f", {states[State.EXEMPT]} do not apply" if states[State.EXEMPT] else ""
    warned = f", {states[State.WARNED]} with a warning" if states[State.WARNED] else ""
    return Outcome(JobState.COMPLETED, f"{location.name} keeps all promises ({kept} kept{warned}{exempt}).", "", result)
