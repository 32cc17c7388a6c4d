"""How the engine tells what it is doing, and how it is told to stop."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

from backups.engine.errors import Cancelled


@dataclass(slots=True)
class Progress:
    """The present state of one operation; plain numbers, copied freely.

    step:         what is happening now: "scan", "read", "upload", "index", "snapshot", "restore", "check" ...
    files_total / bytes_total: what the scan has found so far [files, bytes of source].
    files_done / bytes_done:   finished, new or unchanged [files, bytes of source].
    bytes_new:    stored bytes of new packs, once, not per location [bytes].
    location_bytes: stored so far per location key [bytes].
    total_known:  the scan is complete, so totals will not grow any more (an ETA means something).
    """

    step: str = "start"
    files_total: int = 0
    bytes_total: int = 0
    files_done: int = 0
    bytes_done: int = 0
    bytes_new: int = 0
    total_known: bool = False
    location_bytes: dict[str, int] = field(default_factory=dict)
    location_errors: dict[str, str] = field(default_factory=dict)
    current: str = ""


class Listener(Protocol):
    """Is called often, from engine threads, with the present state; must return at once."""

    def __call__(self, progress: Progress, /) -> None: ...


def ignore(progress: Progress) -> None:
    """A listener that does not listen."""


class CancelToken:
    """Set once by anyone, asked often by the engine."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled if somebody asked to stop."""
        if self._event.is_set():
            raise Cancelled("cancelled on request")
