"""`manage.py clock_is_right`: a person's word ends the doubt about this machine's clock."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.clockwatch import clock_confirm


class Command(BaseCommand):
    """Takes the machine's present time for the right one."""

    help = "Say that the date and time of this machine are right, after comparing them with another clock."

    def handle(self, *args: Any, **options: Any) -> None:
        clock_confirm()
        self.stdout.write(f"{SYSTEM_CLOCK.utcnow():%d %B %Y, %H:%M:%S} UTC is taken for the right time.")
