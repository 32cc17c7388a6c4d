"""Furnishes a fresh installation for the browser tests: `python -m tests.pages.furnish <folder of the files>`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django


def main(folder: Path) -> None:
    """Write the cast, three places, a vault of real files and an alert into the installation of the environment."""
    from monitoring.services.alerts import alert_raise
    from providers.models import Location
    from tests.cast import make_cast, make_location, make_vault
    from wedbackup.core.clock import SYSTEM_CLOCK as CLOCK

    cast = make_cast(CLOCK)
    Location.objects.all().delete()
    places = [
        make_location(CLOCK, folder / "places" / name, name=name, account=name) for name in ("Attic", "Bank", "Cloud")
    ]
    make_vault(cast, places, folder / "photos")
    make_vault(cast, places, folder / "documents", protection_class="documents")
    for number in (1, 2):
        alert_raise(
            key=f"test:{number}",
            severity="critical",
            title=f"Trouble number {number}",
            text="Something happened.",
            what_to_do="Do something.",
        )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wedbackup.settings")
    django.setup()
    main(Path(sys.argv[1]))
