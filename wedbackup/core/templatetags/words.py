"""Numbers and moments in words, for templates and for live messages: one wording in both."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from wedbackup.core import clock

register = template.Library()

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


@register.filter
def size(count: float | None) -> str:
    """Return `count` [bytes] as people read it: 0 bytes, 812 kB, 4.2 GB (powers of 1,000, as on a memory card)."""
    if count is None:
        return "unknown size"
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    digits = 0 if unit in {"bytes", "kB"} or value >= 99.95 else 1
    return f"{value:.{digits}f} {'byte' if value == 1 and unit == 'bytes' else unit}"


@register.filter
def number(count: float | None) -> str:
    """Return `count` with thousands marked: 12,480."""
    return "0" if count is None else f"{int(count):,}"


@register.filter
def counted(count: int, words: str) -> str:
    """`3|counted:"wedding"` is "3 weddings"; `counted:"copy,copies"` names its own plural."""
    one, _, many = words.partition(",")
    return f"{int(count):,} {one if count == 1 else many or one + 's'}"


@register.filter
def duration(seconds: float | None) -> str:
    """Return a length of time [s] in its two largest units: 8 s, 2 min 5 s, 3 h 20 min, 4 days."""
    if seconds is None:
        return "unknown"
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    if whole < 48 * 3600:
        minutes = whole % 3600 // 60
        return f"{whole // 3600} h" + (f" {minutes} min" if minutes else "")
    return f"{whole // 86400} days"


def ago_words(at: datetime | None, now: datetime) -> str:
    """Return how long `at` is before `now`; "never" for None, "in 4 min" for what is still to come."""
    if at is None:
        return "never"
    seconds = (now - at).total_seconds()
    if abs(seconds) < 2:
        return "just now"
    words = _coarse(abs(seconds))
    return f"in {words}" if seconds < 0 else f"{words} ago"


def _coarse(seconds: float) -> str:
    """Return a length of time in one unit; static/js/live.js counts on in the same words."""
    for limit, unit_seconds, unit in ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit_seconds)} {unit}"
    return f"{int(seconds // 86400)} days"


@register.simple_tag
def ago(at: datetime | None) -> SafeString | str:
    """A <time> element in words; the browser keeps it up to date."""
    if at is None:
        return "never"
    words = ago_words(at, clock.SYSTEM_CLOCK.utcnow())
    exact = f"{at:%d %B %Y, %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, words)


def days_words(day: date, today: date) -> str:
    """Return how far `day` is from `today`: today, tomorrow, in 12 days, 3 days ago."""
    days = (day - today).days
    if days == 0:
        return "today"
    if days in {1, -1}:
        return "tomorrow" if days == 1 else "yesterday"
    return f"in {days} days" if days > 0 else f"{-days:,} days ago"


@register.filter
def from_today(day: date) -> str:
    """How far a date is from today, in words."""
    return days_words(day, clock.SYSTEM_CLOCK.utcnow().date())


@register.filter
def nearness(day: date) -> str:
    """The tone of a wedding's date: "danger" within two days, "attention" within 30, else "calm"."""
    days = (day - clock.SYSTEM_CLOCK.utcnow().date()) / timedelta(days=1)
    if -1 <= days <= 2:
        return "danger"
    return "attention" if 2 < days <= 30 else "calm"
