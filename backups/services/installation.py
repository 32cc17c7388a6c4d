"""What a fresh installation needs before its first backup. Every step leaves alone what is there already."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.conf import settings

from backups.models import Policy
from providers.models import Location
from providers.services.locations import location_create
from providers.services.validations import location_validate
from providers.validation import Finding
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.sealing import create_key_file

DEFAULT_FOLDERS = ("one", "two", "three")
FIRST_LOGIN = "first-login.txt"
EMBEDDED = "Embedded"

# name: (copies, failure domains, minutes between backups)
POLICIES = {
    EMBEDDED: (3, 2, 24 * 60),
    "Wedding day": (7, 2, 5),
    "Critical (7 days)": (5, 2, 10),
    "High (30 days)": (3, 2, 30),
    "Normal (90 days)": (3, 2, 120),
    "Archive": (3, 2, 24 * 60),
}


def keys_create() -> list[Path]:
    """Make the wrapping key and the session key, readable by the owner only; return the files that were made."""
    made = []
    os.makedirs(settings.HOME, mode=0o700, exist_ok=True)
    if not settings.KEY_FILE.exists():
        create_key_file(settings.KEY_FILE)
        made.append(settings.KEY_FILE)
    if not settings.SECRET_KEY_FILE.exists():
        settings.SECRET_KEY_FILE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(settings.SECRET_KEY_FILE, secrets.token_urlsafe(48) + "\n")
        made.append(settings.SECRET_KEY_FILE)
    return made


def folders_create(*, clock: Clock = SYSTEM_CLOCK) -> list[Location]:
    """Make three folder locations below HOME if there is no location at all; return those that were made."""
    if Location.objects.exists():
        return []
    base = settings.HOME / "locations"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [
        location_create(
            name=f"Folder {place}", kind="local", options={"root": str(base / folder)}, actor="setup", clock=clock
        )
        for place, folder in enumerate(DEFAULT_FOLDERS, start=1)
    ]


def folders_validate(*, clock: Clock = SYSTEM_CLOCK) -> list[tuple[Location, list[Finding]]]:
    """Put every folder location to the test that was not yet; return each with what it does not keep."""
    new = Location.objects.filter(kind="local", validated_at=None, enabled=True)
    return [
        (location, [found for found in location_validate(location, actor="setup", clock=clock) if not found.ok])
        for location in new
    ]


def policies_create() -> list[Policy]:
    """Make the policies that are missing, by name; return them."""
    made = []
    for name, (copies, domains, minutes) in POLICIES.items():
        policy, is_new = Policy.objects.get_or_create(
            name=name,
            defaults={"copies_needed": copies, "failure_domains_needed": domains, "interval_minutes": minutes},
        )
        if is_new:
            made.append(policy)
    return made


def write_private(path: Path, text: str) -> None:
    """Write a new file that only the owner can read, safely onto the disk. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
