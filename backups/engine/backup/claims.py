"""Who stores a blob: it is known already, another worker has taken it, or the asker shall.

Workers in one process share a set. Worker processes share unnamed memory instead, so that none has to load the index:
the known ids, sorted, and a hash table of the ids claimed in this run. Nothing is locked. Two workers that claim the
same id in the same instant both store it, which costs a duplicate and harms nobody; whole ids are compared, so the
opposite, an id that nobody stores, cannot happen.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection
from typing import Protocol

from backups.engine.format import ID_BYTES

CLAIM_SLOTS = 1 << 18  # 8 MiB: enough for 250,000 new blobs; what comes later is deduplicated per worker only
_PROBES_MAX = 32
_EMPTY = bytes(ID_BYTES)


class Claims(Protocol):
    def claim(self, blob_id: bytes) -> bool:
        """Return whether the caller shall store this blob; from then on others are told no."""


class LocalClaims:
    """For one thread: what the index knows and what was claimed since."""

    def __init__(self, known: Collection[bytes]) -> None:
        self._known = known
        self._claimed: set[bytes] = set()

    def claim(self, blob_id: bytes) -> bool:
        if blob_id in self._known or blob_id in self._claimed:
            return False
        self._claimed.add(blob_id)
        return True


class SharedClaims:
    """For worker processes. The parent makes it with `create`, a worker opens it by its descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, os.fstat(fd).st_size)
        self._known = (len(self._memory) // ID_BYTES) - CLAIM_SLOTS
        self._late: set[bytes] = set()

    @classmethod
    def create(cls, known: Collection[bytes]) -> SharedClaims:
        """Make the shared memory. `known`: ids of the data blobs that are safe already."""
        fd = os.memfd_create("wedbackup-claims", os.MFD_CLOEXEC)
        os.ftruncate(fd, (len(known) + CLAIM_SLOTS) * ID_BYTES)
        claims = cls(fd)
        claims._memory[: len(known) * ID_BYTES] = b"".join(sorted(known))
        return claims

    def claim(self, blob_id: bytes) -> bool:
        return not self._is_known(blob_id) and self._take(blob_id)

    def _is_known(self, blob_id: bytes) -> bool:
        memory, low, high = self._memory, 0, self._known
        while low < high:
            middle = (low + high) // 2
            found = memory[middle * ID_BYTES : (middle + 1) * ID_BYTES]
            if found == blob_id:
                return True
            if found < blob_id:
                low = middle + 1
            else:
                high = middle
        return False

    def _take(self, blob_id: bytes) -> bool:
        memory, first = self._memory, int.from_bytes(blob_id[:4], "little")
        for probe in range(_PROBES_MAX):
            start = (self._known + (first + probe) % CLAIM_SLOTS) * ID_BYTES
            found = memory[start : start + ID_BYTES]
            if found == blob_id:
                return False
            if found == _EMPTY:
                memory[start : start + ID_BYTES] = blob_id
                return True
        if blob_id in self._late:  # the table is full around here
            return False
        self._late.add(blob_id)
        return True

    def close(self) -> None:
        self._memory.close()
        os.close(self.fd)
