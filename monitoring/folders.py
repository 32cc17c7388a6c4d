"""Tends the folders that another program protects, and tells when that program shows no sign of life.

A part of its own: it touches the customer's disk, where a dead mount never answers, and alerts must not wait for that.
"""

from __future__ import annotations

from datetime import timedelta

from monitoring import conditions
from monitoring.watch import family_keep
from providers.services.protected import folders_tend
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.turns import turn_claim

FOLDERS = "protected folders"
TEND_EVERY = timedelta(seconds=15)


def folders_watch(*, clock: Clock = SYSTEM_CLOCK) -> None:
    """Renew the markers of protected folders and bring the alerts about them up to date, when it is time to."""
    if not turn_claim(FOLDERS, TEND_EVERY, clock=clock):
        return
    silent = [*folders_tend()]  # all of the disk's work first
    wishes = [conditions.protected_silent(place.pk, place.name, freshness.words) for place, freshness in silent]
    family_keep("protected.silent:", wishes, clock=clock)
