"""The banner of the overview while a wedding is in wedding mode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from backups.models import Wedding
from backups.services.weddings import in_wedding_mode
from providers.services.probes import CLOSE_INTERVAL
from wedbackup.core.clock import SYSTEM_CLOCK, Clock


@dataclass(frozen=True, slots=True)
class WeddingMode:
    """until: the end at the venue, in its zone. weddings: those in wedding mode, the one that ends last first."""

    until: datetime
    weddings: list[Wedding]

    @property
    def place(self) -> str:
        """The city whose clock `until` is told by."""
        return self.weddings[0].time_zone.rpartition("/")[2].replace("_", " ")

    @property
    def probe_seconds(self) -> int:
        """How often the scheduler has every location probed meanwhile [s]."""
        return int(CLOSE_INTERVAL.total_seconds())


def wedding_mode_of(weddings: Iterable[Wedding], *, clock: Clock = SYSTEM_CLOCK) -> WeddingMode | None:
    """Return the wedding mode of `weddings`, None when none of them is in it."""
    found = sorted(in_wedding_mode(weddings, clock=clock), key=lambda each: each[1], reverse=True)
    if not found:
        return None
    last, ends = found[0]
    return WeddingMode(ends.astimezone(last.zone), [wedding for wedding, _ in found])
