"""Large uploads that were interrupted: this process remembers them, so that the next attempt goes on.

For services that cannot be asked which uploads are unfinished.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")
KEPT_MAX = 100


class UnfinishedUploads(Generic[T]):
    """Remembers one `T` for each (path, hash of the content); forgets the oldest above `KEPT_MAX`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[T, datetime]] = {}
        self._lock = threading.Lock()

    def keep(self, path: str, content_hash: str, upload: T, *, now: datetime) -> None:
        """Remember `upload` for the next attempt."""
        with self._lock:
            self._kept[path, content_hash] = upload, now
            if len(self._kept) > KEPT_MAX:
                del self._kept[next(iter(self._kept))]

    def take(self, path: str, content_hash: str) -> T | None:
        """Return what is remembered and forget it, so that two attempts never go on with the same one."""
        with self._lock:
            upload, _ = self._kept.pop((path, content_hash), (None, None))
            return upload

    def take_before(self, moment: datetime) -> list[T]:
        """Return and forget everything that was remembered before `moment`."""
        with self._lock:
            old = [key for key, (_, since) in self._kept.items() if since < moment]
            return [self._kept.pop(key)[0] for key in old]
