"""Wedding mode: the hours around a wedding in which everything is watched more closely.

It follows each wedding's own date, because most weddings are not on a Saturday, and the weekend that the date is in,
because people work on the pictures there. Computed on reading from the local date and the venue's zone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

REACH_DAYS = 3  # from a wedding's local date to the UTC dates that its wedding mode can touch
_DAY_ENDS = time(6)  # a wedding day ends at six the next morning, as for the priority
_WEEKEND_BEGINS, _WEEKEND_ENDS = time(18), time(6)
_FRIDAY, _SUNDAY = 4, 6


def wedding_mode_window(wedding_day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return when the wedding mode of a wedding begins and ends, both in UTC.

    wedding_day: the local date at the venue.   zone: the venue's time zone.

    The day itself until six the next morning; for a wedding on Friday, Saturday or Sunday also that weekend, from
    Friday 18:00 to Sunday 06:00.
    """
    begins, ends = _moment(wedding_day, time(0), zone), _moment(wedding_day + timedelta(days=1), _DAY_ENDS, zone)
    if wedding_day.weekday() < _FRIDAY:
        return begins, ends
    sunday = wedding_day + timedelta(days=_SUNDAY - wedding_day.weekday())
    friday = sunday - timedelta(days=2)
    return min(begins, _moment(friday, _WEEKEND_BEGINS, zone)), max(ends, _moment(sunday, _WEEKEND_ENDS, zone))


def _moment(day: date, at: time, zone: tzinfo) -> datetime:
    """Return a local time in UTC: within one zone Python compares what clocks show, wrong where they change."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
