"""Which copy the others are measured by, and how each of them stands to it. Compares listings, reads nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from backups.engine.format import FileKind
from backups.engine.upkeep.copies import Listing


@dataclass(frozen=True, slots=True)
class Standing:
    """How the copies of one vault stand to each other, by label.

    pattern: the most complete one.
    equal:   list exactly the same, the pattern among them: what is done to one can be done to all.
    lagging: have no snapshot that the pattern lacks: they can be brought in line with it.
    apart:   have snapshots that the pattern lacks.
    """

    pattern: str
    equal: tuple[str, ...]
    lagging: tuple[str, ...]
    apart: tuple[str, ...]


def compare(listings: Mapping[str, Listing], *, unpruned: Collection[str], full: Collection[str]) -> Standing:
    """Choose the pattern and sort the others by it.

    listings: at least one, the preferred copy first.
    unpruned: copies that missed a prune: only when there is no other is one of them the pattern.
    full:     copies without room for a single file: nothing is written to them along with the others.
    """
    with_room = [label for label in listings if label not in full] or list(listings)
    eligible = [label for label in with_room if label not in unpruned] or with_room
    pattern = max(eligible, key=lambda label: _completeness(listings[label]))
    measure = listings[pattern]
    groups: dict[str, list[str]] = {"equal": [], "lagging": [], "apart": []}
    for label, listing in listings.items():
        if listing[FileKind.SNAPSHOTS].keys() - measure[FileKind.SNAPSHOTS].keys():
            groups["apart"].append(label)
        elif label == pattern or (label not in full and _same(listing, measure)):
            groups["equal"].append(label)
        else:
            groups["lagging"].append(label)
    return Standing(pattern, tuple(groups["equal"]), tuple(groups["lagging"]), tuple(groups["apart"]))


def _completeness(listing: Listing) -> tuple[int, int]:
    return len(listing[FileKind.SNAPSHOTS]), len(listing[FileKind.DATA])


def _same(one: Listing, other: Listing) -> bool:
    kinds = (FileKind.SNAPSHOTS, FileKind.INDEX, FileKind.DATA)
    return all(one[kind] == other[kind] for kind in kinds)
