"""What lies at the places of a vault, seen from outside: how far a killed backup had come, and what it left behind."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from providers.stores.local import STALE_SECONDS, UNFINISHED


@dataclass(frozen=True)
class Seen:
    """The files of one copy by name, and the unfinished files of its location."""

    packs: frozenset[str]
    indexes: frozenset[str]
    snapshots: frozenset[str]
    locks: frozenset[str]
    unfinished: dict[Path, int]  # size [bytes]


@dataclass(frozen=True)
class Place:
    """One copy of the vault under test. root: of its location; repository: as stock restic takes it."""

    root: Path
    repository: Path

    def indexes(self) -> frozenset[str]:
        return _names(self.repository / "index")

    def look(self) -> Seen:
        unfinished = {}
        for path in (self.root / UNFINISHED).glob("*"):
            with contextlib.suppress(FileNotFoundError):  # a dying process has just finished it
                unfinished[path] = path.stat().st_size
        packs, snapshots, locks = (_names(self.repository / kind) for kind in ("data", "snapshots", "locks"))
        return Seen(packs, self.indexes(), snapshots, locks, unfinished)


def _names(folder: Path) -> frozenset[str]:
    return frozenset(name for _, _, names in os.walk(folder) for name in names)


def new_snapshots(before: list[Seen], now: list[Seen]) -> set[str]:
    """Return the ids of snapshots that any place shows now and none showed before."""
    return {name for seen in now for name in seen.snapshots} - {name for seen in before for name in seen.snapshots}


def stage(before: list[Seen], now: list[Seen]) -> str:
    """Say in words how far a backup had come by what is at the places, whatever it had told of itself."""
    pairs = list(zip(before, now, strict=True))
    shown = [bool(after.snapshots - was.snapshots) for was, after in pairs]
    indexed = [bool(after.indexes - was.indexes) for was, after in pairs]
    if any(shown):
        return "snapshot everywhere" if all(shown) else "snapshot at some"
    if any(indexed):
        return "index everywhere" if all(indexed) else "index at some"
    if any(after.packs - was.packs for was, after in pairs):
        return "packs"
    if any(after.locks for after in now):
        return "locked"
    return "nothing stored"


def prune_stage(before: list[Seen], now: list[Seen]) -> str:
    """The same of a prune."""
    pairs = list(zip(before, now, strict=True))
    if any(was.packs - after.packs for was, after in pairs):
        return "packs away"
    if any(was.indexes ^ after.indexes for was, after in pairs):
        return "index replaced"
    if any(after.packs - was.packs for was, after in pairs):
        return "packs rewritten"
    if any(was.snapshots - after.snapshots for was, after in pairs):
        return "snapshots away"
    return "locked" if any(after.locks for after in now) else "nothing removed"


def new_packs(before: list[Seen], now: list[Seen]) -> set[str]:
    """Return the packs that any place has now and none had before."""
    return {name for seen in now for name in seen.packs} - {name for seen in before for name in seen.packs}


def let_age(seen: list[Seen]) -> None:
    """Make unfinished files look a day old, so that the next backup has to remove them."""
    then = time.time() - STALE_SECONDS - 3600
    for path in (path for each in seen for path in each.unfinished):
        os.utime(path, (then, then))
