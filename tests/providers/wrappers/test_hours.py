"""Office hours, by the clock on the office's wall."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from providers.wrappers.hours import OfficeHours

WEEK = (0, 1, 2, 3, 4)
LONDON = OfficeHours(time(8), time(18), WEEK, "Europe/London")
NIGHT = OfficeHours(time(22), time(6), (4,), "Europe/Berlin")  # Friday night


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-06-12T06:59", False),  # summer: 07:59 in London, a Friday
        ("2026-06-12T07:00", True),
        ("2026-06-12T16:59", True),
        ("2026-06-12T17:00", False),
        ("2026-12-11T07:59", False),  # winter: the same hours are an hour later in UTC
        ("2026-12-11T08:00", True),
        ("2026-12-11T17:59", True),
        ("2026-12-11T18:00", False),
        ("2026-06-13T12:00", False),  # Saturday
        ("2026-03-27T08:00", True),  # the Friday before the clocks go forward ...
        ("2026-03-30T07:00", True),  # ... and the Monday after
    ],
)
def test_they_follow_the_wall_clock_through_the_year(moment: str, inside: bool) -> None:
    assert (at(moment) in LONDON) is inside


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-06-12T19:59", False),  # 21:59 in Berlin
        ("2026-06-12T20:00", True),
        ("2026-06-13T03:59", True),  # Saturday, 05:59: still the night of Friday
        ("2026-06-13T04:00", False),
        ("2026-06-13T20:00", False),  # Saturday night is nobody's
        ("2026-06-12T03:00", False),  # the night of Thursday
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_began(moment: str, inside: bool) -> None:
    assert (at(moment) in NIGHT) is inside


def test_the_weekday_is_the_offices_own() -> None:
    auckland = OfficeHours(time(8), time(18), WEEK, "Pacific/Auckland")
    assert at("2026-06-14T22:00") in auckland  # Sunday in UTC, Monday 10:00 there
    assert at("2026-06-12T22:00") not in auckland  # Friday in UTC, Saturday there


def test_equal_ends_mean_the_whole_day() -> None:
    always = OfficeHours(time(0), time(0), range(7), "UTC")
    assert all(at(f"2026-06-1{day}T{hour:02}:30") in always for day in range(7) for hour in range(24))


def test_without_days_there_are_none() -> None:
    assert at("2026-06-12T12:00") not in OfficeHours(time(8), time(18), (), "UTC")
