"""Whether a vault is safe: facts in, findings out. Green is what nothing is found against.

Pure: no database, no clock. Everything that a sentence claims is a fact here: where the newest state lies, whether
those places answer now, whether all of it was ever read back, how old it is, what a person should have looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backups.policy.redundancy import Place, judge

READ_EVERY = timedelta(days=7)  # the cycle of whole readings
SKEW = timedelta(minutes=10)  # two machines' clocks may differ by so much
READ_GRACE = timedelta(days=2)  # what a reading may be late by itself: large copies are read in parts, one a day


class Level(enum.StrEnum):
    SAFE = "safe"
    EMPTY = "empty"
    ATTENTION = "attention"
    DANGER = "danger"


class Cause(enum.StrEnum):
    """What a finding is about; decides how it is told to whoever may not read of places."""

    NOTHING_YET = "nothing yet"
    NEVER_SAFE = "never safe"
    NOT_SAFE_YET = "not safe yet"
    TOO_CLOSE = "too close"
    AWAY = "away"
    BEHIND = "behind"
    DAMAGED = "damaged"
    NOT_READ = "not read"
    ARCHIVED = "archived"
    RESIDENCY = "residency"
    SUSPICIOUS = "suspicious"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that speaks against green. sentence: for the platform's own people."""

    level: Level
    cause: Cause
    sentence: str


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """One copy of a vault.

    place:    what its place is worth (failure domain, countable).
    state:    of the copy: "current", "behind", "unreachable", "damaged" or "empty"; words: the same for people.
    away:     why its place cannot be reached now, in words; "" while it answers.
    online:   whether what lies there can be read within seconds.
    read_at:  when the reading of every byte began that found all of it right; None: never.
    since:    since when there is anything to read.
    abroad:   why it should not lie there by law, in words; "" where nothing speaks against it.
    """

    place: Place
    state: str
    words: str
    away: str
    online: bool
    read_at: datetime | None
    since: datetime
    abroad: str

    @property
    def serves(self) -> bool:
        """Whether it would give everything back, now."""
        return self.state == "current" and not self.away and self.online


def read_late(read_at: datetime | None, since: datetime, now: datetime) -> bool:
    """Whether the whole reading of a copy is overdue; one that is dated ahead proves nothing.

    read_at, since: as in CopyFacts.
    """
    age = now - (since if read_at is None else read_at)
    return not -SKEW <= age <= READ_EVERY + READ_GRACE


@dataclass(frozen=True, slots=True)
class VaultFacts:
    """One vault.

    name:         what it protects, in words.
    has_snapshot: whether there is any.   ever_safe: whether one was ever acknowledged.   newest_safe: the newest one.
    age:          of the newest safe state (else of the newest), in words;   fresh: whether it keeps the promise.
    suspicion:    why the newest state must not be trusted, "" if it may.
    """

    name: str
    has_snapshot: bool
    ever_safe: bool
    newest_safe: bool
    age: str
    fresh: bool
    suspicion: str
    copies_needed: int
    domains_needed: int
    copies: Sequence[CopyFacts]


def findings_of(vault: VaultFacts, now: datetime) -> list[Finding]:
    """Return what speaks against green, the gravest first; nothing when the vault is safe."""
    if not vault.has_snapshot:
        return [Finding(Level.EMPTY, Cause.NOTHING_YET, f"{vault.name}: not backed up yet.")]
    found = [*_of_snapshots(vault), *_of_places(vault), *_of_copies(vault, now)]
    return sorted(dict.fromkeys(found), key=lambda finding: finding.level is not Level.DANGER)


def _of_snapshots(vault: VaultFacts) -> Iterator[Finding]:
    close = _too_close(vault)
    if not vault.ever_safe and not close:
        yield Finding(Level.DANGER, Cause.NEVER_SAFE, f"{vault.name}: no backup has reached enough places yet.")
        return
    if vault.suspicion:
        yield Finding(Level.ATTENTION, Cause.SUSPICIOUS, f"{vault.name}: {vault.suspicion}")
    if not vault.newest_safe and not close:
        sentence = f"{vault.name}: the newest backup has not reached enough places yet."
        yield Finding(Level.ATTENTION, Cause.NOT_SAFE_YET, sentence)
    if not vault.fresh:
        yield Finding(Level.ATTENTION, Cause.STALE, f"{vault.name}: the newest backup is from {vault.age}.")


def _of_places(vault: VaultFacts) -> Iterator[Finding]:
    """How many places would give everything back now, and whether they can be lost together."""
    serving = [copy for copy in vault.copies if copy.serves]
    counted = [copy for copy in serving if copy.place.countable]
    if not serving:
        yield Finding(Level.DANGER, Cause.AWAY, f"{vault.name}: {_why_none(vault)}")
        return
    redundancy = judge([copy.place for copy in serving])
    if redundancy.gap and len(counted) >= vault.copies_needed:
        yield Finding(Level.ATTENTION, Cause.TOO_CLOSE, redundancy.gap)
    elif len(counted) < vault.copies_needed or redundancy.domains < vault.domains_needed:
        places = "1 place has" if len(counted) == 1 else f"{len(counted)} places have"
        sentence = f"{vault.name}: {places} all of it and can give it back now; {vault.copies_needed} are needed."
        yield Finding(Level.ATTENTION, Cause.NOT_SAFE_YET, sentence)
    elif redundancy.gap:
        yield Finding(Level.ATTENTION, Cause.TOO_CLOSE, redundancy.gap)


def _why_none(vault: VaultFacts) -> str:
    if any(copy.state == "current" and copy.online for copy in vault.copies):
        return "no place that has all of it answers."
    if any(copy.state == "current" for copy in vault.copies):
        return "all of it lies in archive classes, which take hours to read."
    return "no complete copy is left."


def _too_close(vault: VaultFacts) -> bool:
    """Whether copies are enough, and only their places are the trouble."""
    held = [copy.place for copy in vault.copies if copy.state == "current"]
    return len(held) >= vault.copies_needed and bool(judge(held).gap)


def _of_copies(vault: VaultFacts, now: datetime) -> Iterator[Finding]:
    for copy in vault.copies:
        where = f"{vault.name}: the copy at {copy.place.name}"
        if copy.state == "damaged":
            yield Finding(Level.ATTENTION, Cause.DAMAGED, f"{where} is {copy.words}.")
        elif copy.away and copy.state != "empty":
            yield Finding(Level.ATTENTION, Cause.AWAY, f"{where} cannot be reached: {copy.away}.")
        elif copy.state not in {"current", "empty"}:
            yield Finding(Level.ATTENTION, Cause.BEHIND, f"{where} is {copy.words}.")
        elif copy.state == "current" and read_late(copy.read_at, copy.since, now):
            told = "has never been read back as a whole" if copy.read_at is None else "was not read back in time"
            yield Finding(Level.ATTENTION, Cause.NOT_READ, f"{where} {told}.")
        if copy.state != "empty" and not copy.online:
            yield Finding(Level.ATTENTION, Cause.ARCHIVED, f"{where} is in an archive class: reading it takes hours.")
        if copy.state != "empty" and copy.abroad:
            yield Finding(Level.ATTENTION, Cause.RESIDENCY, f"{where} is in the wrong place: {copy.abroad}.")
