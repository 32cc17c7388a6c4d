"""Packs: sealed blobs one after the other, then the sealed header, then its length (uint32, little-endian).

A header entry is the type byte (0 data, 1 tree, 2 compressed data, 3 compressed tree), the stored length, for
compressed blobs the plain length, and the blob's id. A pack's name is the SHA-256 of all its bytes.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from backups.engine.errors import Damaged
from backups.engine.format import ID_BYTES, BlobType
from backups.engine.format.compression import decompress
from backups.engine.format.crypto import OVERHEAD_BYTES, SLACK_BYTES, MasterKey

_PLAIN_ENTRY = struct.Struct("<BI32s")
_COMPRESSED_ENTRY = struct.Struct("<BII32s")
_LENGTH = struct.Struct("<I")
_COMPRESSED = 2
HEADER_BYTES_MAX = 16 * 1024**2 + 4  # restic refuses a longer header


class PackedBlob(NamedTuple):
    """Where one blob lies in a pack.

    offset, length: stored place [bytes].   plain_length: 0 when stored uncompressed [bytes].
    """

    blob_id: bytes
    offset: int
    length: int
    plain_length: int

    @property
    def size_bytes(self) -> int:
        """Length of the plain text [bytes]."""
        return self.plain_length or self.length - OVERHEAD_BYTES


def _header(blob_type: BlobType, blobs: Sequence[PackedBlob]) -> bytes:
    return b"".join(
        _COMPRESSED_ENTRY.pack(_COMPRESSED + blob_type, blob.length, blob.plain_length, blob.blob_id)
        if blob.plain_length
        else _PLAIN_ENTRY.pack(blob_type, blob.length, blob.blob_id)
        for blob in blobs
    )


def pack_bytes(blobs: Iterable[PackedBlob]) -> int:
    """Return the length [bytes] of the pack that holds exactly these blobs."""
    total = OVERHEAD_BYTES + _LENGTH.size
    for blob in blobs:
        total += blob.length + (_COMPRESSED_ENTRY.size if blob.plain_length else _PLAIN_ENTRY.size)
    return total


def header_room(blob_count: int) -> int:
    """Return how many bytes of buffer the header of `blob_count` blobs needs at most."""
    return blob_count * _COMPRESSED_ENTRY.size + OVERHEAD_BYTES + SLACK_BYTES + _LENGTH.size


def buffer_bytes(stored_bytes: int) -> int:
    """Return how many bytes of buffer a pack needs that holds one blob of `stored_bytes` plain or compressed bytes."""
    return stored_bytes + OVERHEAD_BYTES + SLACK_BYTES + header_room(1)


class PackBuilder:
    """Collects sealed blobs of one type in a buffer that the caller owns."""

    def __init__(self, key: MasterKey, blob_type: BlobType, buffer: bytearray | mmap.mmap) -> None:
        self.blob_type = blob_type
        self.blobs: list[PackedBlob] = []
        self.length = 0
        self._key = key
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._sealed = PackedBlob(b"", 0, 0, 0)

    def has_room(self, stored_bytes: int) -> bool:
        """Whether a blob of `stored_bytes` plain or compressed bytes, and the header then, still fit."""
        needed = self.length + stored_bytes + OVERHEAD_BYTES + SLACK_BYTES + header_room(len(self.blobs) + 1)
        return needed <= len(self._buffer)

    def add(self, blob_id: bytes, content: bytes | memoryview, plain_length: int, *, verify: bool = True) -> None:
        """Seal one blob into the pack.

        content:      plain text, or its zstd frame when `plain_length` is not 0.
        verify:       open, decompress and hash it again before it may leave (restic #4529: memory does flip bits).

        Raises Damaged when the sealed bytes do not open to `blob_id`.
        """
        start = self.length
        stored = self._key.seal_into(content, self._view, start)
        if verify:
            check_blob(self._key, self._view[start : start + stored], plain_length, blob_id)
        self.blobs.append(PackedBlob(blob_id, start, stored, plain_length))
        self.length = start + stored

    def seal(self, plain: bytes | memoryview, content: bytes | memoryview, plain_length: int) -> bytes:
        """Seal a blob behind the last one and return its id; it is in the pack only after `keep`.

        plain:   its plain text.   content, plain_length: as for `add`.

        The id is the hash of what the sealed bytes open to, which must equal `plain`: one hash names the blob and
        proves it. Raises Damaged when they differ.
        """
        stored = self._key.seal_into(content, self._view, self.length)
        opened = self._key.open_briefly(self._view[self.length : self.length + stored])
        again = decompress(opened, plain_length) if plain_length else opened
        if not _same(again, plain):
            raise Damaged("a sealed blob does not open to what was read: memory or processor make mistakes")
        blob_id = sha256(again).digest()
        self._sealed = PackedBlob(blob_id, self.length, stored, plain_length)
        return blob_id

    def keep(self) -> None:
        """Make the blob that was sealed last part of the pack. Without it the next one takes its place."""
        self.blobs.append(self._sealed)
        self.length = self._sealed.offset + self._sealed.length

    def absorb(self, other: PackBuilder) -> bool:
        """Take over the sealed blobs of `other`, which must not be used afterwards; False if they do not fit."""
        length = self.length + other.length
        if length + header_room(len(self.blobs) + len(other.blobs)) > len(self._buffer):
            return False
        self._view[self.length : length] = other._view[: other.length]
        moved = (PackedBlob(b.blob_id, self.length + b.offset, b.length, b.plain_length) for b in other.blobs)
        self.blobs.extend(moved)
        self.length = length
        other._view.release()
        return True

    def finish(self) -> memoryview:
        """Append the header and return the view of the whole pack; the builder must not be used afterwards."""
        stored = self._key.seal_into(_header(self.blob_type, self.blobs), self._view, self.length)
        end = self.length + stored
        self._view[end : end + _LENGTH.size] = _LENGTH.pack(stored)
        return self._view[: end + _LENGTH.size]


def open_blob(key: MasterKey, stored: bytes | memoryview, plain_length: int, blob_id: bytes) -> bytes | memoryview:
    """Return the plain text of one stored blob; raises Damaged unless its SHA-256 is `blob_id`."""
    return _checked(key.open(stored), plain_length, blob_id)


def check_blob(key: MasterKey, stored: bytes | memoryview, plain_length: int, blob_id: bytes) -> None:
    """Raise Damaged unless the SHA-256 of the stored blob's plain text is `blob_id`."""
    _checked(key.open_briefly(stored), plain_length, blob_id)


def _same(text: bytes | memoryview, other: bytes | memoryview) -> bool:
    """Whether two texts are equal. `startswith` compares memory; `==` of views unpacks every single byte."""
    whole: bytes | bytearray = text.obj if isinstance(text, memoryview) else text  # type: ignore[assignment]
    return len(text) == len(other) and whole.startswith(other)


def _checked(plain: memoryview, plain_length: int, blob_id: bytes) -> bytes | memoryview:
    content = decompress(plain, plain_length) if plain_length else plain
    if sha256(content).digest() != blob_id:
        raise Damaged(f"blob {blob_id.hex()[:12]} has another content than its name says")
    return content


def header_length(tail: bytes) -> int:
    """Return the stored length [bytes] of the header, from the last four bytes of a pack. Raises Damaged."""
    length: int = _LENGTH.unpack(tail[-_LENGTH.size :])[0]
    if not OVERHEAD_BYTES < length <= HEADER_BYTES_MAX:
        raise Damaged(f"a pack claims a header of {length} bytes")
    return length


def read_header(key: MasterKey, tail: bytes, pack_bytes: int) -> tuple[BlobType, list[PackedBlob]]:
    """Return the blob type and blobs of a pack from its last bytes.

    tail:       at least the header and its length field.
    pack_bytes: length of the whole pack [bytes].

    Raises Damaged when the header does not fit the pack, mixes types or is empty.
    """
    length = header_length(tail)
    if length + _LENGTH.size > len(tail):
        raise Damaged("a pack is shorter than its header")
    entries = bytes(key.open(tail[-_LENGTH.size - length : -_LENGTH.size]))
    blobs: list[PackedBlob] = []
    types: set[int] = set()
    position = offset = 0
    while position < len(entries):
        kind = entries[position]
        try:
            if kind >= _COMPRESSED:
                _, stored, plain, blob_id = _COMPRESSED_ENTRY.unpack_from(entries, position)
                position += _COMPRESSED_ENTRY.size
            else:
                (_, stored, blob_id), plain = _PLAIN_ENTRY.unpack_from(entries, position), 0
                position += _PLAIN_ENTRY.size
        except struct.error as exc:
            raise Damaged("a pack header ends in the middle of an entry") from exc
        types.add(kind % _COMPRESSED)
        blobs.append(PackedBlob(blob_id, offset, stored, plain))
        offset += stored
    if offset + length + _LENGTH.size != pack_bytes or not blobs or len(blobs[0].blob_id) != ID_BYTES:
        raise Damaged("a pack header does not fit its pack")
    if len(types) != 1:
        raise Damaged("a pack mixes data and trees")
    return BlobType(types.pop()), blobs
