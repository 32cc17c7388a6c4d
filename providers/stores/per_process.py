"""An SDK's client that is made at its first use, once in each process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds one `T` per process: a client that was made before a fork shares its sockets with the parent.

    make:  returns a new one; must not use the network, everybody else waits for it.
    close: gives one back; called only in the process that made it.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], None]) -> None:
        self._make, self._close = make, close
        self._lock = threading.Lock()
        self._made: T | None = None
        self._pid = 0

    def get(self) -> T:
        """Return this process's own, making it if need be."""
        with self._lock:
            if self._made is None or self._pid != os.getpid():
                self._made, self._pid = self._make(), os.getpid()
            return self._made

    def close(self) -> None:
        """Give it back; the next `get` makes a new one."""
        with self._lock:
            if self._made is not None and self._pid == os.getpid():
                self._close(self._made)
            self._made = None
