"""Whether a source, or a disk below it, holds what it should: each is compared by itself with its own best.

Comparing with the state before would believe a loss at the second look, and a slow one at every look; comparing the
sum would let one folder hide another. The number of a file system alone proves nothing: a reboot, an automounter or
another socket gives the same disk another one. It counts together with a loss.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SHRUNK_BELOW = 0.5  # of the best, in files or in bytes
SHRUNK_ELSEWHERE_BELOW = 0.8  # the same, when another disk is there, or none where one was mounted
SAID_MAX = 3  # places named in one sentence


@dataclass(frozen=True, slots=True)
class PlaceFound:
    """A source, or a disk below one, as a backup found it.

    device:  number of the file system, 0 when it was not met.   mounted: another disk than the folder above.
    missing: why it could not be read, "" when it was.
    """

    path: str
    files: int
    size_bytes: int
    device: int = 0
    mounted: bool = False
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The largest that a place was in any snapshot that is trusted and not too old.

    devices: numbers of the file systems that it lay on.   mounted: it was another disk than the folder above.
    missing: it was missing in the newest of them, and a person said that this is as it should be.
    comparable: the same patterns left files out then; if others did, only emptiness can be judged.
    """

    files: int
    size_bytes: int
    devices: frozenset[int] = frozenset()
    mounted: bool = False
    missing: bool = False
    comparable: bool = True


def place_reasons(pairs: Sequence[tuple[PlaceFound, Baseline | None]]) -> dict[str, str]:
    """Return by path which places look wrong, and how.

    pairs: each place that is there or should be, with its best; None for one that was never backed up.
    """
    return {place.path: reason for place, best in pairs if (reason := _reason(place, best))}


def tell(reasons: Mapping[str, str], paths: Iterable[str]) -> str:
    """Return the reasons with what people call each folder, "" when there is none.

    paths: of all folders, so that two of the same name are told apart.
    """
    names = _names([*dict.fromkeys(paths)])
    said = [f"{names[path]}: {reason}" for path, reason in reasons.items()]
    more = [f"And {len(said) - SAID_MAX} more."] if len(said) > SAID_MAX else []
    return " ".join([*said[:SAID_MAX], *more])


def _reason(place: PlaceFound, best: Baseline | None) -> str:
    if place.missing:
        accepted = best is not None and best.missing
        return "" if accepted else f"{place.missing}. Connect its card or disk; older snapshots keep what it held."
    if best is None:
        # Also beside others that hold something: a card that was not in at the first backup leaves an empty folder.
        return "" if place.files or place.mounted else "it is empty. Is its card or disk connected?"
    if best.files and not place.files:
        return f"0 of {best.files:,} files are there. Is its card or disk connected?"
    if not best.comparable:
        return ""
    moved = _lies_elsewhere(place, best)
    below = SHRUNK_ELSEWHERE_BELOW if moved else SHRUNK_BELOW
    if place.files < best.files * below:
        return f"{place.files:,} of {best.files:,} files are there{moved}. Check whether that was meant."
    if place.size_bytes < best.size_bytes * below:
        left = place.size_bytes * 100 // best.size_bytes
        return f"{left} % of its bytes are left{moved}. Check whether that was meant."
    return ""


def _lies_elsewhere(place: PlaceFound, best: Baseline) -> str:
    if best.mounted and not place.mounted:
        return ", and the disk that was connected there is not"
    if place.device and best.devices and place.device not in best.devices:
        return ", on another disk than before"
    return ""


def _names(paths: Iterable[str]) -> dict[str, str]:
    """Return what people call each folder: its own name, its whole path where two have the same."""
    short = {path: os.path.basename(path) or path for path in paths}
    names = list(short.values())
    return {path: name if names.count(name) == 1 else path for path, name in short.items()}
