"""Jobs as rows: who gets them, in which order, and what a claim is worth. The same promises hold on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction

from backups import doorbell
from backups.models import Job, JobMove, Vault
from backups.pulse import PULSE, Run
from backups.services.jobs import (
    IllegalMove,
    JobRefused,
    LeaseLost,
    job_cancel,
    job_claim,
    job_enqueue,
    job_hand_back,
    job_heartbeat,
    job_hold,
    job_move,
    job_retry,
)
from backups.services.leases import LIVING_SECONDS, LeaseWatch, is_alive, leases_sweep, worker_name
from backups.states import JobState
from tests.cast import Cast
from wedbackup.celery import app
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, Event

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 8


def enqueue(cast: Cast, **more: Any) -> Job:
    usual: dict[str, Any] = {"kind": Job.Kind.CHECK, "organisation": cast.lumen, "wedding": cast.wedding}
    return job_enqueue(**(usual | {"clock": cast.clock} | more))


def at_once(call: Callable[[int], Any], workers: int = WORKERS) -> list[Any]:
    """Let `workers` threads call at the same moment; return what they got."""
    barrier = threading.Barrier(workers)

    def one(number: int) -> Any:
        try:
            barrier.wait()
            return call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, range(workers)))


def last_move(job: Job) -> JobMove:
    return job.moves.order_by("id").reverse()[0]


def moves(job: Job) -> list[str]:
    return [move.new_state for move in job.moves.all()]


# Claims


def test_of_eight_workers_only_one_starts_the_backup(cast: Cast) -> None:
    job = enqueue(cast)
    claims = at_once(lambda number: job_claim(worker=f"worker {number}", clock=cast.clock))
    assert [claim for claim in claims if claim] == [job]
    assert moves(job) == ["queued", "running"]


def test_no_job_is_claimed_twice_and_none_is_forgotten(cast: Cast) -> None:
    jobs = {enqueue(cast).pk for _ in range(60)}

    def claim_all(number: int) -> list[Any]:
        return [job.pk for job in iter(lambda: job_claim(worker=f"worker {number}", clock=cast.clock), None)]

    claimed = [pk for part in at_once(claim_all) for pk in part]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) == jobs


def test_the_most_urgent_job_comes_first_and_the_older_of_equals(cast: Cast, clock: ManualClock) -> None:
    older = enqueue(cast, priority=50)
    clock.advance(1)
    younger, urgent = enqueue(cast, priority=50), enqueue(cast, priority=10)
    claimed = [job_claim(worker="worker", clock=clock) for _ in range(3)]
    assert claimed == [urgent, older, younger]


def test_a_vault_has_one_writer_while_its_recovery_may_run_beside(cast: Cast, vault: Vault) -> None:
    backup = enqueue(cast, kind=Job.Kind.BACKUP, vault=vault, priority=10)
    check = enqueue(cast, kind=Job.Kind.CHECK, vault=vault)
    recovery = enqueue(cast, kind=Job.Kind.RECOVERY, vault=vault)
    elsewhere = enqueue(cast)
    claimed = [job_claim(worker="worker", clock=cast.clock) for _ in range(4)]
    assert set(claimed) == {backup, recovery, elsewhere, None}
    assert backup.state == JobState.QUEUED  # the row in hand is as old as the hand
    backup.refresh_from_db()
    job_move(backup, JobState.COMPLETED, reason="", actor="worker", clock=cast.clock)
    assert job_claim(worker="worker", clock=cast.clock) == check


def test_workers_that_race_for_one_vault_start_one_job_and_take_the_others(cast: Cast, vault: Vault) -> None:
    """The constraint of the table decides: the losers' claims fail and they go on to the next row."""
    on_the_vault = {enqueue(cast, kind=Job.Kind.CHECK, vault=vault, priority=1).pk for _ in range(WORKERS)}
    others = {enqueue(cast, priority=50).pk for _ in range(WORKERS - 1)}
    claims = {job.pk for job in at_once(lambda number: job_claim(worker=f"{number}", clock=cast.clock)) if job}
    assert len(claims & on_the_vault) == 1
    assert claims - on_the_vault == others


def test_the_constraint_itself_refuses_a_second_writer(
    cast: Cast, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a claimer that does not look whether the vault is taken gets the next row, not an error."""
    monkeypatch.setattr(
        "backups.services.jobs.claimable",
        lambda now: Job.unscoped.filter(state=JobState.QUEUED).order_by("priority"),
    )
    first, second = (enqueue(cast, vault=vault, priority=1) for _ in range(2))
    other = enqueue(cast, priority=50)
    claims = [job_claim(worker="worker", clock=cast.clock) for _ in range(3)]
    assert claims[0] in {first, second}
    assert claims[1:] == [other, None]


def test_a_job_waits_for_the_one_it_depends_on(cast: Cast) -> None:
    before = enqueue(cast, priority=90)
    after = enqueue(cast, priority=10, depends_on=before)
    assert job_claim(worker="worker", clock=cast.clock) == before
    assert job_claim(worker="worker", clock=cast.clock) is None
    before.refresh_from_db()
    job_move(before, JobState.COMPLETED, reason="", actor="worker", clock=cast.clock)
    assert job_claim(worker="worker", clock=cast.clock) == after


def test_when_a_job_fails_those_that_wait_for_it_are_cancelled_and_say_why(cast: Cast) -> None:
    before = enqueue(cast)
    after = enqueue(cast, depends_on=before)
    last = enqueue(cast, depends_on=after)
    running = job_claim(worker="worker", only=before, clock=cast.clock)
    assert running is not None
    job_move(running, JobState.FAILED, reason="broken", actor="worker", clock=cast.clock)
    for job in (after, last):
        job.refresh_from_db()
        assert job.state == JobState.CANCELLED
        assert "waited for" in job.message
    with pytest.raises(JobRefused, match="try that one again first"):
        job_retry(after, actor=cast.sam, clock=cast.clock)


def test_a_job_is_not_started_before_its_time(cast: Cast, clock: ManualClock) -> None:
    job = enqueue(cast, run_after=clock.utcnow() + timedelta(minutes=5))
    assert job_claim(worker="worker", clock=clock) is None
    clock.advance(301)
    assert job_claim(worker="worker", clock=clock) == job


def test_asking_twice_with_the_same_key_gives_the_same_job(cast: Cast) -> None:
    jobs = at_once(lambda number: enqueue(cast, idempotency_key="wedding day backup"))
    assert len({job.pk for job in jobs}) == 1
    assert Job.unscoped.count() == 1


# What a claim is worth


def test_a_worker_that_lost_its_lease_writes_nothing_any_more(cast: Cast, clock: ManualClock) -> None:
    enqueue(cast)
    slow = job_claim(worker="slow", clock=clock)
    assert slow is not None
    job_hand_back(Job.unscoped.get(pk=slow.pk), "its worker went silent", clock=clock)
    quick = job_claim(worker="quick", clock=clock)
    assert quick == slow
    assert quick.fence == slow.fence + 1
    assert not job_heartbeat(slow, clock=clock)
    assert not job_move(slow, JobState.COMPLETED, reason="", actor="slow", clock=clock)
    with pytest.raises(LeaseLost), job_hold(slow):
        pytest.fail("the transaction must not begin")
    quick.refresh_from_db()
    assert (quick.state, quick.lease_owner) == (JobState.RUNNING, "quick")


def test_what_is_written_under_a_claim_and_the_claim_itself_cannot_part(cast: Cast, clock: ManualClock) -> None:
    enqueue(cast)
    job = job_claim(worker="worker", clock=clock)
    assert job is not None
    with pytest.raises(ZeroDivisionError), job_hold(job):
        Event.objects.create(tag="test", at=clock.utcnow(), subject_type="x", subject_id="x")
        raise ZeroDivisionError
    assert not Event.objects.filter(tag="test").exists()


def test_the_table_of_moves_has_no_way_from_completed(cast: Cast, clock: ManualClock) -> None:
    enqueue(cast)
    job = job_claim(worker="worker", clock=clock)
    assert job is not None
    assert job_move(job, JobState.COMPLETED, reason="", actor="worker", clock=clock)
    with pytest.raises(IllegalMove):
        job_move(job, JobState.RUNNING, reason="", actor="worker", clock=clock)


def test_a_move_its_history_and_its_event_are_one(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    job = enqueue(cast)

    def broken(*args: object, **more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("backups.services.moves.emit", broken)
    with pytest.raises(ZeroDivisionError):
        job_claim(worker="worker", clock=cast.clock)
    job.refresh_from_db()
    assert (job.state, moves(job)) == (JobState.QUEUED, ["queued"])


# Leases and clocks


def silent_for(watch: LeaseWatch, clock: ManualClock, seconds: float) -> int:
    """Sweep every two seconds for so long; return how many jobs were given back."""
    return sum(_sweep_after(watch, clock, 2.0) for _ in range(int(seconds / 2)))


def _sweep_after(watch: LeaseWatch, clock: ManualClock, seconds: float) -> int:
    clock.advance(seconds)
    return leases_sweep(watch=watch, clock=clock)


def test_a_silent_workers_job_is_back_in_the_queue_within_eight_seconds(cast: Cast, clock: ManualClock) -> None:
    job, watch = enqueue(cast), LeaseWatch(clock)
    job_claim(worker="elsewhere/1/x", clock=clock)
    leases_sweep(watch=watch, clock=clock)
    assert silent_for(watch, clock, 4) == 0
    assert silent_for(watch, clock, 4) == 1
    job.refresh_from_db()
    assert job.state == JobState.QUEUED
    assert job.attempts == 0  # dying is not the job's fault
    assert last_move(job).reason == "its worker went silent"
    assert job_claim(worker="other", clock=clock) == job


@pytest.mark.parametrize("seconds", [-3600, -86400 * 365, 3600, 86400 * 365])
def test_a_jumping_clock_takes_no_job_from_a_worker_that_lives(cast: Cast, clock: ManualClock, seconds: float) -> None:
    enqueue(cast)
    watch = LeaseWatch(clock)
    job = job_claim(worker="elsewhere/1/x", clock=clock)
    assert job is not None
    leases_sweep(watch=watch, clock=clock)
    clock.jump(seconds)
    for _ in range(10):
        assert _sweep_after(watch, clock, 2.0) == 0
        assert job_heartbeat(job, clock=clock)


@pytest.mark.parametrize("seconds", [-3600, -86400 * 365, 3600])
def test_a_jumping_clock_does_not_keep_a_dead_workers_job_forever(
    cast: Cast, clock: ManualClock, seconds: float
) -> None:
    enqueue(cast)
    watch = LeaseWatch(clock)
    job = job_claim(worker="elsewhere/1/x", clock=clock)
    leases_sweep(watch=watch, clock=clock)
    clock.jump(seconds)
    assert silent_for(watch, clock, 16) == 1
    assert job_claim(worker="other", clock=clock) == job


def test_a_clock_that_jumped_back_does_not_hold_up_what_was_to_run_at_once(cast: Cast, clock: ManualClock) -> None:
    job = enqueue(cast)
    clock.jump(-86400)
    assert job_claim(worker="worker", clock=clock) == job


def test_a_clock_that_jumped_back_does_not_hold_up_the_next_attempt(cast: Cast, clock: ManualClock) -> None:
    job = enqueue(cast, run_after=clock.utcnow() + timedelta(seconds=30))
    Job.unscoped.update(attempts=1)
    clock.jump(-86400)
    leases_sweep(watch=LeaseWatch(clock), clock=clock)
    assert job_claim(worker="worker", clock=clock) == job


def test_this_process_lives_and_one_with_its_number_from_another_boot_does_not() -> None:
    here = worker_name()
    assert is_alive(here) is True
    assert is_alive(here.rpartition("/")[0] + "/another-boot") is False
    assert is_alive("another host/1/life") is None


def test_a_process_that_lives_but_is_too_busy_to_say_so_keeps_its_jobs_for_a_minute(
    cast: Cast, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(cast)
    watch = LeaseWatch(clock)
    job = job_claim(worker=worker_name(), clock=clock)
    assert job is not None
    monkeypatch.setattr(PULSE, "runs", lambda: [Run(job, clock)])
    leases_sweep(watch=watch, clock=clock)
    assert silent_for(watch, clock, LIVING_SECONDS - 2) == 0
    assert silent_for(watch, clock, 2) == 1


def test_a_job_whose_end_its_living_process_could_not_write_is_taken_back_soon(cast: Cast, clock: ManualClock) -> None:
    enqueue(cast)
    watch = LeaseWatch(clock)
    job_claim(worker=worker_name(), clock=clock)
    leases_sweep(watch=watch, clock=clock)
    assert silent_for(watch, clock, 8) == 1


def test_the_job_of_a_dead_process_of_this_machine_is_given_back_at_once(cast: Cast, clock: ManualClock) -> None:
    job = enqueue(cast)
    job_claim(worker=worker_name().rpartition("/")[0] + "/another-boot", clock=clock)
    assert leases_sweep(watch=LeaseWatch(clock), clock=clock) == 1
    job.refresh_from_db()
    assert last_move(job).reason == "its worker's process ended"


# What people do with jobs


def test_a_waiting_job_is_cancelled_at_once_a_running_one_is_asked(cast: Cast) -> None:
    waiting, running = enqueue(cast, priority=90), enqueue(cast, priority=10)
    job_claim(worker="worker", clock=cast.clock)
    assert job_cancel(waiting, actor=cast.sam, clock=cast.clock)
    assert job_cancel(running, actor=cast.sam, clock=cast.clock)
    waiting.refresh_from_db()
    running.refresh_from_db()
    assert (waiting.state, last_move(waiting).actor) == (JobState.CANCELLED, "sam")
    assert (running.state, running.cancel_requested) == (JobState.RUNNING, True)
    assert [entry.actor for entry in AuditEntry.objects.filter(tag="job.cancelled")] == ["sam", "sam"]
    assert not job_cancel(waiting, actor=cast.sam, clock=cast.clock)


def test_a_request_to_cancel_survives_the_death_of_the_worker(cast: Cast) -> None:
    job = enqueue(cast)
    job_claim(worker="worker", clock=cast.clock)
    job_cancel(job, actor=cast.sam, clock=cast.clock)
    job.refresh_from_db()
    job_hand_back(job, "its worker went silent", clock=cast.clock)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED


def test_a_failed_job_can_be_tried_again_a_completed_one_cannot(cast: Cast) -> None:
    enqueue(cast)
    job = job_claim(worker="worker", clock=cast.clock)
    assert job is not None
    job_move(job, JobState.FAILED, reason="", actor="worker", clock=cast.clock, message="It broke.")
    job_retry(job, actor=cast.sam, clock=cast.clock)
    assert (job.state, job.message, job.attempts) == (JobState.QUEUED, "", 0)
    assert job_claim(worker="worker", clock=cast.clock) == job
    job.refresh_from_db()
    job_move(job, JobState.COMPLETED, reason="", actor="worker", clock=cast.clock)
    with pytest.raises(JobRefused, match="completed"):
        job_retry(job, actor=cast.sam, clock=cast.clock)


# The doorbell


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    heard: list[str] = []
    doorbell.worker_is_here()
    monkeypatch.setattr(app, "send_task", lambda name, **options: heard.append(name))
    return heard


def test_the_bell_rings_after_the_commit_and_not_without_one(cast: Cast, rings: list[str]) -> None:
    with transaction.atomic():
        enqueue(cast)
        assert rings == []
    assert rings == [doorbell.TASK]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enqueue(cast)
        raise ZeroDivisionError
    assert rings == [doorbell.TASK]


def test_a_ring_that_was_lost_is_made_up_by_the_next_tick(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[str] = []

    def lose(name: str, **options: object) -> None:
        lost.append(name)
        raise ConnectionError("no broker")

    with monkeypatch.context() as patch:
        doorbell.worker_is_here()
        patch.setattr(app, "send_task", lose)
        enqueue(cast)
    assert lost == [doorbell.TASK]
    heard: list[str] = []
    monkeypatch.setattr(app, "send_task", lambda name, **options: heard.append(name))
    assert doorbell.ring_due(clock=cast.clock) == 1
    assert heard == [doorbell.TASK]


def test_nobody_is_woken_for_a_job_that_may_not_start(cast: Cast, vault: Vault, rings: list[str]) -> None:
    enqueue(cast, vault=vault)
    assert job_claim(worker="worker", clock=cast.clock) is not None
    enqueue(cast, vault=vault)
    rings.clear()
    assert doorbell.ring_due(clock=cast.clock) == 0
    assert rings == []
