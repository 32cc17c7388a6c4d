"""A provider in this process's memory: accounts, keys that may be taken away, and places that keys lead to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from providers.stores.base import Buffer, ObjectInfo, ObjectStore, PlaceFacts
from providers.stores.errors import AccessDenied, StoreError
from providers.stores.memory import MemoryStore
from providers.stores.options import LineOptions, option


@dataclass(frozen=True, kw_only=True)
class CloudOptions(LineOptions):
    bucket: str = option("Bucket", env="CLOUD_BACKUP_BUCKET")
    key_id: str = option("Key id", default="", credential=True, env="CLOUD_KEY_ID")
    key: str = option("Key", secret=True, env="CLOUD_KEY")
    extra_key: str = option("Second key", default="", secret=True, env="CLOUD_EXTRA_FILE")


@dataclass
class Cloud:
    """keys: which place each key leads to. write_only: those that may not delete. trouble: raised by every call with
    this key. calls: who called, in order.
    """

    keys: dict[str, MemoryStore] = field(default_factory=dict)
    write_only: set[str] = field(default_factory=set)
    trouble: dict[str, StoreError] = field(default_factory=dict)
    facts: PlaceFacts = field(default_factory=PlaceFacts)
    calls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def place_of(self, key: str) -> MemoryStore:
        """Note the call and return the place that `key` leads to; raises as the provider would."""
        with self.lock:
            self.calls.append(key)
        if error := self.trouble.get(key):
            raise error
        if key not in self.keys:
            raise AccessDenied(f"no key {key} here")  # some providers repeat what they were given
        return self.keys[key]

    def store_class(self) -> Callable[[CloudOptions], ObjectStore]:
        """Return the store's class as a kind of the registry names it."""
        cloud = self

        class CloudStore(ObjectStore):
            Options = CloudOptions

            def __init__(self, options: CloudOptions) -> None:
                self.options = options

            def _place(self) -> MemoryStore:
                return cloud.place_of(self.options.key)

            def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
                return self._place().put(name, content, sha256=sha256)

            def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
                return self._place().get(name, offset=offset, length=length)

            def head(self, name: str) -> ObjectInfo:
                return self._place().head(name)

            def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
                return self._place().list(prefix)

            def delete(self, name: str) -> None:
                place = self._place()
                if self.options.key in cloud.write_only:
                    raise AccessDenied("this key may not delete")
                place.delete(name)

            def verify(self, name: str, *, sha256: str) -> ObjectInfo:
                return self._place().verify(name, sha256=sha256)

            def facts(self) -> PlaceFacts:
                self._place()
                return cloud.facts

        return CloudStore
