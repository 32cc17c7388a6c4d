"""Promises of providers.services.traffic and pauses: what the rows say holds, also for transfers under way."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

import pytest
from django.db import connection, transaction

from providers.models import Location, Traffic
from providers.services import pauses, traffic
from providers.services.locations import location_open, location_report
from providers.services.pauses import (
    line_measure,
    location_limits_set,
    location_pause,
    location_resume,
    office_hours_set,
    traffic_pause,
    traffic_resume,
)
from providers.services.probes import probe_due
from providers.services.purposes import PRUNE, RECOVERY, VALIDATION
from providers.services.traffic import circumstances, rules_of, rules_refresh, valve_of
from providers.stores.errors import BreakerOpen, LocationFull, Paused, StoreUnavailable
from providers.stores.memory import MemoryStore
from providers.wrappers.valve import Flow, Rules
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, Event, Heartbeat

pytestmark = pytest.mark.django_db
NO_LIMITS = {"requests_per_second": None, "bytes_per_second": None, "office_share_percent": 50, "quota_bytes": None}


def limits(**changed: object) -> dict[str, object]:
    return NO_LIMITS | changed


def rules(location: Location, clock: ManualClock) -> Rules:
    location.refresh_from_db()
    return rules_of(location, circumstances(clock))


def test_a_changed_limit_reaches_an_open_store(folder: Location, clock: ManualClock) -> None:
    store = location_open(folder, purpose="backup", clock=clock)
    store.put("a", bytes(10_000))
    assert clock.slept == []
    location_limits_set(folder, limits(bytes_per_second=1000.0), actor="alice", clock=clock)
    rules_refresh(clock=clock)
    store.put("b", bytes(5_000))
    assert sum(clock.slept) == pytest.approx(4)
    location_limits_set(folder, limits(), actor="alice", clock=clock)
    rules_refresh(clock=clock)
    clock.slept.clear()
    store.put("c", bytes(5_000))
    assert clock.slept == []
    assert AuditEntry.objects.filter(tag="location.changed").count() == 2


def test_the_engines_processes_obey_too_and_know_no_django(folder: Location, clock: ManualClock) -> None:
    store = location_open(folder, purpose="backup")
    location_pause(folder, actor="alice", clock=clock)
    rules_refresh(clock=clock)
    program = (
        "import pickle, sys\nstore = pickle.load(sys.stdin.buffer)\n"
        "try:\n    store.put('a', b'1')\nexcept Exception as exc:\n    print(type(exc).__name__)\n"
        "assert 'django' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(store), capture_output=True, check=True)
    assert done.stdout == b"Paused\n"


def test_several_machines_share_a_limit(folder: Location, clock: ManualClock) -> None:
    folder.bytes_per_second, folder.requests_per_second = 6000, 30
    for name in ("worker studio-1/10/a", "worker studio-1/11/b", "worker studio-2/10/a"):
        Heartbeat.objects.create(name=name, at=clock.utcnow())
    Heartbeat.objects.create(name="worker gone-3/1/a", at=clock.utcnow() - traffic.LIVING * 2)
    folder.save()
    assert rules(folder, clock).bytes_per_second == 3000, "two processes of one machine share its valve"
    assert rules(folder, clock).requests_per_second == 15


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 6, 12, 12, tzinfo=UTC), 500),  # Friday noon
        (datetime(2026, 6, 12, 17, 30, tzinfo=UTC), None),  # 18:30 in London
        (datetime(2026, 12, 11, 17, 30, tzinfo=UTC), 500),  # 17:30 in London: winter
        (datetime(2026, 6, 13, 12, tzinfo=UTC), None),  # Saturday
    ],
)
def test_in_office_hours_half_of_the_measured_line_may_be_used(
    bucket: Location, moment: datetime, expected: float | None
) -> None:
    bucket.line_bytes_per_second = 1000
    around = circumstances(ManualClock(moment))
    assert rules_of(bucket, around).bytes_per_second == expected
    bucket.bytes_per_second = 300
    assert rules_of(bucket, around).bytes_per_second == 300, "the smaller limit holds"


def test_a_folder_has_no_line_and_an_unmeasured_line_no_limit(
    folder: Location, bucket: Location, clock: ManualClock
) -> None:
    folder.line_bytes_per_second = 1000
    around = circumstances(clock)
    assert rules_of(folder, around).bytes_per_second is None
    assert rules_of(bucket, around).bytes_per_second is None


def test_office_hours_are_an_admins_and_audited(bucket: Location, clock: ManualClock) -> None:
    bucket.line_bytes_per_second = 1000
    hours = {"office_from": time(0), "office_until": time(1), "office_weekdays": [6], "office_zone": "UTC"}
    assert office_hours_set(hours, actor="alice", clock=clock)
    assert not office_hours_set(hours, actor="alice", clock=clock)
    assert rules_of(bucket, circumstances(clock)).bytes_per_second is None
    assert AuditEntry.objects.get(tag="traffic.changed").detail["office_zone"] == "UTC"
    assert Traffic.objects.count() == 1


@pytest.mark.parametrize("everything", [True, False])
def test_a_pause_ends_transfers_and_lets_recoveries_go_on(
    folder: Location, clock: ManualClock, everything: bool
) -> None:
    running = location_open(folder, purpose="backup", clock=clock)
    running.put("a", b"1")
    recovery = location_open(folder, purpose=RECOVERY, clock=clock)
    assert (
        traffic_pause(actor="alice", clock=clock) if everything else location_pause(folder, actor="alice", clock=clock)
    )
    rules_refresh(clock=clock)
    with pytest.raises(Paused):
        running.put("b", b"1")
    with pytest.raises(Paused, match=r"is paused since 2026-06-12 12:00 UTC, by alice"):
        location_open(folder, purpose="backup", clock=clock)
    assert recovery.get("a") == b"1"
    assert location_open(folder, purpose=RECOVERY, clock=clock).get("a") == b"1"
    location_open(folder, purpose=VALIDATION, clock=clock).get("a")
    assert probe_due(clock) == []
    assert traffic_resume(actor="sam", clock=clock) if everything else location_resume(folder, actor="sam", clock=clock)
    rules_refresh(clock=clock)
    running.put("b", b"1")
    location_open(folder, purpose="backup", clock=clock)
    subject = "traffic" if everything else "location"
    assert [*Event.objects.values_list("tag", flat=True)][-2:] == [f"{subject}.paused", f"{subject}.resumed"]
    assert AuditEntry.objects.get(tag=f"{subject}.paused").actor == "alice"
    assert AuditEntry.objects.get(tag=f"{subject}.resumed").actor == "sam"


def test_pausing_twice_is_one_pause(folder: Location, clock: ManualClock) -> None:
    assert [location_pause(folder, actor=name, clock=clock) for name in ("alice", "sam")] == [True, False]
    assert [traffic_pause(actor=name, clock=clock) for name in ("alice", "sam")] == [True, False]
    folder.refresh_from_db()
    assert (folder.paused_by, Traffic.objects.get().paused_by) == ("alice", "alice")


def test_a_pause_is_no_trouble_of_the_location(folder: Location, clock: ManualClock) -> None:
    location_report(folder, ok=False, error=StoreUnavailable("reset"), clock=clock)
    location_report(folder, ok=False, error=Paused("paused"), clock=clock)
    folder.refresh_from_db()
    assert (folder.breaker_failures, folder.last_error.startswith("reset")) == (1, True)


def test_a_run_notices_that_the_breaker_has_opened(folder: Location, clock: ManualClock) -> None:
    running = location_open(folder, purpose="backup", clock=clock)
    for _ in range(2):
        location_report(folder, ok=False, error=StoreUnavailable("down"), clock=clock)
    rules_refresh(clock=clock)
    with pytest.raises(BreakerOpen, match="Shelf is being left alone"):
        running.put("a", b"1")
    clock.advance(12)
    probing = location_open(folder, purpose="backup", clock=clock)
    probing.put("a", b"1")
    location_report(folder, ok=True, clock=clock)
    rules_refresh(clock=clock)
    running.put("b", b"1")


def test_at_the_quota_uploads_are_refused_and_pruning_is_not(folder: Location, clock: ManualClock) -> None:
    location_limits_set(folder, limits(quota_bytes=1000), actor="alice", clock=clock)
    store = location_open(folder, purpose="backup", clock=clock)
    store.put("a", bytes(900))
    with pytest.raises(LocationFull, match="Shelf has reached its quota"):
        store.put("b", bytes(200))
    store.get("a")
    location_open(folder, purpose=PRUNE, clock=clock).put("lock", bytes(200))
    store.delete("a")
    rules_refresh(clock=clock)
    folder.refresh_from_db()
    assert folder.used_bytes == 1100
    with pytest.raises(LocationFull):
        location_open(folder, purpose="backup", clock=clock).put("c", b"1")


def test_the_line_is_learned_from_busy_times_without_a_limit(bucket: Location, clock: ManualClock) -> None:
    valve = valve_of(bucket)
    for number, seconds in enumerate((16, 8, 4)):
        valve.note_sent(16_000_000, began=number * 100.0, ended=number * 100.0 + seconds)
    valve.note_sent(1, began=900.0, ended=901.0)
    rules_refresh(clock=clock)
    bucket.refresh_from_db()
    assert bucket.line_bytes_per_second == 4_000_000
    assert rules(bucket, clock).bytes_per_second == 2_000_000


def test_measuring_the_line_uploads_8_mib_and_leaves_nothing(bucket: Location, clock: ManualClock) -> None:
    class Line(MemoryStore):
        def put(self, name: str, content: Any, **more: Any) -> Any:
            clock.advance(len(content) / 2_000_000)
            return super().put(name, content, **more)

    store = Line()
    assert line_measure(bucket, store, clock=clock) == pytest.approx(2_000_000)
    assert [*store.list()] == []
    bucket.refresh_from_db()
    assert bucket.line_bytes_per_second == pytest.approx(2_000_000)
    assert pauses.MEASURE_BYTES == 8 * 1024 * 1024


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_held_while_a_call_waits(folder: Location, clock: ManualClock) -> None:
    class Watching(ManualClock):
        open_transactions: list[bool] = []

        def sleep(self, seconds: float) -> None:
            self.open_transactions.append(connection.in_atomic_block)
            super().sleep(seconds)

    watching = Watching()
    location_limits_set(folder, limits(bytes_per_second=10.0), actor="alice", clock=clock)
    location_open(folder, purpose="backup", clock=watching).put("a", bytes(100))
    assert watching.open_transactions and not any(watching.open_transactions)
    assert transaction.get_autocommit()


def test_requests_are_counted_one_by_one(folder: Location, clock: ManualClock) -> None:
    location_limits_set(folder, limits(requests_per_second=2.0), actor="alice", clock=clock)
    store = location_open(folder, purpose="backup", clock=clock)
    for _ in range(6):
        store.delete("nothing")
    assert sum(clock.slept) == pytest.approx(2)
    assert valve_of(folder).take(Flow.REQUESTS, 1, now=clock.monotonic()) is not None


def test_a_dead_disk_for_the_cache_stops_no_transfer(
    folder: Location, settings: Any, clock: ManualClock, broken: Callable[[bool], None]
) -> None:
    store = location_open(folder, purpose="backup", clock=clock)
    valve_of(folder)._fd = 999_999  # as a file system that went away
    store.put("a", b"1")
    assert store.get("a") == b"1"
