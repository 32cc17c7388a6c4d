"""The worker: what a job's end looks like, in every way that a run can end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from backups import worker
from backups.engine.errors import SourceMissing, TooFewCopies
from backups.engine.progress import Progress
from backups.models import Job
from backups.pulse import PULSE, Stop
from backups.services.jobs import job_cancel, job_claim, job_enqueue, job_hand_back
from backups.states import JobState
from backups.worker import ATTEMPTS_MAX, JobContext, Outcome, run_next, stop_runs
from providers.stores.base import AccessDenied, Throttled
from tests.cast import Cast
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

Runner = Callable[[JobContext], Outcome]
_runner: Runner


def call_runner(ctx: JobContext) -> Outcome:
    """What RUNNERS names during these tests."""
    return _runner(ctx)


@pytest.fixture
def run_job(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Callable[[Runner], Job]:
    """Enqueue a job, run it with the given function, and return its row."""
    monkeypatch.setitem(worker.RUNNERS, Job.Kind.CHECK, f"{__name__}.call_runner")

    def run(runner: Runner) -> Job:
        global _runner
        _runner = runner
        job = job_enqueue(kind=Job.Kind.CHECK, organisation=cast.lumen, wedding=cast.wedding, clock=cast.clock)
        assert run_next("worker", clock=cast.clock) == job
        job.refresh_from_db()
        return job

    return run


def _raise(exc: Exception) -> Runner:
    def runner(ctx: JobContext) -> Outcome:
        raise exc

    return runner


def test_a_job_that_is_done_says_so_in_one_sentence(run_job: Callable[[Runner], Job]) -> None:
    def runner(ctx: JobContext) -> Outcome:
        ctx.report(Progress(step="read", files_total=7, files_done=7))
        return Outcome(JobState.COMPLETED, "7 files checked.", result={"files": 7})

    job = run_job(runner)
    assert (job.state, job.message, job.result) == (JobState.COMPLETED, "7 files checked.", {"files": 7})
    assert job.progress["files_done"] == 7
    assert job.finished_at is not None
    assert job.lease_owner == ""
    assert [move.new_state for move in job.moves.all()] == ["queued", "running", "completed"]
    assert [event.payload["new"] for event in Event.objects.filter(subject_id=job.pk)] == [
        "queued",
        "running",
        "completed",
    ]
