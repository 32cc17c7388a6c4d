"""Vault copies in folders, for tests of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backups.engine.format.key import FOR_SECRETS
from backups.engine.format.repository import NewVault, Repository, new_vault
from providers.stores.local import LocalOptions, LocalStore

SECRET = b"0123456789abcdef0123456789abcdef"
PREFIX = "vault/"
NOW = 1_781_265_600_000_000_000  # 2026-06-12 12:00 UTC [ns], where ManualClock starts


@dataclass(frozen=True)
class Place:
    """One location folder and the vault copy in it."""

    store: LocalStore
    root: Path
    prefix: str = PREFIX

    @property
    def path(self) -> Path:
        """The folder that stock restic takes as its repository."""
        return self.root / PREFIX.rstrip("/")

    def open(self) -> Repository:
        return Repository.open(self.store, PREFIX, SECRET)

    def files(self, kind: str = "") -> dict[str, bytes]:
        """All files of the copy below the folder `kind`, by name."""
        base = self.path / kind
        return {str(f.relative_to(self.path)): f.read_bytes() for f in sorted(base.rglob("*")) if f.is_file()}

    def overwrite(self, name: str, content: bytes) -> None:
        """Change a file behind the store's back, as a rotting disk does."""
        file = self.path / name
        file.chmod(0o600)
        file.write_bytes(content)


def make_place(root: Path) -> Place:
    """Return an empty location in the folder `root`."""
    LocalStore.create(str(root))
    return Place(LocalStore(LocalOptions(root=str(root))), root)


def fresh_vault() -> NewVault:
    """Return a new vault with the tests' secret."""
    return new_vault(SECRET, now=NOW, cost=FOR_SECRETS)


def make_vault(root: Path) -> Repository:
    """Return an empty vault in a new location folder."""
    return Repository.create(make_place(root).store, PREFIX, fresh_vault())
