"""Promises of monitoring.dashboard."""

from __future__ import annotations

from typing import Any

import pytest

from backups.models import Membership
from backups.services.jobs import job_enqueue
from monitoring.dashboard import PERIOD, dashboard_of
from providers.services.locations import location_create
from providers.services.probes import location_probe
from tests.monitoring.conftest import World

pytestmark = pytest.mark.django_db


def test_the_success_rate_counts_what_ended_within_30_days(world: World) -> None:
    assert dashboard_of(world.cast.alice, clock=world.clock).success.percent is None
    world.ended(world.backup(), "failed")
    world.clock.advance(PERIOD.total_seconds() + 1)
    for state in ("completed", "completed", "degraded", "failed", "cancelled"):
        world.ended(world.backup(), state)
    success = dashboard_of(world.cast.alice, clock=world.clock).success
    assert (success.completed, success.degraded, success.failed, success.ended) == (2, 1, 1, 4)
    assert success.percent == 50


def test_everybody_sees_the_numbers_of_their_own(world: World) -> None:
    """Vera belongs to two organisations; that must not count her jobs twice."""
    Membership.unscoped.create(user=world.cast.vera, organisation=world.cast.petal)
    world.backup()
    recovery = job_enqueue(kind="recovery", organisation=world.cast.lumen, wedding=world.wedding, clock=world.clock)
    Membership.unscoped.filter(user=world.cast.carl).delete()
    for user, waiting in ((world.cast.alice, 2), (world.cast.vera, 2), (world.cast.carl, 0)):
        dashboard = dashboard_of(user, clock=world.clock)
        assert dashboard.waiting == waiting
        assert dashboard.recoveries == ([recovery] if waiting else [])


def test_only_the_platforms_people_see_locations_with_their_latencies(
    world: World, tmp_path: Any, django_assert_max_num_queries: Any
) -> None:
    attic = location_create(
        name="Attic", kind="local", options={"root": str(tmp_path / "attic")}, actor="alice", clock=world.clock
    )
    location_probe(attic, clock=world.clock)
    with django_assert_max_num_queries(5):
        cards = dashboard_of(world.cast.sam, clock=world.clock).locations
    assert {card.location.name: len(card.latencies) for card in cards} == {"Attic": 1, "Shelf": 0}
    assert dashboard_of(world.cast.vera, clock=world.clock).locations == []
