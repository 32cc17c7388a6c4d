"""The worker: what a job's end looks like, in every way that a run can end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import DataError, OperationalError
from django.utils.module_loading import import_string

from backups import pulse, worker
from backups.engine.errors import SourceMissing, TooFewCopies
from backups.engine.progress import Progress
from backups.models import Job
from backups.pulse import PULSE, Pulse, Run
from backups.services.jobs import LeaseLost, job_cancel, job_claim, job_enqueue, job_hand_back, job_move
from backups.states import JobState
from backups.worker import ATTEMPTS_MAX, BACKOFF_MAX_SECONDS, BACKOFF_SECONDS, JobContext, Outcome, run_next, stop_runs
from providers.stores.errors import BreakerOpen, StoreUnavailable, Throttled
from tests.cast import Cast
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, Event
from wedbackup.lifecycle import worker_stops

pytestmark = pytest.mark.django_db(transaction=True)

Runner = Callable[[JobContext], Outcome]
_present: list[Runner] = []


def call_runner(ctx: JobContext) -> Outcome:
    """What RUNNERS names during these tests."""
    return _present[-1](ctx)


@pytest.fixture
def run_job(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Callable[[Runner], Job]:
    """Enqueue a job, run it with the given function, and return its row."""
    monkeypatch.setitem(worker.RUNNERS, Job.Kind.CHECK, f"{__name__}.call_runner")

    def run(runner: Runner) -> Job:
        _present.append(runner)
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


def test_every_kind_of_job_has_a_runner_that_can_be_imported() -> None:
    assert set(worker.RUNNERS) == set(Job.Kind.values)
    for dotted in worker.RUNNERS.values():
        assert callable(import_string(dotted))


def test_a_fault_that_stays_fails_the_job_and_says_what_to_do(run_job: Callable[[Runner], Job]) -> None:
    job = run_job(_raise(SourceMissing("the folder /photos is not there")))
    assert (job.state, job.message) == (JobState.FAILED, "The folder /photos is not there.")
    assert job.advice == SourceMissing.advice


def test_an_unknown_fault_fails_the_job_without_showing_what_it_says(
    run_job: Callable[[Runner], Job], caplog: pytest.LogCaptureFixture
) -> None:
    job = run_job(_raise(ValueError("secret-canary")))
    assert job.state == JobState.FAILED
    assert "ValueError" in job.message
    assert "secret-canary" not in job.message + job.advice
    assert "failed unexpectedly" in caplog.text


@pytest.mark.parametrize(
    "fault",
    [TooFewCopies("1 of 3 copies"), StoreUnavailable("no answer"), BreakerOpen("left alone"), OperationalError("gone")],
)
def test_a_fault_that_passes_puts_the_job_back_for_later(run_job: Callable[[Runner], Job], fault: Exception) -> None:
    job = run_job(_raise(fault))
    assert (job.state, job.attempts) == (JobState.QUEUED, 1)
    assert job.message and job.advice
    assert "Next attempt in" in job.moves.order_by("id").reverse()[0].reason


def test_each_attempt_waits_longer_and_the_last_one_fails_the_job(
    cast: Cast, clock: ManualClock, run_job: Callable[[Runner], Job]
) -> None:
    job = run_job(_raise(TooFewCopies("1 of 3 copies")))
    waits = []
    while job.state == JobState.QUEUED:
        wait = (job.run_after - clock.utcnow()).total_seconds()
        waits.append(wait)
        assert run_next("worker", clock=clock) is None  # not before its time
        clock.advance(wait + 0.01)
        assert run_next("worker", clock=clock) == job
        job.refresh_from_db()
    longest = [min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2**n) for n in range(ATTEMPTS_MAX - 1)]
    assert len(waits) == len(longest)
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert job.state == JobState.FAILED
    assert f"Given up after {ATTEMPTS_MAX} attempts" in job.message


def test_the_next_attempt_waits_as_long_as_the_provider_asks(
    run_job: Callable[[Runner], Job], clock: ManualClock
) -> None:
    job = run_job(_raise(Throttled("slow down", retry_after=120)))
    assert job.run_after == clock.utcnow() + timedelta(seconds=120)


def test_cancelling_a_running_job_stops_it(run_job: Callable[[Runner], Job], cast: Cast) -> None:
    def runner(ctx: JobContext) -> Outcome:
        job_cancel(Job.unscoped.get(pk=ctx.job.pk), actor=cast.sam, clock=cast.clock)
        PULSE.beat()
        ctx.cancel.check()
        raise AssertionError("it went on")

    job = run_job(runner)
    assert job.state == JobState.CANCELLED
    assert AuditEntry.objects.filter(tag="job.cancelled", actor="sam").count() == 1


def test_a_run_that_lost_its_lease_is_stopped_and_its_result_dropped(
    run_job: Callable[[Runner], Job], clock: ManualClock
) -> None:
    """The worker was away too long: the sweeper gave its job back and somebody else has claimed it."""

    def runner(ctx: JobContext) -> Outcome:
        job_hand_back(Job.unscoped.get(pk=ctx.job.pk), "its worker went silent", clock=clock)
        assert job_claim(worker="other", clock=clock) == ctx.job
        clock.advance(settings.HEARTBEAT_SECONDS)
        PULSE.beat()
        assert ctx.cancel.cancelled
        with pytest.raises(LeaseLost), ctx.fenced():
            pytest.fail("nothing may be written")
        ctx.report(Progress(step="late"))
        return Outcome(JobState.COMPLETED, "Done, but too late.")

    job = run_job(runner)
    assert (job.state, job.lease_owner, job.message, job.progress) == (JobState.RUNNING, "other", "", {})


def test_a_run_that_cannot_renew_its_lease_stops_by_itself(
    run_job: Callable[[Runner], Job], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[object] = []

    def unreachable(jobs: object) -> None:
        failed.append(jobs)
        raise OperationalError("no connection")

    def runner(ctx: JobContext) -> Outcome:
        monkeypatch.setattr("backups.pulse.all_held", unreachable)
        clock.advance(settings.HEARTBEAT_SECONDS)
        PULSE.beat()
        assert not ctx.cancel.cancelled  # the lease still holds
        clock.advance(settings.LEASE_SECONDS)
        PULSE.beat()
        ctx.cancel.check()
        raise AssertionError("it went on")

    job = run_job(runner)
    assert failed
    assert job.state == JobState.RUNNING  # for the sweeper: this worker writes nothing any more


def test_an_end_that_could_not_be_written_at_first_is_written_later(
    run_job: Callable[[Runner], Job], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[str] = []

    def busy_twice(job: Job, to: str, **more: Any) -> bool:
        tries.append(to)
        if len(tries) <= 2:
            raise OperationalError("database is locked")
        return job_move(job, to, **more)

    monkeypatch.setattr(worker, "job_move", busy_twice)
    runs: list[JobContext] = []

    def runner(ctx: JobContext) -> Outcome:
        runs.append(ctx)
        return Outcome(JobState.COMPLETED, "Done.")

    assert run_job(runner).state == JobState.COMPLETED
    assert (len(tries), len(runs)) == (3, 1)
    assert "database is locked" in caplog.text


def test_a_heartbeat_renews_the_lease_and_writes_the_progress(
    run_job: Callable[[Runner], Job], clock: ManualClock
) -> None:
    def runner(ctx: JobContext) -> Outcome:
        before = ctx.job.lease_expires_at
        ctx.report(Progress(step="read", bytes_done=5))
        clock.advance(settings.HEARTBEAT_SECONDS)
        PULSE.beat()
        row = Job.unscoped.get(pk=ctx.job.pk)
        assert before is not None and row.lease_expires_at is not None
        assert row.lease_expires_at - before == timedelta(seconds=settings.HEARTBEAT_SECONDS)
        assert row.progress["bytes_done"] == 5
        return Outcome(JobState.COMPLETED, "Done.")

    assert run_job(runner).state == JobState.COMPLETED


def test_a_thousand_reports_are_ten_messages_a_second(
    run_job: Callable[[Runner], Job], clock: ManualClock, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr("backups.pulse.live.publish", lambda group, message: sent.append(group))

    def runner(ctx: JobContext) -> Outcome:
        for number in range(1000):
            clock.advance(0.001)
            ctx.report(Progress(bytes_done=number))
        assert 9 <= len(sent) <= 11
        assert set(sent) == {f"job.{ctx.job.pk}"}
        return Outcome(JobState.COMPLETED, "Done.")

    assert run_job(runner).progress["bytes_done"] == 999  # the last word reaches the row


# The end of the process


@pytest.fixture
def stopping() -> Iterator[None]:
    """`stop_runs` is for the end of a process; this one goes on."""
    yield
    worker._stopping.clear()


def test_a_stop_hands_the_running_job_back_and_claims_no_more(
    run_job: Callable[[Runner], Job], cast: Cast, clock: ManualClock, stopping: None
) -> None:
    def runner(ctx: JobContext) -> Outcome:
        stopper.append(worker_stops())
        while not ctx.cancel.cancelled:
            threading.Event().wait(0.01)
        ctx.cancel.check()
        raise AssertionError("it went on")

    stopper: list[threading.Thread] = []
    job = run_job(runner)
    stopper[0].join()
    assert (job.state, job.attempts, job.lease_owner) == (JobState.QUEUED, 0, "")
    assert job.moves.order_by("id").reverse()[0].reason == "the server is shutting down"
    assert run_next("worker", clock=clock) is None


def test_a_run_that_does_not_stop_is_handed_back_over_its_head(
    run_job: Callable[[Runner], Job], stopping: None
) -> None:
    def runner(ctx: JobContext) -> Outcome:
        assert stop_runs(seconds=0.0) == 1
        return Outcome(JobState.COMPLETED, "Done, after it was given away.")

    job = run_job(runner)
    assert (job.state, job.message) == (JobState.QUEUED, "")


def test_ctrl_c_in_a_command_hands_its_job_back(
    cast: Cast, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(run: object) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "_attempt", interrupted)
    job = job_enqueue(kind=Job.Kind.CHECK, organisation=cast.lumen, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        run_next("command", only=job, clock=clock)
    job.refresh_from_db()
    assert job.state == JobState.QUEUED
    assert PULSE.runs() == []


def test_however_many_backups_run_the_last_threads_are_kept_for_recoveries(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.WORKER_CONCURRENCY = 8  # a quarter of them, two, are kept
    monkeypatch.setitem(worker.RUNNERS, Job.Kind.CHECK, f"{__name__}.call_runner")
    monkeypatch.setitem(worker.RUNNERS, Job.Kind.RECOVERY, f"{__name__}.call_runner")
    _present.append(lambda ctx: Outcome(JobState.COMPLETED, "Done."))
    check = job_enqueue(kind=Job.Kind.CHECK, organisation=cast.lumen, clock=cast.clock)
    recovery = job_enqueue(kind=Job.Kind.RECOVERY, organisation=cast.lumen, priority=90, clock=cast.clock)
    monkeypatch.setattr(PULSE, "runs", lambda: [object()] * 6)

    assert run_next("worker", clock=cast.clock) == recovery
    assert run_next("worker", clock=cast.clock) is None

    monkeypatch.setattr(PULSE, "runs", lambda: [object()] * 5)
    assert run_next("worker", clock=cast.clock) == check


def test_a_job_whose_end_cannot_be_written_as_it_is_ends_nevertheless(
    run_job: Callable[[Runner], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL a name that is not UTF-8 left the job running for ever and its worker without a heartbeat."""
    honest, refused = worker.job_move, []

    def refusing(job: Job, state: str, **fields: Any) -> Any:
        if "bad name" in fields["message"]:
            refused.append(job.pk)
            raise DataError("Unicode low surrogate must follow a high surrogate")
        return honest(job, state, **fields)

    monkeypatch.setattr(worker, "job_move", refusing)
    job = run_job(lambda ctx: Outcome(JobState.COMPLETED, "bad name"))
    assert refused and job.state == JobState.FAILED and "DataError" in job.message


def test_progress_that_the_database_refuses_mutes_no_other_job(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job_enqueue(kind=Job.Kind.CHECK, organisation=cast.lumen, clock=cast.clock) for _ in range(2)]
    runs = [Run(job_claim(worker="w", only=job, clock=cast.clock) or job, cast.clock) for job in jobs]
    beat = Pulse(cast.clock)
    honest, refused = pulse._write_progress, []

    def refusing(progress: dict[Run, dict[str, Any]]) -> None:
        if runs[0] in progress:
            refused.append(len(progress))
            raise DataError("Unicode low surrogate must follow a high surrogate")
        honest(progress)

    monkeypatch.setattr(pulse, "_write_progress", refusing)
    monkeypatch.setattr(beat, "_ensure_thread", lambda: None)
    for run in runs:
        beat.add(run)
        run.report(Progress(step="read"))
    Job.unscoped.update(cancel_requested=True)
    beat.beat()
    jobs[1].refresh_from_db()
    assert refused == [2, 1] and jobs[1].progress["step"] == "read"
    assert all(run.cancel.cancelled for run in runs)
