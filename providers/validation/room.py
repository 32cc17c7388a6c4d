"""Where a validation works: a store, and names in it that belong to this validation alone."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from providers.stores.base import ObjectInfo, ObjectStore
from providers.stores.errors import AccessDenied
from providers.validation.bench import Bench, bench_of, reopened
from providers.validation.promise import Exempt
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

PREFIX = "wedbackup-validation"
MAY_NOT_DELETE = (
    "this credential may not delete, as is right for daily work; enter the pruner's credential and validate again"
)


@dataclass
class Room:
    """A store, and names in it that belong to one validation alone.

    The folders are the same each time, because a folder store keeps those that became empty; what tells validations
    at the same time apart is the mark at the end of each name.

    bare:    the provider's own store inside `store`, when wrappers are around it.
    remover: the same place, opened by a credential that may delete.
    """

    store: ObjectStore
    bare: ObjectStore | None = None
    clock: Clock = SYSTEM_CLOCK
    remover: ObjectStore | None = None
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def bench(self) -> Bench | None:
        """What opens the same place over a line that breaks on order; None where there is no network to break."""
        return bench_of(self.provider)

    @property
    def provider(self) -> ObjectStore:
        """The provider's own store, without what may stand around it."""
        return self.bare or self.store

    @property
    def can_reopen(self) -> bool:
        """Whether the same place can be opened again with other options."""
        return dataclasses.is_dataclass(getattr(self.provider, "options", None))

    @contextlib.contextmanager
    def reopened(self, **changes: Any) -> Iterator[ObjectStore]:
        """Yield the bare store, opened once more with some of its options changed."""
        with reopened(self.provider, **changes) as store:
            yield store

    @contextlib.contextmanager
    def inside(self, folder: str, **changes: Any) -> Iterator[ObjectStore]:
        """Yield the bare store opened on a folder of this room; names in it should end with the mark."""
        options: Any = getattr(self.provider, "options", None)
        if not hasattr(options, "prefix"):
            raise Exempt("it is always opened as a whole, never on a folder in it")
        above = options.prefix.strip("/")
        prefix = f"{above}/{self.prefix(folder)}" if above else self.prefix(folder)
        with self.reopened(prefix=prefix, **changes) as store:
            yield store

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

    def delete(self, name: str, *, by: ObjectStore | None = None) -> None:
        """Delete an object, with the credential that may: the daily one had better not be allowed to.

        by: another store of this place than `store` that shall try first.

        Raises Exempt when there is only one credential and it may not.
        """
        try:
            (by or self.store).delete(name)
        except AccessDenied as exc:
            if self.remover is None:
                raise Exempt(MAY_NOT_DELETE) from exc
            self.remover.delete(name)

    def clean(self) -> None:
        """Remove all objects of this room."""
        self.delete_all(info.name for info in self.list())

    def put_all(self, rests: Iterable[str], content: bytes) -> Sequence[str]:
        """Store `content` under each name, as many at once as the store allows; return the full names."""
        with self.threads() as pool:
            return list(pool.map(lambda rest: self.put(rest, content), rests))

    def delete_all(self, names: Iterable[str]) -> None:
        """Delete objects, as many at once as the store allows."""
        with self.threads() as pool:
            list(pool.map(self.delete, names))

    def threads(self) -> ThreadPoolExecutor:
        """Return a pool of as many threads as the store takes calls at once, 16 at most."""
        return ThreadPoolExecutor(min(16, self.store.capabilities.connections))


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of `content`, lower-case hex."""
    return hashlib.sha256(content).hexdigest()
