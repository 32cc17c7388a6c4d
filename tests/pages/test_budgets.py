"""Lists ask the database as often for fifty weddings as for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backups.models import Job
from backups.services.jobs import job_enqueue
from backups.services.vaults import vault_create
from backups.services.weddings import wedding_create
from monitoring.services.alerts import alert_raise
from providers.models import Location
from tests.cast import Cast, next_saturday
from tests.pages.conftest import House, acknowledged_snapshot
from wedbackup.core.clock import ManualClock

# Queries with signing in, session and everything; raise one only with a reason in the commit.
BUDGETS = {"/": 17, "/weddings/": 10, "/jobs/": 7, "/jobs/?state=unfinished": 7, "/alerts/": 6, "/locations/": 5}
WEDDING = 16


@pytest.fixture
def more(house: House, locations: list[Location], clock: ManualClock) -> Callable[[int], None]:
    """Write so many more weddings with a vault, a snapshot, a waiting job and an alert each."""

    def write(count: int) -> None:
        cast: Cast = house.cast
        for number in range(count):
            wedding = wedding_create(
                couple=f"Couple {number}",
                date=next_saturday(clock) + timedelta(days=number % 20),
                vendors=[cast.lumen],
                clock=clock,
            )
            vault = vault_create(
                organisation=cast.lumen,
                wedding=wedding,
                protection_class="media",
                policy=cast.policy,
                locations=locations,
                clock=clock,
            )
            acknowledged_snapshot(vault, clock)
            job_enqueue(kind=Job.Kind.BACKUP, organisation=cast.lumen, wedding=wedding, vault=vault, clock=clock)
            alert_raise(
                key=f"more:{number}", severity="warning", title="More", text="", what_to_do="Look.", clock=clock
            )

    return write


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.mark.django_db
def test_lists_keep_their_budget_however_many_weddings_there_are(
    house: House, alice: Client, vera: Client, more: Callable[[int], None]
) -> None:
    more(5)
    few = {path: queries(alice, path) for path in BUDGETS}
    more(25)
    many = {path: queries(alice, path) for path in BUDGETS}
    assert many == few
    assert {path: count for path, count in many.items() if count > BUDGETS[path]} == {}
    for path in BUDGETS.keys() - {"/locations/"}:
        assert queries(vera, path) <= BUDGETS[path] + 2, path


@pytest.mark.django_db
def test_a_weddings_page_keeps_its_budget(house: House, alice: Client, clock: ManualClock) -> None:
    path = f"/weddings/{house.cast.wedding.pk}/"
    few = queries(alice, path)
    for _ in range(10):
        clock.advance(60)
        acknowledged_snapshot(house.vault, clock)
    assert queries(alice, path) == few <= WEDDING
