"""The index: in which pack, and where in it, each blob lies. In memory one dictionary per blob type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from backups.engine.errors import BlobMissing, Damaged
from backups.engine.format import INDEX_BLOBS_MAX, BlobType
from backups.engine.format.crypto import OVERHEAD_BYTES
from backups.engine.format.pack import PackedBlob


class Entry(NamedTuple):
    """Place of one blob. pack_id: hex.  offset, length: stored [bytes].  plain_length: 0 if not compressed."""

    pack_id: str
    offset: int
    length: int
    plain_length: int

    @property
    def size_bytes(self) -> int:
        """Length of the plain text [bytes]."""
        return self.plain_length or self.length - OVERHEAD_BYTES


class PackRecord(NamedTuple):
    """One pack as an index file lists it."""

    pack_id: str
    blob_type: BlobType
    blobs: list[PackedBlob]

    @property
    def blob_bytes(self) -> int:
        """Stored length of all its blobs [bytes], without the header."""
        return sum(blob.length for blob in self.blobs)


class Index:
    """All blobs of a repository."""

    def __init__(self) -> None:
        self._entries: dict[BlobType, dict[bytes, Entry]] = {BlobType.DATA: {}, BlobType.TREE: {}}
        self.packs: set[str] = set()

    def add(self, record: PackRecord) -> None:
        entries = self._entries[record.blob_type]
        self.packs.add(record.pack_id)
        for blob in record.blobs:
            entries[blob.blob_id] = Entry(record.pack_id, blob.offset, blob.length, blob.plain_length)

    def get(self, blob_type: BlobType, blob_id: bytes) -> Entry:
        """Return the entry; raises BlobMissing."""
        entry = self._entries[blob_type].get(blob_id)
        if entry is None:
            raise BlobMissing(f"{blob_type.label} blob {blob_id.hex()[:12]} is in no index")
        return entry

    def has(self, blob_type: BlobType, blob_id: bytes) -> bool:
        return blob_id in self._entries[blob_type]

    def ids(self, blob_type: BlobType) -> Iterable[bytes]:
        return self._entries[blob_type].keys()

    def entries(self, blob_type: BlobType) -> Mapping[bytes, Entry]:
        return self._entries[blob_type]

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._entries.values())


def encode_records(records: Iterable[PackRecord]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of index files for `records`, about INDEX_BLOBS_MAX blobs each."""
    packs: list[dict[str, Any]] = []
    count = 0
    for record in records:
        label = record.blob_type.label
        blobs = []
        for blob in record.blobs:
            fields: dict[str, Any] = {
                "id": blob.blob_id.hex(),
                "type": label,
                "offset": blob.offset,
                "length": blob.length,
            }
            if blob.plain_length:
                fields["uncompressed_length"] = blob.plain_length
            blobs.append(fields)
        packs.append({"id": record.pack_id, "blobs": blobs})
        count += len(blobs)
        if count >= INDEX_BLOBS_MAX:
            yield {"packs": packs}
            packs, count = [], 0
    if packs:
        yield {"packs": packs}


def decode_records(document: Mapping[str, Any]) -> Iterator[PackRecord]:
    """Yield the packs of one index file. A pack that mixes types (restic before 0.8) yields one record per type.

    Raises Damaged when the document is no index.
    """
    try:
        for pack in document["packs"]:
            by_type: dict[str, list[PackedBlob]] = {}
            for blob in pack["blobs"] or ():
                by_type.setdefault(blob["type"], []).append(
                    PackedBlob(
                        bytes.fromhex(blob["id"]), blob["offset"], blob["length"], blob.get("uncompressed_length", 0)
                    )
                )
            for label, blobs in by_type.items():
                yield PackRecord(pack["id"], BlobType.of_label(label), blobs)
    except (KeyError, TypeError, ValueError) as exc:
        raise Damaged("an index file cannot be read") from exc
