"""Changes to a location's new credential under running transfers.

    store = RotatingStore(current)

`current` says which version of the credential is in use and how its store is made. It is asked at most every second,
by one caller at a time, and at once when the provider refuses the version in hand. New calls take the new version's
store; a call under way ends with the one it began with, and the last of them closes it.

In another process the copy stays with the version it left with: there is no `current` to ask. So a version has to stay
valid at the provider until everybody who took it has ended (`providers.services.rotation`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, TypeVar

from providers.stores.base import Buffer, ObjectInfo, ObjectStore, PlaceFacts
from providers.stores.errors import AccessDenied, ClockSkewed, StoreError
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")
Current: TypeAlias = Callable[[], tuple[int, Callable[[], ObjectStore]]]

LOOK_SECONDS = 1.0  # [s] between two questions for the version in use


@dataclass(slots=True)
class _Held:
    """One version's store, and how many calls are under way in it."""

    version: int
    store: ObjectStore
    calls: int = 0
    replaced: bool = False


class RotatingStore(ObjectStore):
    """Stands for the store of whichever version of the credential is in use.

    current: returns the version and a function that makes its store; raises StoreError when that cannot be found out,
             after which the version in hand goes on. It is called from any thread that uses the store.
    """

    def __init__(self, current: Current, *, clock: Clock = SYSTEM_CLOCK) -> None:
        version, make = current()
        self._held = _Held(version, make())
        self.capabilities = self._held.store.capabilities
        self._current = current
        self._clock = clock
        self._looked_at = clock.monotonic()
        self._lock = threading.Lock()
        self._looking = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return _as_it_is, (self.inner,)

    @property
    def inner(self) -> ObjectStore:
        """The store that the next call takes."""
        return self._held.store

    @property
    def version(self) -> int:
        """The version of the credential that the next call takes."""
        return self._held.version

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        return self._call(lambda store: store.put(name, content, sha256=sha256))

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return self._call(lambda store: store.get(name, offset=offset, length=length))

    def head(self, name: str) -> ObjectInfo:
        return self._call(lambda store: store.head(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        yield from self._call(lambda store: [*store.list(prefix)])

    def delete(self, name: str) -> None:
        self._call(lambda store: store.delete(name))

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        return self._call(lambda store: store.verify(name, sha256=sha256))

    def remove_unfinished(self, *, before: datetime) -> int:
        return self._call(lambda store: store.remove_unfinished(before=before))

    def change_class(self, name: str, storage_class: str) -> None:
        self._call(lambda store: store.change_class(name, storage_class))

    def thaw(self, name: str, *, days: int = 7) -> bool:
        return self._call(lambda store: store.thaw(name, days=days))

    def protect(self, name: str, *, until: datetime) -> None:
        self._call(lambda store: store.protect(name, until=until))

    def facts(self) -> PlaceFacts:
        return self._call(lambda store: store.facts())

    def close(self) -> None:
        self.inner.close()

    def _call(self, run: Callable[[ObjectStore], T]) -> T:
        """Carry `run` out with the version in use, and once more with a newer one if the first is refused."""
        held = self._enter()
        try:
            return run(held.store)
        except AccessDenied as error:
            if isinstance(error, ClockSkewed) or not self._is_replaced(held):
                raise
        finally:
            self._leave(held)
        held = self._enter()
        try:
            return run(held.store)
        finally:
            self._leave(held)

    def _enter(self) -> _Held:
        if self._clock.monotonic() - self._looked_at >= LOOK_SECONDS and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        with self._lock:
            self._held.calls += 1
            return self._held

    def _leave(self, held: _Held) -> None:
        with self._lock:
            held.calls -= 1
            ended = held.replaced and held.calls == 0
        if ended:
            held.store.close()

    def _is_replaced(self, refused: _Held) -> bool:
        """Say whether there is a newer version than the one that was refused; asks if nobody did meanwhile."""
        with self._looking:
            if not refused.replaced:
                self._look()
        return refused.replaced

    def _look(self) -> None:
        """Ask for the version in use, and take its store if it is another one."""
        self._looked_at = self._clock.monotonic()
        try:
            version, make = self._current()
            if version == self._held.version:
                return
            newer = _Held(version, make())
        except StoreError:
            return
        with self._lock:
            old, self._held = self._held, newer
            self.capabilities = newer.store.capabilities
            old.replaced = True
            idle = old.calls == 0
        if idle:
            old.store.close()


def _as_it_is(store: ObjectStore) -> ObjectStore:
    return store
