"""Names of documents that every service and every client's computer can show."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from providers.stores.base import PART_BYTES_MAX

_FORBIDDEN = frozenset('\\:*?"<>|/')
_SHOWN = ("L", "M", "N", "P", "S")
STAND_IN = "_"


def readable_part(name: bytes) -> str:
    """Return one part of a path as text without what some service refuses; never empty."""
    text = unicodedata.normalize("NFC", name.decode("utf-8", "replace"))
    shown = "".join(sign if _is_shown(sign) else STAND_IN for sign in text).strip(" ").rstrip(".")
    shown = shown.rstrip(" ")
    if not shown or shown[0] == ".":
        shown = STAND_IN + shown.lstrip(".")
    return _shortened(shown)


def readable_names(paths: Iterable[bytes]) -> dict[bytes, str]:
    """Return a readable name for each path, no two of which differ by case only."""
    names: dict[bytes, str] = {}
    taken: set[str] = set()
    for path in sorted(paths):
        name = "/".join(readable_part(part) for part in path.split(b"/") if part)
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = numbered(name, number)
        taken.add(free.casefold())
        names[path] = free
    return names


def _is_shown(sign: str) -> bool:
    return sign == " " or (sign not in _FORBIDDEN and unicodedata.category(sign)[0] in _SHOWN)


def numbered(name: str, number: int) -> str:
    """Return a path with a number before its ending: "Plan.pdf" as "Plan (2).pdf"."""
    folder, slash, leaf = name.rpartition("/")
    stem, dot, ending = leaf.rpartition(".")
    leaf = f"{stem} ({number}){dot}{ending}" if stem else f"{leaf} ({number})"
    return f"{folder}{slash}{_shortened(leaf)}"


def _shortened(part: str) -> str:
    """Cut a part in the middle until it fits, and keep its ending."""
    stem, dot, ending = part.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        stem, dot, ending = part, "", ""
    while len(f"{stem}{dot}{ending}".encode()) > PART_BYTES_MAX:
        stem = stem[:-1]
    return f"{stem.rstrip('. ') or STAND_IN}{dot}{ending}"
