"""One page of memory that the parent and its worker processes share: which destinations are still in this run.

A byte per destination, written whole, read often, never locked. The page is an unnamed file, so it is gone with the
last process that maps it, however that process ends.
"""

from __future__ import annotations

import mmap
import os

_PAGE_BYTES = 4096
_CANCELLED_AT = _PAGE_BYTES - 1

IN, FAILED, LAGGING = 0, 1, 2


class Board:
    """States of the destinations of one run, by their position in the request."""

    def __init__(self, fd: int | None = None) -> None:
        """fd: of another process's board; None makes a new one."""
        if fd is None:
            fd = os.memfd_create("wedbackup-board", os.MFD_CLOEXEC)
            os.ftruncate(fd, _PAGE_BYTES)
        self.fd = fd
        self._page = mmap.mmap(fd, _PAGE_BYTES)

    def is_in(self, destination: int) -> bool:
        """Whether this destination still takes part."""
        return self._page[destination] == IN

    def drop(self, destination: int, state: int) -> None:
        """Take a destination out of this run; `state` is FAILED or LAGGING. The first reason stays."""
        if self._page[destination] == IN:
            self._page[destination] = state

    def is_lagging(self, destination: int) -> bool:
        return self._page[destination] == LAGGING

    def cancel(self) -> None:
        """Ask everybody to stop."""
        self._page[_CANCELLED_AT] = 1

    @property
    def cancelled(self) -> bool:
        return self._page[_CANCELLED_AT] != 0

    def close(self) -> None:
        """Close the descriptor. The page itself stays while anybody looks at it, such as an upload that hangs."""
        os.close(self.fd)
