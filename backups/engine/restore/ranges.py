"""Which bytes of which packs to ask for: neighbouring blobs are read in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from backups.engine.format import MIB
from backups.engine.format.index import Entry

RANGE_BYTES = 4 * MIB  # one read; with 10 streams and as much plain text this bounds the memory
GAP_BYTES = 64 * 1024  # reading this much for nothing is cheaper than another request
RANGE_BLOBS = 256


class BlobPlace(NamedTuple):
    """One blob in its pack; fields as in `Entry`."""

    blob_id: bytes
    offset: int
    length: int
    plain_length: int


class PackRange(NamedTuple):
    """Consecutive blobs of one pack, by offset."""

    pack_id: str
    blobs: list[BlobPlace]

    @property
    def start(self) -> int:
        return self.blobs[0].offset

    @property
    def length(self) -> int:
        """How much to read [bytes]."""
        last = self.blobs[-1]
        return last.offset + last.length - self.blobs[0].offset


def merge_ranges(wanted: Iterable[tuple[bytes, Entry]]) -> Iterator[PackRange]:
    """Yield ranges that together hold all wanted (blob id, entry) pairs, ordered by pack and offset."""
    ordered = sorted(wanted, key=lambda item: (item[1].pack_id, item[1].offset))
    current: PackRange | None = None
    for blob_id, entry in ordered:
        place = BlobPlace(blob_id, entry.offset, entry.length, entry.plain_length)
        if current is not None and _belongs(current, entry):
            current.blobs.append(place)
            continue
        if current is not None:
            yield current
        current = PackRange(entry.pack_id, [place])
    if current is not None:
        yield current


def _belongs(current: PackRange, entry: Entry) -> bool:
    return (
        current.pack_id == entry.pack_id
        and len(current.blobs) < RANGE_BLOBS
        and entry.offset - (current.start + current.length) <= GAP_BYTES
        and entry.offset + entry.length - current.start <= RANGE_BYTES
    )
