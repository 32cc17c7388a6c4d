"""The tick: its parts do not hurt each other, and two schedulers do no harm."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from django.utils.module_loading import import_string

from providers.models import Location
from tests.cast import Cast
from wedbackup import tick, watchdog
from wedbackup.celery import TICK_SECONDS, app
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the tick called, instead of calling it; the second part always fails."""
    called: list[str] = []

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
    assert calls == list(tick.PARTS)
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
    assert calls == list(tick.PARTS)


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
    monkeypatch.setattr(watchdog.reader, "read", lambda **more: looked.append(more))
    assert watchdog.look(clock=clock)  # it never ticked
    tick.run_tick(clock=clock)
    assert not watchdog.look(clock=clock)
    clock.advance(watchdog.QUIET_SECONDS + 1)
    assert watchdog.silence_seconds(clock=clock) == watchdog.QUIET_SECONDS + 1
    assert watchdog.look(clock=clock)
    assert len(looked) == 2


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
