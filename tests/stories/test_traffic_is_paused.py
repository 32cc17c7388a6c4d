"""An admin pauses a location, or everything, while backups are due: nothing fails, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from backups.models import Copy, Job
from backups.services import opening
from backups.services.backups import backup_request
from backups.states import CopyState, JobState
from backups.worker import run_next
from providers.models import Location
from providers.services.pauses import location_pause, location_resume, traffic_pause, traffic_resume
from providers.services.traffic import rules_refresh
from providers.stores.base import ObjectStore
from providers.wrappers.base import Call, Operation, Wrapper
from tests.backups.ground import Ground

pytestmark = pytest.mark.django_db(transaction=True)
T = TypeVar("T")


def copy_at(location: Location) -> Copy:
    return Copy.unscoped.get(location=location)


def test_a_paused_location_lags_and_is_caught_up_afterwards(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    resting = ground.locations[2]
    location_pause(resting, actor="alice")
    (ground.source() / "late arrival.jpg").write_bytes(b"1" * 1000)

    job = ground.back_up(vault)

    assert job.state == JobState.DEGRADED
    assert "is paused since" in job.result["missing"][resting.name]
    assert copy_at(resting).state == CopyState.UNREACHABLE
    assert not Job.unscoped.filter(kind=Job.Kind.CATCH_UP).exists(), "it would only wait"
    resting.refresh_from_db()
    assert (resting.breaker, resting.breaker_failures) == ("closed", 0)

    location_resume(resting, actor="alice")
    assert ground.back_up(vault).state == JobState.COMPLETED
    assert copy_at(resting).state == CopyState.CURRENT


class PausedInTheMiddle(Wrapper):
    """Somebody presses the button while the first pack is on its way."""

    pressed = 0

    def __init__(self, inner: ObjectStore, press: Callable[[], None]) -> None:
        super().__init__(inner)
        self._press = press

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        result = run()
        if call.operation is Operation.PUT and "/data/" in call.name and not self.pressed:
            self.pressed = 1
            self._press()
        return result


def test_a_pause_in_the_middle_of_a_run_costs_that_place_only(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    vault, resting = ground.vault(), ground.locations[1]
    opened: list[PausedInTheMiddle] = []
    real = opening.location_open

    def press() -> None:
        location_pause(resting, actor="alice")
        rules_refresh()

    def open_watched(location: Location, **more: object) -> ObjectStore:
        store = real(location, **more)  # type: ignore[arg-type]
        if location != resting:
            return store
        opened.append(PausedInTheMiddle(store, press))
        return opened[0]

    monkeypatch.setattr(opening, "location_open", open_watched)
    job = ground.back_up(vault)

    assert opened[0].pressed
    assert job.state == JobState.DEGRADED
    assert job.result["missing"] == {resting.name: f"{resting.name} is paused"}
    resting.refresh_from_db()
    assert (resting.breaker, resting.breaker_failures) == ("closed", 0), "it has neither failed nor answered"


def test_while_everything_is_paused_only_recoveries_are_begun(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    traffic_pause(actor="alice")
    (job,) = backup_request(vault=vault, reason="test")
    assert run_next("worker") is None
    job.refresh_from_db()
    assert (job.state, job.attempts) == (JobState.QUEUED, 0), "it waits, however long that takes"
    traffic_resume(actor="alice")
    assert run_next("worker") == job
    job.refresh_from_db()
    assert job.state == JobState.COMPLETED
