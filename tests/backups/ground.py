"""The ground that stories about backups stand on: a home, three folder locations, a vault with a source."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

from backups.models import Job, Organisation, Policy, Snapshot, Vault, Wedding
from backups.services import opening
from backups.services.backups import backup_request
from backups.services.installation import EMBEDDED, folders_create, keys_create, policies_create
from backups.services.retention import GRACE, retention_mark
from backups.services.vaults import source_add, vault_create, vault_secret
from backups.services.weddings import wedding_create
from backups.worker import run_next
from providers.models import Location
from providers.stores.base import ObjectStore
from providers.wrappers.faulty import FaultyStore, StoreFault
from tests.restic import stock
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User


@dataclass
class Ground:
    """An installation of three folder locations, said to be on three disks, with one wedding of Alice's studio."""

    root: Path
    locations: list[Location]
    policy: Policy
    studio: Organisation
    wedding: Wedding
    runs: list[Job] = field(default_factory=list)

    def vault(self, protection_class: str = "media", policy: Policy | None = None) -> Vault:
        """Return a new vault with a source folder of a few files."""
        vault = vault_create(
            organisation=self.studio,
            wedding=self.wedding,
            protection_class=protection_class,
            policy=policy or self.policy,
            locations=self.locations,
        )
        fill(self.source(protection_class))
        source_add(vault, str(self.source(protection_class)))
        return vault

    def source(self, protection_class: str = "media") -> Path:
        return self.root / "source" / protection_class

    def back_up(self, vault: Vault) -> Job:
        """Ask for a backup and run it here and now; return the job as it ended."""
        return self.run(self.ask(vault))

    def ask(self, vault: Vault) -> Job:
        """Ask for a backup."""
        (job,) = backup_request(vault=vault, reason="test")
        return job

    def run(self, job: Job, clock: Clock = SYSTEM_CLOCK) -> Job:
        run_next("test", only=job, clock=clock)
        job.refresh_from_db()
        self.runs.append(job)
        return job

    def repository(self, vault: Vault, place: int) -> Path:
        """Return the folder that stock restic takes as the vault's repository at one location."""
        return Path(self.locations[place].options["root"]) / str(vault.pk)

    def stock_restores(self, vault: Vault, place: int, target: Path) -> Path:
        """Let stock restic check every byte of a copy and restore it; return where the source's files are."""
        repository, secret = self.repository(vault, place), vault_secret(vault)
        stock.check(repository, secret)
        stock.restore(repository, secret, "latest", target)
        return target / str(self.source(vault.protection_class)).lstrip("/")

    def share_a_disk(self) -> None:
        """Say of all locations that they are on the same disk."""
        self._lie_on(["disk one"] * len(self.locations))

    def spread_over_disks(self) -> None:
        """Say of each location that it has a disk of its own."""
        self._lie_on([f"disk {place}" for place in range(len(self.locations))])

    def _lie_on(self, media: list[str]) -> None:
        for location, medium in zip(self.locations, media, strict=True):
            location.medium = medium
            location.save()

    def lose(self, place: int) -> None:
        """Delete a location's folder, as an unplugged disk does."""
        shutil.rmtree(self.locations[place].options["root"])


def fill(folder: Path, files: int = 12) -> None:
    """Write some files of several kinds below `folder`."""
    for number in range(files):
        file = folder / f"part {number % 3}" / f"picture {number:02}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"picture {number}\n".encode() * (500 + number))
    (folder / "empty").touch()
    (folder / "latest").unlink(missing_ok=True)
    (folder / "latest").symlink_to("part 0")


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return what lies below `folder`: content of files, target of links, by relative path."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = str(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def make_ground(root: Path, settings: Any) -> Ground:
    """Set an installation up below `root`."""
    settings.HOME = root / "home"
    settings.KEY_FILE = root / "home" / "keys" / "wrapping-keys.json"
    settings.SECRET_KEY_FILE = root / "home" / "keys" / "django-secret"
    settings.CACHE_DIR = root / "home" / "cache"
    keys_create()
    folders_create()
    Location.objects.update(validated_at=SYSTEM_CLOCK.utcnow())  # what setup proves takes a second each
    locations = [*Location.objects.order_by("name")]
    policies_create()
    studio = Organisation.unscoped.create(name="Alice Pictures", created_at=SYSTEM_CLOCK.utcnow())
    day = date.today() + timedelta(days=3)
    wedding = wedding_create(couple="Ada & Grace", date=day, vendors=[studio], venue="The Orangery")
    ground = Ground(root, locations, Policy.objects.get(name=EMBEDDED), studio, wedding)
    ground.spread_over_disks()
    return ground


def let_grace_pass(vault: Vault) -> set[str]:
    """Mark what the policy lets go as if GRACE ago; return the ids that a prune may take now."""
    retention_mark(vault)
    marked = Snapshot.unscoped.filter(vault=vault, expired_at__isnull=False)
    marked.update(expired_at=F("expired_at") - GRACE)
    return set(marked.values_list("restic_id", flat=True))


def keep_only(policy: Policy, last: int) -> Policy:
    """Let a policy keep the `last` snapshots and nothing else."""
    numbers = [field.name for field in Policy._meta.fields if field.name.startswith("keep_")]
    Policy.objects.filter(pk=policy.pk).update(**dict.fromkeys(numbers, 0), finals_years=0, contract_years=0)
    Policy.objects.filter(pk=policy.pk).update(keep_last=last)
    policy.refresh_from_db()
    return policy


def break_place(monkeypatch: pytest.MonkeyPatch, location: Location, *faults: StoreFault) -> None:
    """Let every store of `location` that is opened from now on fail as ordered."""
    real = opening.location_open

    def broken(asked: Location, **options: Any) -> ObjectStore:
        store = real(asked, **options)
        return FaultyStore(store, faults) if asked.pk == location.pk else store

    monkeypatch.setattr(opening, "location_open", broken)


def make_member(studio: Organisation, username: str) -> User:
    """Return a vendor who belongs to `studio`."""
    user = User.objects.create_user(username, role=User.Role.VENDOR)
    studio.memberships.create(user=user)
    return user


@pytest.fixture
def ground(tmp_path: Path, settings: Any, transactional_db: None) -> Ground:
    """A fresh installation. Jobs are run by the test itself, through the same code as a worker's."""
    return make_ground(tmp_path, settings)
