"""One month of weddings with their protection, for the overview."""

from __future__ import annotations

import calendar
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from backups.models import Wedding
from backups.services.verdicts import Verdict, wedding_verdicts

WORDS = {"safe": "safe", "attention": "needs attention", "danger": "in danger", "empty": "no backup yet"}
_WORST_FIRST = ("danger", "attention", "empty", "safe")


@dataclass(frozen=True)
class Day:
    """One day of the grid; the number is shown only inside the month."""

    date: date
    in_month: bool
    is_today: bool
    weddings: list[tuple[Wedding, Verdict]] = field(default_factory=list)

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


def month_of(user: Any, day: date, *, today: date) -> Month:
    """Return the month around `day` with the weddings that `user` may see, judged; a fixed number of queries."""
    days = calendar.Calendar().monthdatescalendar(day.year, day.month)
    weddings = list(Wedding.objects.visible_to(user).filter(date__year=day.year, date__month=day.month))
    verdicts = wedding_verdicts(weddings, user) if weddings else {}
    on_day: dict[date, list[tuple[Wedding, Verdict]]] = defaultdict(list)
    for wedding in weddings:
        on_day[wedding.date].append((wedding, verdicts[wedding.pk]))
    weeks = [[Day(each, each.month == day.month, each == today, on_day[each]) for each in week] for week in days]
    return Month(day.replace(day=1), weeks, len(weddings))
