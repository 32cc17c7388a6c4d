"""`manage.py check_locations`: are all locations fit for work, and if not, what is to be done?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from providers.models import Location
from providers.services.environment import environment_apply
from providers.services.inspection import location_inspect


class Command(BaseCommand):
    help = "Reads locations from the environment, then checks settings, credential, answer and age of every location."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        problems = 0
        for outcome in environment_apply():
            problems += not outcome.ok
            self._line(outcome.ok, outcome.text)
        locations = Location.objects.all()
        for location in locations:
            problems += self._check(location)
        if problems:
            raise CommandError(f"{problems} {'thing needs' if problems == 1 else 'things need'} your attention.")
        self.stdout.write(self.style.SUCCESS(f"All {len(locations)} locations are fit for work."))

    def _check(self, location: Location) -> int:
        """Print what is found about one location; return how many problems it has."""
        self.stdout.write(f"{location.name} ({location.kind}, {location.place or 'place not entered'})")
        if not location.enabled:
            self._line(True, "It is switched off and left alone.")
            return 0
        found = location_inspect(location)
        for sentence in found.good:
            self._line(True, sentence)
        for sentence in found.hints:
            self.stdout.write(f"  --  {sentence}")
        for sentence in found.problems:
            self._line(False, sentence)
        return len(found.problems)

    def _line(self, ok: bool, text: str) -> None:
        mark = self.style.SUCCESS("ok") if ok else self.style.ERROR("!!")
        self.stdout.write(f"  {mark}  {text}")
