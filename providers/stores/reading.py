"""Reading what is stored: a range, an answer to its end, and a whole object piece by piece for its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from providers.stores.base import ObjectStore
from providers.stores.errors import StoreUnavailable
from providers.stores.transfer import Pace
from wedbackup.core.clock import Clock

RECEIVE_BYTES = 256 * 1024
READ_BACK_BYTES = 8 * 1024 * 1024


def received(pieces: Iterable[bytes], clock: Clock) -> bytes:
    """Return the `pieces` of an answer as one; raise TimeoutError if they come in at a crawl."""
    pace, parts, position = Pace(clock), [], 0
    for piece in pieces:
        parts.append(piece)
        position += len(piece)
        pace.check(position)
    return b"".join(parts)


def range_header(offset: int, length: int | None) -> str:
    """Return the value of the header Range for `length` bytes from `offset` on; up to the end for None."""
    return f"bytes={offset}-{'' if length is None else offset + length - 1}"


def cut_out(content: bytes, offset: int, length: int | None) -> bytes:
    """Return what was asked for out of an answer that has everything: some servers ignore ranges."""
    return content[offset:] if length is None else content[offset : offset + length]


def sha256_by_reading(store: ObjectStore, name: str, size_bytes: int) -> str:
    """Return the SHA-256 (lower-case hex) of the object `name`, reading all its `size_bytes` in ranges."""
    digest, position = hashlib.sha256(), 0
    while position < size_bytes:
        piece = store.get(name, offset=position, length=READ_BACK_BYTES)
        if not piece:
            raise StoreUnavailable(f"{name} became shorter while it was read")
        digest.update(piece)
        position += len(piece)
    return digest.hexdigest()
