"""Objects in this process's memory: for tests and simulations.

Not picklable, on purpose: a copy in another process would be another location that looks like the same one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import datetime

from providers.stores.base import Buffer, Capabilities, Checksum, ObjectInfo, ObjectStore, Proof, check_name
from providers.stores.errors import LocationFull, ObjectCorrupt, ObjectNotFound
from wedbackup.core.clock import SYSTEM_CLOCK, Clock


class MemoryStore(ObjectStore):
    """A location that forgets everything when the process ends."""

    capabilities = Capabilities(connections=64, checksum=Checksum.READ_BACK, countable=False)

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, capacity_bytes: int | None = None) -> None:
        """capacity_bytes: LocationFull is raised above it [bytes]; None means no limit."""
        self._clock = clock
        self._capacity_bytes = capacity_bytes
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._used_bytes = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a MemoryStore lives in one process only; give worker processes a LocalStore")

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        del sha256  # nothing can be lost between us and our own memory
        check_name(name)
        stored, now = bytes(content), self._clock.utcnow()
        with self._lock:
            replaced, _ = self._objects.get(name, (b"", now))
            used_bytes = self._used_bytes - len(replaced) + len(stored)
            if self._capacity_bytes is not None and used_bytes > self._capacity_bytes:
                raise LocationFull(f"no room for {name}: {len(stored)} bytes more than the location holds")
            self._objects[name] = (stored, now)
            self._used_bytes = used_bytes
        return ObjectInfo(name, len(stored), modified=now, proof=Proof.READ_BACK)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        content, _ = self._stored(name)
        return content[offset:] if length is None else content[offset : offset + length]

    def head(self, name: str) -> ObjectInfo:
        content, modified = self._stored(name)
        return ObjectInfo(name, len(content), modified=modified)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._lock:
            found = [(name, *kept) for name, kept in self._objects.items() if name.startswith(prefix)]
        for name, content, modified in found:
            yield ObjectInfo(name, len(content), modified=modified)

    def delete(self, name: str) -> None:
        check_name(name)
        with self._lock:
            content, _ = self._objects.pop(name, (b"", None))
            self._used_bytes -= len(content)

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        content, modified = self._stored(name)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ObjectCorrupt(f"{name} does not have the expected content")
        return ObjectInfo(name, len(content), modified=modified, proof=Proof.READ_BACK)

    def corrupt(self, name: str, *, position: int = 0) -> None:
        """Flip one bit of what is stored, as a rotting disk would; for tests of detection and repair."""
        content, modified = self._stored(name)
        rotten = bytearray(content)
        rotten[position] ^= 1
        with self._lock:
            self._objects[name] = (bytes(rotten), modified)

    def _stored(self, name: str) -> tuple[bytes, datetime]:
        check_name(name)
        with self._lock:
            try:
                return self._objects[name]
            except KeyError:
                raise ObjectNotFound(f"there is no object {name}") from None
