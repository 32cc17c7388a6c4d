"""Names for a disk that cannot take all names: readable ones, no two of them one to that disk, the same at each run.

Equal input gives equal names, so that an interrupted restore finds what it made.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import chain
from typing import NamedTuple

from backups.engine.format.gonames import quote_name
from backups.engine.restore.disk import Disk
from backups.engine.restore.plan import ROOT, Folder, Item, Plan
from backups.policy.names import numbered, readable_part

_REFUSED_BY_WINDOWS = re.compile(rb'[\x00-\x1f\x7f\\/:*?"<>|]|[. ]\Z')
_RESERVED = re.compile(rb"(con|prn|aux|nul|com[0-9]|lpt[0-9])[ ]*(\.|\Z)", re.IGNORECASE)


class Renamed(NamedTuple):
    """Something that was made under another name. path: from the restore's root.   made: its last part on the disk."""

    path: bytes
    made: bytes

    def __str__(self) -> str:
        return f"{quote_name(self.path)}: made as {quote_name(self.made)}"


def give_names(plan: Plan, disk: Disk) -> list[Renamed]:
    """Set the names that the plan's entries get on `disk`; return those that differ from the backed-up ones."""
    items = (*plan.files, *plan.hard_links, *plan.others)
    lengths = chain(map(_length, plan.folders), map(_length, items))
    if disk.takes_all and max(lengths) <= disk.longest:
        return []
    siblings: dict[int, list[Folder | Item]] = {}
    for number, folder in enumerate(plan.folders):
        if number != ROOT and folder.wanted:
            siblings.setdefault(folder.parent, []).append(folder)
    for item in items:
        siblings.setdefault(item.folder, []).append(item)
    renamed: list[Renamed] = []
    for number, entries in siblings.items():
        base = plan.folder_path(number)
        for entry in _name(entries, disk):
            path = base + b"/" + entry.original if base else entry.original
            renamed.append(Renamed(path, entry.name))
    return renamed


def _length(entry: Folder | Item) -> int:
    return len(entry.original)


def _name(entries: list[Folder | Item], disk: Disk) -> list[Folder | Item]:
    """Name what stands in one folder; return what got another name. Who can keep its name goes first."""
    taken: set[str] = set()
    changed = []
    for entry in sorted(entries, key=lambda entry: (not _fits(entry.original, disk), entry.original)):
        wanted = entry.original if _fits(entry.original, disk) else _readable(entry.original, disk)
        free, number = wanted, 1
        while _key(free, disk) in taken:
            number += 1
            free = numbered(wanted.decode("utf-8", "replace"), number).encode()
        taken.add(_key(free, disk))
        if free != entry.original:
            entry.called = free
            changed.append(entry)
    return changed


def _fits(name: bytes, disk: Disk) -> bool:
    if len(name) > disk.longest:
        return False
    if disk.windows and (_REFUSED_BY_WINDOWS.search(name) or _RESERVED.match(name)):
        return False
    return not disk.text_only or b"\xef\xbf\xbd" in name or "\ufffd" not in name.decode("utf-8", "replace")


def _readable(name: bytes, disk: Disk) -> bytes:
    shown = readable_part(name).encode()
    return b"_" + shown if disk.windows and _RESERVED.match(shown) else shown


def _key(name: bytes, disk: Disk) -> str:
    text = name.decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()) if disk.folds else text
