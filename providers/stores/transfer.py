"""Moving bytes: notice a transfer that crawls, and send a buffer without copying it."""

from __future__ import annotations

import io

from wedbackup.core.clock import Clock

SEND_BYTES = 128 * 1024
SLOWEST_BYTES_PER_SECOND = 4 * 1024  # below it a pack of 16 MiB would take over an hour
PATIENCE_SECONDS = 20.0


class Pace:
    """Notices a transfer that crawls: each piece arrives within the time limit, the whole would take days."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()

    def check(self, done_bytes: int) -> None:
        """Raise TimeoutError if `done_bytes` [bytes] so far are too few for the time that has passed."""
        seconds = self._clock.monotonic() - self._began
        if seconds > PATIENCE_SECONDS and done_bytes < seconds * SLOWEST_BYTES_PER_SECOND:
            raise TimeoutError(f"only {done_bytes} bytes in {seconds:.0f} s")


class Body:
    """A file-like view of a buffer, since the SDK takes bytes or files but no memoryview.

    Slices go to the socket as they are: nothing is copied, whatever the size.
    """

    def __init__(self, view: memoryview, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self._position = 0

    def read(self, size: int = -1) -> memoryview:
        """Return the next piece. At least SEND_BYTES: http.client asks for 16 KiB at a time otherwise."""
        self._pace.check(self._position)
        end = len(self._view) if size < 0 else self._position + max(size, SEND_BYTES)
        piece = self._view[self._position : end]
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def __len__(self) -> int:
        return len(self._view)
