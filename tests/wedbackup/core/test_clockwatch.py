"""A clock that cannot be believed is told, and ages nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command

from wedbackup.core import clockwatch
from wedbackup.core.clock import ManualClock
from wedbackup.core.clockwatch import clock_confirm, clock_doubt, clock_watch
from wedbackup.management.commands import clock_is_right

pytestmark = pytest.mark.django_db(transaction=True)
HOUR, YEAR = 3600.0, 365 * 24 * 3600.0


@pytest.mark.parametrize("jump", [-YEAR, -HOUR, HOUR, YEAR])
def test_a_jump_is_noticed_and_over_when_the_clock_is_put_right(clock: ManualClock, jump: float) -> None:
    """restic #3416: "you could wipe most snapshots by a snapshot far in the future"."""
    assert clock_watch(clock=clock) == ""
    clock.advance(2 * YEAR)  # time that passes is no jump
    assert clock_watch(clock=clock) == ""
    clock.jump(jump)
    assert "jumped" in clock_doubt(clock=clock)
    assert "jumped" in clock_watch(clock=clock)
    clock.advance(HOUR)
    assert clock_watch(clock=clock)
    clock.jump(-jump)
    assert clock_watch(clock=clock) == clock_doubt(clock=clock) == ""


def test_a_persons_word_ends_the_doubt(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no other clock to ask must not wait for ever."""
    clock_watch(clock=clock)
    clock.jump(HOUR)
    assert clock_watch(clock=clock)
    monkeypatch.setattr(clock_is_right, "clock_confirm", lambda: clock_confirm(clock=clock))
    call_command("clock_is_right")
    assert clock_watch(clock=clock) == ""


def test_a_start_with_an_earlier_clock_is_doubted_until_it_is_set(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a battery for its clock starts in the past, and learns the time a minute later."""
    clock_watch(clock=clock)
    monkeypatch.setattr(clockwatch, "_BOOT", "another start")
    started = ManualClock(clock.utcnow() - timedelta(days=400))
    assert "behind what was written before" in clock_watch(clock=started)
    started.jump(timedelta(days=400).total_seconds() + 60)
    assert clock_watch(clock=started) == ""


def test_a_start_a_year_later_asks(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock_watch(clock=clock)
    monkeypatch.setattr(clockwatch, "_BOOT", "another start")
    assert "365 days ago" in clock_watch(clock=ManualClock(clock.utcnow() + timedelta(days=365)))
    assert clock_watch(clock=ManualClock(clock.utcnow() + timedelta(days=7))) == ""


def test_a_restart_does_not_settle_a_jump(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock_watch(clock=clock)
    clock.jump(20 * 24 * HOUR)
    doubt = clock_watch(clock=clock)
    monkeypatch.setattr(clockwatch, "_BOOT", "another start")
    assert doubt and clock_watch(clock=clock) == doubt
