"""Promises of monitoring.dashboard."""

from __future__ import annotations

from typing import Any

import pytest

from backups.models import Job, Membership
from backups.services.jobs import job_enqueue
from monitoring.dashboard import PERIOD, Rate, dashboard_of
from tests.monitoring.conftest import World

pytestmark = pytest.mark.django_db


def recovered(world: World, state: str = "completed", **result: Any) -> Job:
    job = job_enqueue(
        kind="recovery", organisation=world.cast.lumen, wedding=world.wedding, parameters={"first_seconds": 60},
        clock=world.clock,
    )  # fmt: skip
    return world.ended(job, state, result=result)


def test_the_success_rate_counts_what_ended_within_30_days(world: World) -> None:
    assert dashboard_of(world.cast.alice, clock=world.clock).is_empty
    world.ended(world.backup(), "failed")
    world.clock.advance(PERIOD.total_seconds() + 1)
    for state in ("completed", "completed", "degraded", "failed", "cancelled"):
        world.ended(world.backup(), state)
    recovered(world, "failed")
    success = dashboard_of(world.cast.alice, clock=world.clock).success
    assert success == Rate(completed=2, degraded=1, failed=1)
    assert (success.ended, success.percent) == (4, "50.0")


def test_a_backup_that_no_rule_acknowledged_is_no_success(world: World) -> None:
    """A policy of 5 copies with 3 places read "100 %" for weeks, and the wedding was in danger."""
    world.ended(world.backup(), "completed", result={"acknowledged": False})
    world.ended(world.backup(), "completed", result={"acknowledged": True})
    success = dashboard_of(world.cast.alice, clock=world.clock).success
    assert success == Rate(completed=1, degraded=1, failed=0)


def test_one_failure_in_many_never_reads_as_100_percent() -> None:
    assert Rate(completed=99_999, degraded=0, failed=1).percent == "99.9"
    assert Rate(completed=3, degraded=0, failed=0).percent == "100"


def test_a_recovery_shows_its_time_against_the_promise(world: World) -> None:
    kept = recovered(world, files=7, equal=7, priority_seconds=8.5, seconds=30.0)
    world.clock.advance(60)
    missed = recovered(world, files=7, equal=7, priority_seconds=61.0, seconds=90.0)
    recovered(world, "cancelled")
    rows = dashboard_of(world.cast.alice, clock=world.clock).recoveries
    assert [(job, proof.is_kept, proof.promised_seconds) for job, proof in rows] == [
        (missed, False, 60),
        (kept, True, 60),
    ]


def test_everybody_sees_the_numbers_of_their_own(world: World, django_assert_num_queries: Any) -> None:
    """Vera belongs to two organisations; that must not count her jobs twice."""
    Membership.unscoped.create(user=world.cast.vera, organisation=world.cast.petal)
    world.ended(world.backup(), "completed")
    recovery = recovered(world)
    Membership.unscoped.filter(user=world.cast.carl).delete()
    for user, mine in ((world.cast.alice, [recovery]), (world.cast.vera, [recovery]), (world.cast.carl, [])):
        with django_assert_num_queries(2):
            dashboard = dashboard_of(user, clock=world.clock)
        assert [job for job, _ in dashboard.recoveries] == mine
        assert dashboard.success.ended == len(mine)
