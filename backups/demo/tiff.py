"""Write TIFF directories: the frame of both EXIF and DNG.

Little-endian, classic TIFF 6.0. Only what the demo's cameras need; reading is the business of others.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL = 1, 2, 3, 4, 5, 7, 10

_FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "I", UNDEFINED: "B", SRATIONAL: "i"}
_HEADER = 8  # [bytes]

Value = str | bytes | tuple[int, ...]
Fields = dict[int, tuple[int, Value]]


@dataclass
class Ifd:
    """One directory: fields by tag, directories it points to, and at most one block of content.

    fields:    tag -> (type, value); str for ASCII, bytes for BYTE and UNDEFINED, otherwise a tuple
               of whole numbers (rationals: numerator, denominator, numerator, ...).
    children:  pointer tag -> directory, e.g. 0x8769 (EXIF), 0x014A (SubIFDs).
    content:   (offset tag, length tag, bytes): a strip or an embedded JPEG.
    """

    fields: Fields
    children: dict[int, Ifd] = field(default_factory=dict)
    content: tuple[int, int, bytes] | None = None


def assemble(chain: Sequence[Ifd]) -> bytes:
    """Return a whole TIFF file: the directories of `chain` follow each other, their children are reached by pointer."""
    every = [member for head in chain for member in _family(head)]
    position = _HEADER
    starts: dict[int, int] = {}
    for ifd in every:
        starts[id(ifd)] = position
        position += _length(ifd)
    contents: dict[int, int] = {}
    for ifd in every:
        if ifd.content:
            contents[id(ifd)] = position
            position += len(ifd.content[2]) + len(ifd.content[2]) % 2
    parts = [struct.pack("<2sHI", b"II", 42, _HEADER)]
    following = {id(here): starts[id(there)] for here, there in itertools.pairwise(chain)}
    for ifd in every:
        parts.append(_render(ifd, starts, contents.get(id(ifd), 0), following.get(id(ifd), 0)))
    for ifd in every:
        if ifd.content:
            parts += [ifd.content[2], b"\0" * (len(ifd.content[2]) % 2)]
    return b"".join(parts)


def _family(ifd: Ifd) -> list[Ifd]:
    return [ifd, *(member for child in ifd.children.values() for member in _family(child))]


def _encode(kind: int, value: Value) -> tuple[int, bytes]:
    """Return (number of values, their bytes)."""
    if isinstance(value, str):
        raw = value.encode("utf-8") + b"\0"
        return len(raw), raw
    raw = struct.pack(f"<{len(value)}{_FORMATS[kind]}", *value)
    return len(value) // (2 if kind in (RATIONAL, SRATIONAL) else 1), raw


def _padded(raw: bytes) -> int:
    """Return the room that a value takes outside its entry [bytes]; values of 4 bytes or less sit inside."""
    return 0 if len(raw) <= 4 else len(raw) + len(raw) % 2


def _length(ifd: Ifd) -> int:
    entries = len(ifd.fields) + len(ifd.children) + (2 if ifd.content else 0)
    outside = sum(_padded(_encode(kind, value)[1]) for kind, value in ifd.fields.values())
    return 2 + 12 * entries + 4 + outside


def _render(ifd: Ifd, starts: dict[int, int], content_at: int, next_at: int) -> bytes:
    fields = dict(ifd.fields)
    fields.update({tag: (LONG, (starts[id(child)],)) for tag, child in ifd.children.items()})
    if ifd.content:
        offset_tag, length_tag, content = ifd.content
        fields[offset_tag] = (LONG, (content_at,))
        fields[length_tag] = (LONG, (len(content),))
    entries, outside = [], []
    outside_at = starts[id(ifd)] + 2 + 12 * len(fields) + 4
    for tag in sorted(fields):  # TIFF 6.0, page 15: ascending order
        kind, value = fields[tag]
        count, raw = _encode(kind, value)
        room = _padded(raw)
        inside = struct.pack("<I", outside_at) if room else raw.ljust(4, b"\0")
        entries.append(struct.pack("<HHI", tag, kind, count) + inside)
        outside.append(raw.ljust(room, b"\0") if room else b"")
        outside_at += room
    return struct.pack("<H", len(fields)) + b"".join(entries) + struct.pack("<I", next_at) + b"".join(outside)
