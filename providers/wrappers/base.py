"""What all wrappers share: one method stands around every call to the wrapped store.

A wrapper is an ObjectStore itself and picklable where its store is; locks stay in their process. Listings are fetched
whole before the first entry is given out: half a listing followed by an error would make a prune or a check act on
what it did not see, and could not be retried.
"""

from __future__ import annotations

import dataclasses
import enum
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from providers.stores.base import Buffer, ObjectInfo, ObjectStore, PlaceFacts
from providers.stores.options import secret_names
from wedbackup.core.logs import remember_secret

T = TypeVar("T")


class Operation(enum.StrEnum):
    """The calls of an ObjectStore."""

    PUT = "put"
    GET = "get"
    HEAD = "head"
    LIST = "list"
    DELETE = "delete"
    VERIFY = "verify"
    REMOVE_UNFINISHED = "remove_unfinished"
    CHANGE_CLASS = "change_class"
    THAW = "thaw"
    PROTECT = "protect"
    FACTS = "facts"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what is done, to which object (or prefix), and how much goes up with it [bytes]."""

    operation: Operation
    name: str
    sent_bytes: int = 0


class Wrapper(ObjectStore):
    """Passes every call on to `inner` through `_around`, which a subclass overrides."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner
        self.capabilities = inner.capabilities
        self._lock = threading.Lock()

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        """Carry `call` out by `run`, as often as needed, and return its result."""
        raise NotImplementedError

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        call = Call(Operation.PUT, name, memoryview(content).nbytes)
        return self._around(call, lambda: self.inner.put(name, content, sha256=sha256))

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return self._around(Call(Operation.GET, name), lambda: self.inner.get(name, offset=offset, length=length))

    def head(self, name: str) -> ObjectInfo:
        return self._around(Call(Operation.HEAD, name), lambda: self.inner.head(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        yield from self._around(Call(Operation.LIST, prefix), lambda: [*self.inner.list(prefix)])

    def delete(self, name: str) -> None:
        self._around(Call(Operation.DELETE, name), lambda: self.inner.delete(name))

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        return self._around(Call(Operation.VERIFY, name), lambda: self.inner.verify(name, sha256=sha256))

    def remove_unfinished(self, *, before: datetime) -> int:
        call = Call(Operation.REMOVE_UNFINISHED, "")
        return self._around(call, lambda: self.inner.remove_unfinished(before=before))

    def change_class(self, name: str, storage_class: str) -> None:
        self._around(Call(Operation.CHANGE_CLASS, name), lambda: self.inner.change_class(name, storage_class))

    def thaw(self, name: str, *, days: int = 7) -> bool:
        return self._around(Call(Operation.THAW, name), lambda: self.inner.thaw(name, days=days))

    def protect(self, name: str, *, until: datetime) -> None:
        self._around(Call(Operation.PROTECT, name), lambda: self.inner.protect(name, until=until))

    def facts(self) -> PlaceFacts:
        return self._around(Call(Operation.FACTS, ""), self.inner.facts)

    def close(self) -> None:
        self.inner.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        _remember_secrets(self.inner)


def _remember_secrets(store: ObjectStore) -> None:
    """Keep the secrets of a store that came from another process out of this one's log."""
    options = getattr(store, "options", None)
    if dataclasses.is_dataclass(options):
        for name in secret_names(type(options)):
            remember_secret(getattr(options, name))
