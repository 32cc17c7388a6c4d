"""The overview's weddings: which are not safe, and one month of them as a calendar."""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from backups.models import Wedding
from backups.services.verdicts import Verdict
from backups.views.reads import told_to

Judged = tuple[Wedding, Verdict]
WORRIES_SHOWN = 6

WORDS = {"safe": "safe", "attention": "needs attention", "danger": "in danger", "empty": "no backup yet"}
_WORST_FIRST = ("danger", "attention", "empty", "safe")


@dataclass(frozen=True)
class Day:
    """One day of the grid; the number is shown only inside the month."""

    date: date
    in_month: bool
    is_today: bool
    weddings: list[Judged] = field(default_factory=list)

    @property
    def level(self) -> str:
        """The worst state of the day's weddings, "" when there is none."""
        levels = {verdict.level for _, verdict in self.weddings}
        return next((level for level in _WORST_FIRST if level in levels), "")

    @property
    def words(self) -> str:
        couples = "; ".join(f"{wedding.couple}: {WORDS[verdict.level]}" for wedding, verdict in self.weddings)
        return f"{self.date.day} {self.date:%B}: {couples}"


@dataclass(frozen=True)
class Month:
    """A month's grid of whole weeks, Monday first."""

    first: date
    weeks: list[list[Day]]
    count: int

    @property
    def earlier(self) -> date:
        return (self.first - timedelta(days=1)).replace(day=1)

    @property
    def later(self) -> date:
        return (self.first + timedelta(days=31)).replace(day=1)


def month_of(judged: Sequence[Judged], day: date, *, today: date) -> Month:
    """Return the month around `day` with those of the `judged` weddings that are in it."""
    days = calendar.Calendar().monthdatescalendar(day.year, day.month)
    on_day: dict[date, list[Judged]] = defaultdict(list)
    for wedding, verdict in judged:
        on_day[wedding.date].append((wedding, verdict))
    weeks = [[Day(each, each.month == day.month, each == today, on_day[each]) for each in week] for week in days]
    count = sum(len(each.weddings) for week in weeks for each in week if each.in_month)
    return Month(day.replace(day=1), weeks, count)


def worries(weddings: Sequence[Wedding], verdicts: Mapping[Any, Verdict], user: Any) -> list[Judged]:
    """Return the weddings that are not safe, the worst first and then by date, worded for `user`."""
    worried = [wedding for wedding in weddings if not verdicts[wedding.pk].is_safe]
    worried.sort(key=lambda wedding: (_WORST_FIRST.index(verdicts[wedding.pk].level), wedding.date))
    return [(wedding, told_to(user, verdicts[wedding.pk])) for wedding in worried[:WORRIES_SHOWN]]
