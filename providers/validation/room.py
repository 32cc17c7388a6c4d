"""Where a validation works: a store, and names in it that belong to this validation alone."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from providers.stores.base import ObjectInfo, ObjectStore
from providers.validation.bench import Bench

PREFIX = "wedbackup-validation"


@dataclass
class Room:
    """A store, and names in it that belong to one validation alone.

    The folders are the same each time, because a folder store keeps those that became empty; what tells validations
    at the same time apart is the mark at the end of each name.

    bench: opens the same place over a line that breaks on order; None where there is no network to break.
    """

    store: ObjectStore
    bench: Bench | None = None
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def name(self, rest: str) -> str:
        """Return the object name `rest` in this room."""
        return f"{self.prefix(rest)}.{self.mark}"

    def prefix(self, rest: str) -> str:
        """Return what the names of this room, and others', begin with."""
        return f"{PREFIX}/{rest}"

    def put(self, rest: str, content: bytes) -> str:
        """Store `content` and return its full name."""
        name = self.name(rest)
        self.store.put(name, content, sha256=sha256_of(content))
        return name

    def list(self, rest: str = "") -> list[ObjectInfo]:
        """Return the objects of this room that the store lists below `rest`."""
        return [info for info in self.store.list(self.prefix(rest)) if info.name.endswith(f".{self.mark}")]

    def clean(self) -> None:
        """Remove all objects of this room."""
        for info in self.list():
            self.store.delete(info.name)


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of `content`, lower-case hex."""
    return hashlib.sha256(content).hexdigest()
