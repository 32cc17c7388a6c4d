"""The people, businesses and weddings of every story. One cast everywhere, so that a reader knows them after a day.

Alice is the admin, Sam is staff on call. Vera is the photographer of Lumen Photography, who works on the wedding of
Okafor & Lindqvist this Saturday in London. Carl belongs to Petal & Stem, who do not: Carl must see nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from backups.models import Membership, Organisation, Policy, Vault, Wedding
from backups.services.organisations import organisation_create
from backups.services.vaults import source_add, vault_create
from backups.services.weddings import wedding_create
from providers.models import Location
from providers.services.locations import location_create
from wedbackup.core.clock import Clock
from wedbackup.core.models import User

PASSWORD = "correct horse battery"  # the password of all of them
SATURDAY = 5


@dataclass(frozen=True)
class Cast:
    """Who is who."""

    clock: Clock
    alice: User
    sam: User
    vera: User
    carl: User
    lumen: Organisation
    petal: Organisation
    wedding: Wedding
    policy: Policy


def next_saturday(clock: Clock) -> date:
    """Return the Saturday that comes after the clock's day."""
    today = clock.utcnow().date()
    return today + timedelta(days=(SATURDAY - today.weekday() - 1) % 7 + 1)


def make_cast(clock: Clock) -> Cast:
    """Write the cast into the database."""
    people = {
        name: User.objects.create_user(
            name.lower(),
            password=PASSWORD,
            first_name=name,
            role=role,
            is_staff=role == User.Role.ADMIN,
            is_superuser=role == User.Role.ADMIN,
        )
        for name, role in (
            ("Alice", User.Role.ADMIN),
            ("Sam", User.Role.STAFF),
            ("Vera", User.Role.VENDOR),
            ("Carl", User.Role.VENDOR),
        )
    }
    lumen = organisation_create(name="Lumen Photography", vendor_type="photographer", clock=clock)
    petal = organisation_create(name="Petal & Stem", vendor_type="florist", clock=clock)
    Membership.unscoped.create(user=people["Vera"], organisation=lumen, role=Membership.Role.OWNER)
    Membership.unscoped.create(user=people["Carl"], organisation=petal, role=Membership.Role.OWNER)
    wedding = wedding_create(
        couple="Okafor & Lindqvist",
        date=next_saturday(clock),
        vendors=[lumen],
        venue="Battersea Arts Centre",
        time_zone="Europe/London",
        latitude=51.4651,
        longitude=-0.1587,
        jurisdiction="UK",
        clock=clock,
    )
    policy = Policy.objects.create(name="Three copies", copies_needed=3, failure_domains_needed=2)
    return Cast(
        clock=clock,
        alice=people["Alice"],
        sam=people["Sam"],
        vera=people["Vera"],
        carl=people["Carl"],
        lumen=lumen,
        petal=petal,
        wedding=wedding,
        policy=policy,
    )


def make_location(clock: Clock, root: Path, *, name: str, account: str) -> Location:
    """Make a folder location below `root` that counts as validated; another `account` is another failure domain."""
    location = location_create(
        name=name, kind="local", options={"root": str(root)}, account=account, medium=name, actor="alice", clock=clock
    )
    location.validated_at = clock.utcnow()
    location.save(update_fields=["validated_at"])
    return location


def make_vault(
    cast: Cast, locations: list[Location], folder: Path, *, protection_class: str = Vault.ProtectionClass.MEDIA
) -> Vault:
    """Make a vault of Lumen's for the wedding, whose source is `folder`."""
    vault = vault_create(
        organisation=cast.lumen,
        wedding=cast.wedding,
        protection_class=protection_class,
        policy=cast.policy,
        locations=locations,
        clock=cast.clock,
    )
    source_add(vault, str(folder))
    return vault
