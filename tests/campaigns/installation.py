"""The installation under test: a home of its own, three folders on disk, three in memory, vaults on either three."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from random import Random

from django.core.management import call_command

from backups.models import Organisation, Policy, Snapshot, Vault
from backups.services.installation import folders_validate, keys_create
from backups.services.vaults import source_add, vault_create, vault_secret
from backups.services.weddings import wedding_create
from providers.models import Location
from providers.services.locations import location_create
from tests.backups.ground import keep_only, let_grace_pass
from tests.campaigns.places import Place, Seen
from tests.campaigns.promises import Promises
from tests.campaigns.source import ChangingSource
from wedbackup.core.clock import SYSTEM_CLOCK

DISK, MEMORY = "disk", "memory"
COPIES = 3
MEMORY_FOLDER = Path("/dev/shm")


@dataclass
class VaultUnderTest:
    """A vault with its source and its three copies. where: DISK or MEMORY."""

    vault: Vault
    where: str
    source: ChangingSource
    places: list[Place]
    rounds: int = 0

    @cached_property
    def secret(self) -> bytes:
        return vault_secret(self.vault)

    @cached_property
    def promises(self) -> Promises:
        return Promises(self.vault)

    @property
    def newest(self) -> Snapshot | None:
        return Snapshot.unscoped.filter(vault=self.vault).first()

    @property
    def snapshots(self) -> set[str]:
        """The restic ids that the database knows."""
        return set(Snapshot.unscoped.filter(vault=self.vault).values_list("restic_id", flat=True))

    def look(self) -> list[Seen]:
        return [place.look() for place in self.places]

    def remove(self) -> None:
        """Free its space; nothing is due for it any more."""
        Vault.unscoped.filter(pk=self.vault.pk).update(next_due_at=None)
        shutil.rmtree(self.source.folder)
        for place in self.places:
            shutil.rmtree(place.repository)


class Installation:
    """Made below `work`; Django's settings must point to `home_of(work)` already."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._memory = Path(tempfile.mkdtemp(prefix="wedbackup-kill9-", dir=MEMORY_FOLDER))
        self._vaults = 0
        keys_create()
        call_command("migrate", verbosity=0)
        self._locations = {DISK: self._make_locations(DISK, work), MEMORY: self._make_locations(MEMORY, self._memory)}
        # No snapshot is let go by the policy: whichever is missing is lost.
        self._policy = Policy.objects.create(name="Keep all", copies_needed=COPIES, keep_last=1_000)
        self._frugal = keep_only(Policy.objects.create(name="Keep one", copies_needed=COPIES), 1)
        self._studio = Organisation.unscoped.create(name="Lumen Photography", created_at=SYSTEM_CLOCK.utcnow())

    def _make_locations(self, where: str, base: Path) -> list[Location]:
        """Declare three different media, as three disks would be: so a snapshot can be acknowledged."""
        folder = base / "locations"
        folder.mkdir()
        made = [
            location_create(
                name=f"{where} {number}",
                kind="local",
                options={"root": str(folder / str(number))},
                medium=f"{where} {number}",
                actor="campaign",
            )
            for number in range(COPIES)
        ]
        folders_validate()
        return [*Location.objects.filter(pk__in=[location.pk for location in made]).order_by("created_at")]

    def vault(self, where: str, noise: Random) -> VaultUnderTest:
        """Return a new vault with a filled source and nothing stored yet."""
        self._vaults += 1
        day = date.today() + timedelta(days=300)
        wedding = wedding_create(couple=f"Couple {self._vaults}", date=day, vendors=[self._studio])
        locations = self._locations[where]
        vault = vault_create(
            organisation=self._studio,
            wedding=wedding,
            protection_class="media",
            policy=self._policy,
            locations=locations,
        )
        Vault.unscoped.filter(pk=vault.pk).update(next_due_at=None)  # the campaign asks for each backup
        source = ChangingSource(self.work / "sources" / str(self._vaults))
        source.fill(noise)
        source_add(vault, str(source.folder))
        roots = [Path(location.options["root"]) for location in locations]
        return VaultUnderTest(vault, where, source, [Place(root, root / str(vault.pk)) for root in roots])

    def let_expire(self, vault: VaultUnderTest) -> set[str]:
        """From now on the vault keeps but its newest snapshot, and the grace of the others is over; return those."""
        vault.vault.policy = self._frugal
        vault.vault.save(update_fields=["policy"])
        return let_grace_pass(vault.vault)

    def keep(self, vault: VaultUnderTest, name: str) -> Path:
        """Copy the database, the source and the copies of a vault aside for whoever looks for the fault."""
        kept = self.work / name
        kept.mkdir()
        database = home_of(self.work) / "wedbackup.sqlite3"
        with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(kept / database.name)) as copy:
            live.backup(copy)
        shutil.copytree(vault.source.folder, kept / "source", symlinks=True)
        for number, place in enumerate(vault.places):
            shutil.copytree(place.repository, kept / f"copy {number}")
        return kept

    def remove_memory(self) -> None:
        shutil.rmtree(self._memory)


def home_of(work: Path) -> Path:
    return work / "home"


def server_environment(work: Path) -> dict[str, str]:
    """Return the environment of the server: its home, a temporary folder of its own, nothing of the caller's."""
    temporary = work / "tmp"
    temporary.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "wedbackup.settings",
        "WEDBACKUP_HOME": str(home_of(work)),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
    }
