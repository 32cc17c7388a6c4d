"""The demo: one realistic wedding, its studio, its vaults, and one person per role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction

from backups.models import Job, Membership, Organisation, Policy, Vault, Wedding
from backups.services.backups import backup_request
from backups.services.installation import EMBEDDED, write_private
from backups.services.organisations import organisation_create
from backups.services.people import person_create
from backups.services.vaults import source_add, vault_create, vault_locations
from backups.services.weddings import wedding_create
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User

SEED = 9  # a wedding in the time zone of London
STUDIO = "Lumen & Lace"
LOGINS = "demo-logins.txt"
_SATURDAY = 5
_PEOPLE = (
    ("admin", User.Role.ADMIN, "Ada", "Whitfield"),
    ("staff", User.Role.STAFF, "Sam", "Okoye"),
    ("vendor", User.Role.VENDOR, "Maeve", "Delacroix"),
)


@dataclass(frozen=True, slots=True)
class Demo:
    """What was made. logins: (user name, password) of each role."""

    wedding: Wedding
    jobs: list[Job]
    logins: list[tuple[str, str]]
    files: int
    size_bytes: int


def demo_exists() -> bool:
    """Whether the demo was made before."""
    return Organisation.unscoped.filter(name=STUDIO).exists()


def demo_create(*, small: bool, on_progress: Callable[[int, int, int], None], clock: Clock = SYSTEM_CLOCK) -> Demo:
    """Write the wedding's files, its rows and people, and queue its first backup.

    small:       a few megabytes instead of about 500.
    on_progress: called with (files done, files in all, bytes done) while files are painted.

    The rows come last and in one transaction, so that an interrupted demo is simply made again.
    """
    from backups.demo.wedding import DEMO, SMALL, make_wedding  # painting libraries: only the demo needs them

    day = next_saturday(clock)
    folder = settings.HOME / "demo" / "wedding"
    written = make_wedding(folder, seed=SEED, size=SMALL if small else DEMO, on_progress=on_progress, day=day)
    venue = written.scenario.venue
    with transaction.atomic():
        studio = organisation_create(
            name=STUDIO, vendor_type=Organisation.VendorType.PHOTOGRAPHER, actor="demo", clock=clock
        )
        wedding = wedding_create(
            couple=written.scenario.title,
            date=day,
            vendors=[studio],
            venue=f"{venue.name}, {venue.city}",
            time_zone=venue.zone,
            latitude=venue.latitude,
            longitude=venue.longitude,
            jurisdiction="UK" if venue.jurisdiction == "GB" else "EU",
            actor="demo",
            clock=clock,
        )
        for protection_class, path in written.sources.items():
            _vault(studio, wedding, protection_class, path, clock)
        logins = _people(studio)
        jobs = backup_request(wedding=wedding, reason="first backup of the demo", clock=clock)
        _write_logins(logins)
    return Demo(wedding, jobs, logins, len(written.paths), written.bytes_total)


def next_saturday(clock: Clock = SYSTEM_CLOCK) -> date:
    """Return the first Saturday after today."""
    today = clock.utcnow().date()
    return today + timedelta(days=(_SATURDAY - today.weekday() - 1) % 7 + 1)


def _vault(studio: Organisation, wedding: Wedding, protection_class: str, path: Path, clock: Clock) -> Vault:
    vault = vault_create(
        organisation=studio,
        wedding=wedding,
        protection_class=protection_class,
        policy=Policy.objects.get(name=EMBEDDED),
        locations=vault_locations(),
        actor="demo",
        clock=clock,
    )
    source_add(vault, str(path), actor="demo", clock=clock)
    return vault


def _people(studio: Organisation) -> list[tuple[str, str]]:
    logins = []
    for username, role, first_name, last_name in _PEOPLE:
        user, password = person_create(username=username, role=role, first_name=first_name, last_name=last_name)
        if role == User.Role.VENDOR:
            Membership.unscoped.create(user=user, organisation=studio, role=Membership.Role.OWNER)
        logins.append((username, password))
    return logins


def _write_logins(logins: list[tuple[str, str]]) -> None:
    path = settings.HOME / LOGINS
    path.unlink(missing_ok=True)
    write_private(path, "".join(f"{username} {password}\n" for username, password in logins))
