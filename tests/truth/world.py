"""One small installation: a wedding, vaults with several sources, four places; and what was really there, and when."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from django.conf import settings

from backups.models import Membership, Organisation, Policy, Source, Vault, Wedding
from backups.services.installation import keys_create
from backups.services.vaults import source_add, vault_create, vault_secret
from backups.services.weddings import wedding_create
from providers.services.locations import location_create
from tests.truth.clock import WorldClock
from tests.truth.places import Place, haunt
from tests.truth.reader import Keys, Repository, keys_from
from wedbackup.core.models import User

Content = dict[str, bytes]  # by path below the source
PLACES = ("Attic", "Bank", "Cloud", "Depot")
COPIES_NEEDED = 3
DAYS_AWAY = (0, 3, 20, 60, 400)  # of the wedding: each has another promise


@dataclass
class Card:
    """A source folder and what is really on it, also while it is not connected.

    history:  (true time [s], content) whenever it changed.
    patterns: what its owner wants left out.
    """

    folder: Path
    files: Content = field(default_factory=dict)
    history: list[tuple[float, Content]] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    connected: bool = True

    def wanted(self, content: Content) -> Content:
        def left_out(name: str) -> bool:
            return any(fnmatch.fnmatchcase(name.rsplit("/", 1)[-1], pattern) for pattern in self.patterns)

        return {name: bytes_ for name, bytes_ in content.items() if not left_out(name)}

    def write(self, name: str, content: bytes) -> None:
        self.files[name] = content
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def remove(self, name: str) -> None:
        del self.files[name]
        (self.folder / name).unlink()

    def rename(self, old: str, new: str) -> None:
        self.files[new] = self.files.pop(old)
        (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / old).rename(self.folder / new)

    def disconnect(self, *, mount_point_stays: bool) -> None:
        self.folder.rename(self.folder.with_suffix(".card"))
        self.connected = False
        if mount_point_stays:
            self.folder.mkdir()

    def connect(self) -> None:
        if self.folder.exists():
            self.folder.rmdir()
        self.folder.with_suffix(".card").rename(self.folder)
        self.connected = True

    def note(self, now: float) -> None:
        """Remember the present state, if it is another one."""
        if not self.history or self.history[-1][1] != self.files:
            self.history.append((now, dict(self.files)))

    def states_since(self, moment: float) -> list[Content]:
        """Return every state that held at some time since `moment` [true s]."""
        before = [content for at, content in self.history if at <= moment]
        return [*before[-1:], *(content for at, content in self.history if at > moment)]


@dataclass
class Archive:
    """A vault, its cards, and what was seen of it.

    recorded: what the cards held when a snapshot was made, by restic id: {path: content}, and when [true s].
    order:    snapshot ids as they were first seen anywhere.
    alarming: since when [true s] something happened to a card that a person must decide about; None otherwise.
    """

    vault: Vault
    cards: list[Card]
    recorded: dict[str, tuple[float, Content]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    alarming: float | None = None
    unsafe_since: float | None = None

    @cached_property
    def secret(self) -> bytes:
        return vault_secret(self.vault)

    def state(self) -> Content:
        """Return what is wanted of all connected cards now, by absolute path."""
        cards = [card for card in self.cards if card.connected]
        return {f"{card.folder}/{name}": found for card in cards for name, found in card.wanted(card.files).items()}


@dataclass
class World:
    """Everything of one sequence below `root`."""

    root: Path
    clock: WorldClock
    noise: Random
    places: list[Place] = field(default_factory=list)
    archives: list[Archive] = field(default_factory=list)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    backups: int = 0
    restic_judgements: int = 0
    notes: list[str] = field(default_factory=list)
    found: list[Any] = field(default_factory=list)  # findings of the step under way
    lost_for_good: set[str] = field(default_factory=set)

    def make(self) -> None:
        """Set the installation up; Django's database is empty and migrated."""
        keys_create()
        self.admin = User.objects.create_user("alice", role=User.Role.ADMIN, is_superuser=True, is_staff=True)
        self.studio = Organisation.unscoped.create(name="Lumen", created_at=self.clock.utcnow())
        self.vendor = User.objects.create_user("vera", role=User.Role.VENDOR)
        Membership.unscoped.create(user=self.vendor, organisation=self.studio)
        for name in PLACES:
            place = self._place(name)
            self.places.append(place)
        haunt(self.places)
        self.policy = Policy.objects.create(name="Three", copies_needed=COPIES_NEEDED, interval_minutes=60)
        day = self.clock.utcnow().date() + timedelta(days=self.noise.choice(DAYS_AWAY))
        self.wedding: Wedding = wedding_create(
            couple="Ada & Grace", date=day, vendors=[self.studio], venue="Orangery", clock=self.clock
        )
        self._archive("media", ("card one", "card two"))
        self._archive("documents", ("papers",))

    def _place(self, name: str) -> Place:
        root = self.root / "places" / name.lower()
        root.parent.mkdir(exist_ok=True)
        location = location_create(
            name=name, kind="local", options={"root": str(root)}, account=f"{name} account", medium=name, actor="alice"
        )
        location.validated_at = self.clock.utcnow()
        location.save(update_fields=["validated_at"])
        return Place(location, root)

    def _archive(self, kind: str, names: tuple[str, ...]) -> None:
        vault = vault_create(
            organisation=self.studio,
            wedding=self.wedding,
            protection_class=kind,
            policy=self.policy,
            locations=[place.location for place in self.places],
            clock=self.clock,
        )
        cards = []
        for name in names:
            card = Card(self.root / "sources" / name)
            card.folder.mkdir(parents=True)
            for number in range(self.noise.randrange(8, 14)):
                card.write(*some_file(self.noise, number))
            card.note(self.clock.true)
            source_add(vault, str(card.folder), actor="alice")
            cards.append(card)
        self.archives.append(Archive(vault, cards))

    def repository(self, place: Place, archive: Archive) -> Repository | None:
        """Return the judge's own reader of a copy; None while there is none."""
        key = (place.name, str(archive.vault.pk))
        if key not in self.repositories:
            keys = [path for path in place.repository(archive.vault.pk).glob("keys/*") if path.is_file()]
            if not keys:
                return None
            opened: Keys = keys_from(keys[0].read_bytes(), archive.secret)
            self.repositories[key] = Repository(place.repository(archive.vault.pk), opened)
        return self.repositories[key]

    def note_cards(self) -> None:
        for archive in self.archives:
            for card in archive.cards:
                card.note(self.clock.true)

    def sources(self, archive: Archive) -> list[Source]:
        return list(Source.unscoped.filter(vault=archive.vault))


def some_file(noise: Random, number: int) -> tuple[str, bytes]:
    """Return a name and a content as a wedding has them: pictures that begin as pictures do, notes, sidecars."""
    kind = noise.choice(("jpg", "jpg", "nef", "xmp", "txt"))
    size = noise.choice((40, 900, 5_000, 40_000))
    head = {"jpg": b"\xff\xd8\xff\xe1", "nef": b"II*\0", "xmp": b"<x:xmpmeta>", "txt": b"notes "}[kind]
    body = noise.randbytes(size) if kind in {"jpg", "nef"} else b"%d ceremony\n" % noise.randrange(10**6) * (size // 12)
    return f"{noise.choice(('day', 'eve'))}/IMG_{number:04}.{kind}", head + body


def home_of(root: Path) -> None:
    """Point the settings of this process to an installation below `root`."""
    home = root / "home"
    home.mkdir(parents=True, exist_ok=True)
    settings.HOME = home
    settings.KEY_FILE = home / "keys" / "wrapping-keys.json"
    settings.SECRET_KEY_FILE = home / "keys" / "django-secret"
    settings.CACHE_DIR = home / "cache"
    settings.ENGINE_PROCESSES = 0
    os.makedirs(settings.CACHE_DIR, mode=0o700, exist_ok=True)
