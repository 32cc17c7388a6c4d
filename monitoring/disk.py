"""Warns before the server's own disk is full: then not even an alert can be written any more."""

from __future__ import annotations

import shutil

from django.conf import settings

from monitoring import conditions
from monitoring.watch import family_keep
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

FREE_SHARE = 0.1
FREE_BYTES = 5 * 1000**3


def disk_watch(*, clock: Clock = SYSTEM_CLOCK) -> None:
    """Bring the alert about the disk under the installation's home up to date. Raises OSError."""
    usage = shutil.disk_usage(settings.HOME)
    is_filling = usage.free < min(FREE_BYTES, usage.total * FREE_SHARE)
    family_keep("disk.filling", [conditions.disk_filling(usage.free)] if is_filling else [], clock=clock)
