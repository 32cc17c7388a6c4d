"""`is_within` and `is_due` of `wedbackup.core.clock` for rows: what to ask instead of comparing a column with now."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from wedbackup.core.clock import SLACK


def within(column: str, now: datetime, span: timedelta) -> Q:
    """Match rows whose `column` lies in the last `span` before `now`, and not ahead of it."""
    return Q(**{f"{column}__gt": now - span, f"{column}__lte": now + SLACK})


def before(column: str, now: datetime, span: timedelta) -> Q:
    """Match rows whose `column` is older than `span`, or ahead of `now` and so of unknown age; not those without."""
    return Q(**{f"{column}__lte": now - span}) | Q(**{f"{column}__gt": now + SLACK})


def due(column: str, now: datetime, pause: timedelta) -> Q:
    """Match rows whose `column`, set at most `pause` ahead, has come, or lies further ahead than it was ever set."""
    return Q(**{f"{column}__lte": now}) | Q(**{f"{column}__gt": now + pause + SLACK})
