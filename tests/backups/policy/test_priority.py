"""Urgency follows the wedding's date, in the venue's own time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from backups.policy.priority import PROMISES, Priority, is_fresh, pause_seconds, priority_at, promise_at

LONDON = ZoneInfo("Europe/London")
DAY = date(2026, 6, 13)


def noon(days: int) -> datetime:
    return datetime(2026, 6, 13, 12, tzinfo=UTC) + timedelta(days=days)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0, Priority.WEDDING_DAY),
        (-1, Priority.CRITICAL),
        (-7, Priority.CRITICAL),
        (7, Priority.CRITICAL),  # the pictures exist nowhere else yet
        (-8, Priority.HIGH),
        (-30, Priority.HIGH),
        (-31, Priority.NORMAL),
        (90, Priority.NORMAL),
        (91, Priority.ARCHIVE),
        (-400, Priority.ARCHIVE),
    ],
)
def test_days_to_the_wedding_make_the_priority(days: int, expected: Priority) -> None:
    assert priority_at(DAY, LONDON, noon(days)) is expected


def test_the_wedding_day_begins_and_ends_in_the_venues_time() -> None:
    auckland = ZoneInfo("Pacific/Auckland")
    assert priority_at(DAY, auckland, datetime(2026, 6, 12, 12, 30, tzinfo=UTC)) is Priority.WEDDING_DAY
    assert priority_at(DAY, LONDON, datetime(2026, 6, 12, 12, 30, tzinfo=UTC)) is Priority.CRITICAL


def test_the_wedding_day_lasts_until_six_the_next_morning() -> None:
    assert priority_at(DAY, LONDON, datetime(2026, 6, 14, 5, 59, tzinfo=LONDON)) is Priority.WEDDING_DAY
    assert priority_at(DAY, LONDON, datetime(2026, 6, 14, 6, 1, tzinfo=LONDON)) is Priority.CRITICAL


def test_every_rhythm_leaves_time_to_keep_its_rpo() -> None:
    for promise in PROMISES.values():
        assert promise.interval_seconds < promise.rpo_seconds


def test_a_policy_may_only_shorten_the_pause() -> None:
    critical = PROMISES[Priority.CRITICAL]
    assert pause_seconds(critical, 24 * 60) == 600
    assert pause_seconds(critical, 2) == 120


def test_a_snapshot_older_than_the_rpo_is_not_fresh() -> None:
    promise = promise_at(DAY, LONDON, noon(-3))
    assert is_fresh(noon(-3) - timedelta(minutes=15), promise, 1440, noon(-3))
    assert not is_fresh(noon(-3) - timedelta(minutes=15, seconds=1), promise, 1440, noon(-3))


def test_what_belongs_to_no_wedding_may_follow_a_slow_policy() -> None:
    promise = promise_at(None, UTC, noon(0))
    weekly = 7 * 24 * 60
    assert is_fresh(noon(-13), promise, weekly, noon(0))
    assert not is_fresh(noon(-15), promise, weekly, noon(0))


def test_a_snapshot_dated_ahead_is_not_fresh_for_a_year() -> None:
    """restic #21956, here as well: a negative age passed for a young one."""
    promise = promise_at(DAY, LONDON, noon(-3))
    assert is_fresh(noon(-3) + timedelta(minutes=1), promise, 1440, noon(-3))  # another machine's clock
    assert not is_fresh(noon(-3) + timedelta(days=365), promise, 1440, noon(-3))
