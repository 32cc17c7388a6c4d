"""The tick: its parts do not hurt each other, and two schedulers do no harm."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from django.utils.module_loading import import_string

from monitoring.folders import folders_watch
from monitoring.health import health
from monitoring.models import Alert
from monitoring.watch import conditions_watch
from providers.models import Location
from tests.cast import Cast
from wedbackup import tick, watchdog
from wedbackup.celery import app
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import Heartbeat
from wedbackup.tick import TICK_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the tick called, instead of calling it; the second part always fails."""
    called: list[str] = []
    tick._told_at.clear()

    def part(name: str) -> object:
        def call() -> None:
            called.append(name)
            if name == tick.PARTS[1]:
                raise ConnectionError("this part is broken")

        return call

    monkeypatch.setattr(tick, "import_string", part)
    return called


def test_every_part_of_the_tick_exists() -> None:
    for part in tick.PARTS:
        assert callable(import_string(part))


def test_a_broken_part_does_not_keep_the_others_from_their_turn(
    calls: list[str], clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    assert tick.run_tick(clock=clock)
    assert sorted(calls) == sorted(tick.PARTS)
    assert f"a part of the tick failed: {tick.PARTS[1]}" in caplog.text


def test_two_schedulers_tick_once(calls: list[str], clock: ManualClock) -> None:
    barrier = threading.Barrier(4)
    results = []

    def one() -> None:
        barrier.wait()
        results.append(tick.run_tick(clock=clock))
        connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, False, True]
    assert sorted(calls) == sorted(tick.PARTS)


def test_in_wedding_mode_locations_are_probed_every_15_seconds(
    cast: Cast, locations: list[Location], clock: ManualClock
) -> None:
    """It is Friday noon in London; the wedding is tomorrow."""

    def seconds_between_probes() -> int:
        assert len(tick.probe_locations(clock=clock)) == len(locations)
        for second in range(1, 61):
            clock.advance(1)
            if tick.probe_locations(clock=clock):
                return second
        raise AssertionError("no location was probed within a minute")

    assert seconds_between_probes() == 30
    clock.advance(6 * 3600)
    assert seconds_between_probes() == 15


@pytest.mark.parametrize("jump", [-86400, 86400])
def test_a_jumping_clock_does_not_stop_the_ticks(calls: list[str], clock: ManualClock, jump: float) -> None:
    assert tick.run_tick(clock=clock)
    clock.jump(jump)
    assert tick.run_tick(clock=clock)
    clock.advance(TICK_SECONDS)
    assert tick.run_tick(clock=clock)


def test_a_part_that_takes_long_is_not_started_a_second_time(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    slow, entered, may_end = tick.PARTS[-1], threading.Event(), threading.Event()
    calls: list[str] = []

    def part(name: str) -> object:
        def call() -> None:
            calls.append(name)
            if name == slow:
                entered.set()
                assert may_end.wait(10)

        return call

    monkeypatch.setattr(tick, "import_string", part)

    def first() -> None:
        tick.run_tick(clock=clock)
        connections.close_all()

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(10)
    clock.advance(TICK_SECONDS)
    assert tick.run_tick(clock=clock)
    may_end.set()
    thread.join()
    assert [calls.count(name) for name in tick.PARTS] == [2] * (len(tick.PARTS) - 1) + [1]


def test_the_watchdog_looks_only_when_nobody_ticks(
    calls: list[str], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    sent: list[object] = []
    monkeypatch.setattr(watchdog.reader, "read", lambda **more: looked.append(more))
    monkeypatch.setattr(watchdog.webhooks, "deliveries_send", lambda **more: sent.append(more))
    assert watchdog.look(clock=clock)  # it never ticked
    tick.run_tick(clock=clock)
    assert not watchdog.look(clock=clock)
    clock.advance(watchdog.QUIET_SECONDS + 1)
    assert watchdog.look(clock=clock)
    assert len(looked) == len(sent) == 2  # nobody else would send the alert that the scheduler is silent


def test_a_worker_says_that_it_is_there_and_takes_its_leave() -> None:
    from backups.pulse import Pulse

    pulse = Pulse(ManualClock())
    pulse.start("here/1/life")
    pulse.beat()
    assert Heartbeat.objects.filter(name="worker here/1/life").exists()
    pulse.leave()
    assert not Heartbeat.objects.filter(name="worker here/1/life").exists()


def test_messages_only_ring() -> None:
    """Delivered once, forgotten soon, no result kept, one at a time: the rows are the truth."""
    conf = app.conf
    assert (conf.task_acks_late, conf.task_ignore_result) == (False, True)
    assert (conf.worker_prefetch_multiplier, conf.worker_pool, conf.timezone) == (1, "threads", "UTC")
    assert conf.beat_schedule["tick"]["options"]["expires"] > 0


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_dead_scheduler_is_found_although_the_clock_jumped(
    calls: list[str], clock: ManualClock, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """celery #3685, #4920: beat stopped for the hour, and the dead man's switch said "0 s ago" all the time."""
    tick.run_tick(clock=clock)
    assert health(clock=clock)["ok"]
    clock.jump(jump)
    assert health(clock=clock)["ok"]  # one that ticked a moment ago is not called dead either
    clock.advance(61)
    assert health(clock=clock) | {"stuck": []} == {
        "ok": False,
        "database": True,
        "scheduler": False,
        "scheduler_seen_seconds_ago": 61.0,
        "stuck": [],
    }
    looked: list[object] = []
    monkeypatch.setattr(watchdog.reader, "read", lambda **more: looked.append(more))
    assert watchdog.look(clock=clock) and looked


def test_a_part_that_hangs_stops_no_other_and_is_told(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock, cast: Cast
) -> None:
    """ncpa #997, monitoring-plugins #1186: one dead mount silenced every alert and every webhook."""
    hanging, entered, may_end = "monitoring.folders.folders_watch", threading.Event(), threading.Event()
    calls: list[str] = []

    def part(name: str) -> object:
        def call() -> None:
            calls.append(name)
            if name == hanging:
                entered.set()
                may_end.wait(30)

        return call

    monkeypatch.setattr(tick, "import_string", part)
    monkeypatch.setattr(tick, "GLANCE_SECONDS", 0.2)
    assert tick.run_tick(clock=clock)
    assert entered.wait(10)
    clock.advance(tick.STUCK_SECONDS + 1)
    assert tick.run_tick(clock=clock)
    assert calls.count("monitoring.reader.read") == 2 and calls.count(hanging) == 1
    assert health(clock=clock)["stuck"] == [hanging]
    conditions_watch(clock=clock)
    assert Alert.objects.get(key=f"part.stuck:{hanging}").severity == "critical"
    may_end.set()
    for thread in threading.enumerate():
        if thread.name == hanging:
            thread.join(10)
    clock.advance(TICK_SECONDS)
    assert tick.run_tick(clock=clock)
    assert health(clock=clock)["stuck"] == []
    conditions_watch(clock=clock)
    assert Alert.objects.get(key=f"part.stuck:{hanging}").state == "resolved"


def test_the_reader_of_alerts_touches_no_disk(locations: list[Location], monkeypatch: pytest.MonkeyPatch) -> None:
    """A read on a dead mount never returns; alerts and webhooks waited for it for ever."""

    def touched(*_: object) -> object:
        raise AssertionError("a store was made")

    Location.objects.filter(pk=locations[0].pk).update(kind="carbonite")
    monkeypatch.setattr("providers.services.protected.store_of", touched)
    conditions_watch()
    with pytest.raises(AssertionError):  # what does touch it, in a part of its own
        folders_watch()


def test_a_failure_fills_no_log(clock: ManualClock, calls: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Here: 72 tracebacks in 106 s, on the disk that was full."""
    for _ in range(20):
        tick.run_tick(clock=clock)
        clock.advance(TICK_SECONDS)
    assert len([record for record in caplog.records if tick.PARTS[1] in record.message]) == 1
