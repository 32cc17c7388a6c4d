"""A folder that the Carbonite client on this machine protects.

What is special here:
- Carbonite has no public interface: nobody but its own client can put, read or check anything there. The honest
  integration is a folder that the client is told to protect. We write plain documents into it, and what we can prove
  ends at this machine's disk. Whether Carbonite holds a copy is unverifiable for us: it never counts as one.
- Two things tell a dead client from a living one. A marker file in the folder is renewed each day; a person who
  restores it through Carbonite and hands its text back proves what Carbonite held (`marker_moment`). And the client
  writes a log on its machine: when that has not changed for `fresh_hours`, the client is not running (`freshness`).
- Left out by the client unless a person adds them: hidden files, films and files over 4 GB; what is deleted here
  disappears there within 60 days, what is taken out of the backup within 72 hours.

Limits: https://support.carbonite.com/articles/Pro-Mac-Windows-Important-Things-to-Know-About-Carbonite-Safe-Backup-Pro-as-You-Get-Started
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from providers.stores.base import Capabilities, Checksum, Holds
from providers.stores.errors import ObjectNotFound
from providers.stores.local import LocalOptions, LocalStore
from providers.stores.options import InvalidOptions, option

CLIENT_FILE_BYTES_MAX = 4 * 1024**3
MARKER_NAME = "wedbackup marker.txt"
MARKER_AGE = timedelta(days=1)
_MARKER = re.compile(r"written (\S+) code ([0-9a-f]{16})")


@dataclass(frozen=True)
class CarboniteOptions(LocalOptions):
    """Where the protected folder is, and how to see whether the client is alive."""

    client_log: str = option(
        "File that the client keeps writing",
        default="",
        text="A log of the Carbonite client, as an absolute path; when it stops changing, the client is not running.",
    )
    fresh_hours: float = option("Client is silent after [h]", default=48.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.client_log and not os.path.isabs(self.client_log):
            raise InvalidOptions("option client_log: write the whole path of the file, beginning with /")
        if self.fresh_hours <= 0:
            raise InvalidOptions("option fresh_hours: write a number of hours above 0")


class Life(enum.StrEnum):
    """What can be said about the client; there is no state that says "protected"."""

    SEEN = "seen"
    SILENT = "silent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether the client seems to be alive; words are for a person."""

    life: Life
    words: str


class CarboniteStore(LocalStore):
    """The protected folder, for plain documents."""

    Options = CarboniteOptions
    capabilities = Capabilities(
        connections=8,
        max_object_bytes=CLIENT_FILE_BYTES_MAX,
        checksum=Checksum.READ_BACK,
        countable=False,
        holds=Holds.DOCUMENTS,
    )
    options: CarboniteOptions

    def freshness(self) -> Freshness:
        """Say whether the client shows signs of life. Raises LocationMissing when the folder itself is gone."""
        with self._root():
            pass
        if not self.options.client_log:
            return Freshness(
                Life.UNKNOWN,
                "Unverifiable: Carbonite tells nobody what it holds, and no file of its client is being watched.",
            )
        try:
            seen = datetime.fromtimestamp(os.stat(self.options.client_log).st_mtime, UTC)
        except OSError as exc:
            return Freshness(
                Life.SILENT, f"The client's file {self.options.client_log} cannot be looked at: {exc.strerror}."
            )
        hours = (self._clock.utcnow() - seen).total_seconds() / 3600
        if hours > self.options.fresh_hours:
            return Freshness(Life.SILENT, f"The Carbonite client wrote nothing for {hours:.0f} hours: is it running?")
        return Freshness(Life.SEEN, "Unverifiable, but the Carbonite client is running on this machine.")

    def marker_renew(self) -> bool:
        """Write the marker anew if it is older than a day; return whether that was needed."""
        now = self._clock.utcnow()
        with contextlib.suppress(ObjectNotFound):
            written = self.marker_moment(self.get(MARKER_NAME).decode("utf-8", "replace"))
            if written is not None and timedelta(0) <= now - written < MARKER_AGE:
                return False
        moment = now.isoformat(timespec="seconds")
        text = (
            "This file shows whether Carbonite protects this folder. Restore it through Carbonite to another place,\n"
            "then paste the next line into the location's page: it proves what Carbonite held at that moment.\n"
            f"written {moment} code {self._code(moment)}\n"
        )
        self.put(MARKER_NAME, text.encode())
        return True

    def marker_moment(self, text: str) -> datetime | None:
        """Return when the marker in `text` was written (aware UTC); None if it is no marker of this folder."""
        found = _MARKER.search(text)
        if not found or found[2] != self._code(found[1]):
            return None
        try:
            return datetime.fromisoformat(found[1])
        except ValueError:
            return None

    def _code(self, moment: str) -> str:
        """Return what tells a marker of this folder from one of another, or from a typing error."""
        return hashlib.sha256(f"{self._read_marker()} {moment}".encode()).hexdigest()[:16]
