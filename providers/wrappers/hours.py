"""Office hours: when other people need the line. Pure; in the office's own time zone, so daylight saving is right."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class OfficeHours:
    """On which days, Monday being 0, from when until when by the clock on the wall there.

    A window that ends before it begins goes on into the next day, and belongs to the day on which it began. Equal ends
    mean the whole day.
    """

    begins: time
    ends: time
    weekdays: Collection[int]
    zone: str

    def __contains__(self, at: datetime) -> bool:
        """Say whether `at` (aware) is in office hours."""
        local = at.astimezone(ZoneInfo(self.zone))
        now, today = local.time(), local.weekday()
        if self.begins < self.ends:
            return today in self.weekdays and self.begins <= now < self.ends
        yesterday = (local.date() - timedelta(days=1)).weekday()
        return (today in self.weekdays and now >= self.begins) or (yesterday in self.weekdays and now < self.ends)
