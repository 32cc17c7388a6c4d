"""Promises of providers.services.probes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from providers.models import HealthSample, Location
from providers.services import probes
from providers.services.locations import location_open
from providers.services.probes import location_probe, probe_due
from providers.stores.base import ObjectStore
from providers.stores.errors import (
    AccessDenied,
    Archived,
    CredentialExpired,
    LocationFull,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.stores.memory import MemoryStore
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import Event

pytestmark = pytest.mark.django_db


class HangingStore(MemoryStore):
    """A dead network mount: the call never returns until released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.asked = 0

    def put(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
        self.asked += 1
        self.released.wait(30)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingStore]:
    store = HangingStore()

    def opened(location: Location) -> ObjectStore:
        return store

    monkeypatch.setattr(probes, "store_of", opened)
    monkeypatch.setattr(probes, "PROBE_SECONDS", 0.05)
    yield store
    store.released.set()


def test_a_probe_writes_reads_and_leaves_nothing_behind(folder: Location, clock: ManualClock) -> None:
    (result,) = probe_due(clock)
    assert result.error is None
    folder.refresh_from_db()
    assert folder.last_answer_at == folder.last_probe_at == clock.utcnow()
    assert folder.last_latency_ms is not None
    assert HealthSample.objects.get().ok
    assert not [*location_open(folder, purpose="look").list("wedbackup-probe/")]


def test_a_location_is_probed_each_half_minute_by_one_prober_only(folder: Location, clock: ManualClock) -> None:
    seen_by_another = Location.objects.get(pk=folder.pk)
    assert len(probe_due(clock)) == 1
    assert location_probe(seen_by_another, clock=clock) is None, "the other prober saw the row before it was claimed"
    clock.advance(29)
    assert probe_due(clock) == []
    clock.advance(1)
    assert len(probe_due(clock)) == 1


def test_whoever_asks_for_it_has_the_locations_probed_oftener_also_one_that_is_down(
    folder: Location, broken: Callable[[bool], None], clock: ManualClock
) -> None:
    probe_due(clock)
    clock.advance(14)
    assert probe_due(clock, interval=probes.CLOSE_INTERVAL) == []
    clock.advance(1)
    assert len(probe_due(clock, interval=probes.CLOSE_INTERVAL)) == 1
    broken(True)
    for _ in range(6):
        clock.advance(15)
        assert len(probe_due(clock, interval=probes.CLOSE_INTERVAL)) == 1
    folder.refresh_from_db()
    assert folder.breaker == "open"


def test_a_clock_that_was_set_back_does_not_stop_the_probes(folder: Location, clock: ManualClock) -> None:
    probe_due(clock)
    clock.jump(-3600)
    assert len(probe_due(clock)) == 1


def test_disabled_locations_are_left_in_peace(folder: Location, clock: ManualClock) -> None:
    Location.objects.update(enabled=False)
    assert probe_due(clock) == []


def test_a_location_that_dies_is_down_after_two_probes_and_back_after_one(
    folder: Location, broken: Callable[[bool], None], clock: ManualClock
) -> None:
    broken(True)
    for _ in range(4):
        assert [result.error is not None for result in probe_due(clock)] == [True]
        clock.advance(30)
    folder.refresh_from_db()
    assert folder.breaker == "open"
    assert "is the disk or share mounted?" in folder.last_error
    broken(False)
    assert [result.error for result in probe_due(clock)] == [None]
    folder.refresh_from_db()
    assert (folder.breaker, folder.last_error) == ("closed", "")
    assert [*Event.objects.values_list("tag", flat=True)] == ["location.down", "location.recovered"]


def test_after_a_first_failure_the_next_probe_comes_sooner(
    folder: Location, broken: Callable[[bool], None], clock: ManualClock
) -> None:
    broken(True)
    probe_due(clock)
    clock.advance(9)
    assert probe_due(clock) == []
    clock.advance(1)
    assert len(probe_due(clock)) == 1
    folder.refresh_from_db()
    assert folder.breaker == "open"


def test_what_failing_probes_left_behind_is_swept_when_the_location_is_back(
    folder: Location, broken: Callable[[bool], None], clock: ManualClock
) -> None:
    store = location_open(folder, purpose="look")
    store.put("wedbackup-probe/left", b"x")
    broken(True)
    for _ in range(2):
        probe_due(clock)
        clock.advance(30)
    broken(False)
    probe_due(clock)
    assert not [*store.list("wedbackup-probe/")]


def test_a_credential_that_does_not_open_shows_as_a_failing_probe(bucket: Location, clock: ManualClock) -> None:
    bucket.credentials.update(sealed="v1.gone.AAAA")
    (result,) = probe_due(clock)
    assert "has no key 'gone' any more" in str(result.error)
    bucket.refresh_from_db()
    assert bucket.last_error.endswith("enter the credential of this location again.")


def test_a_location_that_hangs_costs_one_thread_and_counts_as_failed(
    folder: Location, hanging: HangingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is the real one: the deadline is what is tested."""
    assert "did not answer" in str(probe_due()[0].error)
    assert "did not answer" in str(location_probe(Location.objects.get()).error)  # type: ignore[union-attr]
    assert hanging.asked == 1


def test_old_samples_are_trimmed(folder: Location, clock: ManualClock) -> None:
    old = clock.utcnow() - probes.KEEP_SAMPLES - timedelta(seconds=1)
    HealthSample.objects.create(location=folder, at=old, ok=True)
    probe_due(clock)
    assert [sample.at for sample in HealthSample.objects.all()] == [clock.utcnow()]


class Keeper(MemoryStore):
    """A bucket whose credential may write and read, but not delete."""

    def delete(self, name: str) -> None:
        raise AccessDenied("s3:DeleteObject is not allowed")


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Callable[[ObjectStore], None]:
    """Let the given store stand for every location."""
    return lambda store: monkeypatch.setattr(probes, "store_of", lambda location: store)


def test_each_step_is_timed_and_the_throughput_measured_every_few_minutes(folder: Location, clock: ManualClock) -> None:
    for _ in range(21):
        (result,) = probe_due(clock)
        assert set(result.trip.steps_ms) == {"write", "read", "delete"}
        clock.advance(30)
    measured = HealthSample.objects.filter(upload_bytes_per_second__isnull=False)
    assert measured.count() == 3
    assert all(sample.download_bytes_per_second for sample in measured)
    folder.refresh_from_db()
    assert folder.last_upload_bytes_per_second == probes.LARGE_BYTES / 1e-4, "the clock stood still"


def test_a_credential_that_cannot_delete_is_healthy_and_leaves_one_object_only(
    folder: Location, clock: ManualClock, probed: Callable[[ObjectStore], None]
) -> None:
    store = Keeper()
    probed(store)
    for _ in range(5):
        (result,) = probe_due(clock)
        assert result.error is None
        clock.advance(30)
    assert len([*store.list()]) == 2, "the first one, and the one that is written again and again"
    folder.refresh_from_db()
    assert folder.breaker == "closed"
    assert (folder.last_error_kind, folder.last_answer_at is not None) == ("DeleteRefused", True)
    assert "may write and read but not delete" in folder.last_error
    assert HealthSample.objects.filter(ok=True, error_kind="DeleteRefused").count() == 5


@pytest.mark.parametrize(
    "error", [AccessDenied, CredentialExpired, Archived, LocationFull, Throttled, StoreUnavailable]
)
def test_the_class_of_the_error_is_kept_and_logged(
    folder: Location,
    clock: ManualClock,
    probed: Callable[[ObjectStore], None],
    monkeypatch: pytest.MonkeyPatch,
    error: type[StoreError],
) -> None:
    class Failing(MemoryStore):
        def put(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
            raise error("as ordered")

    told: list[dict[str, object]] = []
    monkeypatch.setattr(probes, "integration_event", lambda name, **fields: told.append(fields))
    probed(Failing())
    probe_due(clock)
    folder.refresh_from_db()
    assert (folder.last_error_kind, HealthSample.objects.get().error_kind) == (error.__name__, error.__name__)
    assert [fields["error"] for fields in told] == [error.__name__]
