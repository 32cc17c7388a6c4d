"""Promises of backups.policy.wedding_mode."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.policy.wedding_mode import REACH_DAYS, wedding_mode_window

LONDON = ZoneInfo("Europe/London")
FORMAT = "%a %H:%M"


@pytest.mark.parametrize(
    ("day", "begins", "ends"),
    [
        (date(2026, 6, 10), "Wed 00:00", "Thu 06:00"),
        (date(2026, 6, 12), "Fri 00:00", "Sun 06:00"),
        (date(2026, 6, 13), "Fri 18:00", "Sun 06:00"),
        (date(2026, 6, 14), "Fri 18:00", "Mon 06:00"),
    ],
)
def test_it_is_the_day_of_the_wedding_and_the_weekend_that_it_is_in(day: date, begins: str, ends: str) -> None:
    window = wedding_mode_window(day, LONDON)
    assert [moment.astimezone(LONDON).strftime(FORMAT) for moment in window] == [begins, ends]
    assert {moment.tzinfo for moment in window} == {UTC}


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 6, 13), 36), (date(2026, 3, 28), 35), (date(2026, 10, 24), 37)],
    ids=["an ordinary weekend", "the clocks go forward", "the clocks go back"],
)  # fmt: skip
def test_its_length_is_true_also_when_the_clocks_change(day: date, hours: int) -> None:
    begins, ends = wedding_mode_window(day, LONDON)
    assert ends - begins == timedelta(hours=hours)


@given(
    st.dates(date(2000, 1, 1), date(2060, 1, 1)),
    st.sampled_from(sorted(available_timezones())).map(ZoneInfo),
    st.integers(0, 30 * 60),
)
def test_every_minute_of_the_wedding_is_in_it_and_a_search_by_date_finds_it(
    day: date, zone: ZoneInfo, minutes: int
) -> None:
    begins, ends = wedding_mode_window(day, zone)
    midnight = datetime.combine(day, datetime.min.time(), tzinfo=zone).astimezone(UTC)
    six = datetime.combine(day + timedelta(days=1), datetime.min.time().replace(hour=6), tzinfo=zone).astimezone(UTC)
    assert begins <= min(midnight + timedelta(minutes=minutes), six) <= ends
    for moment in (begins, ends):
        assert abs((moment.date() - day).days) <= REACH_DAYS
