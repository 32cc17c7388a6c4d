"""From plain text to a pack on its way: hash, claim, compress, seal, verify, choose a pack, send.

Two data packs are open at a time and each blob goes into one of them by chance: an observer who sees only pack sizes
cannot line chunk lengths up with a known file (eprint 2025/532). One writer belongs to one thread.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from hashlib import sha256

from backups.engine.backup.claims import Claims
from backups.engine.backup.fanout import FanOut
from backups.engine.backup.messages import Message, PackSealed
from backups.engine.format import PACK_TARGET_BYTES, BlobType
from backups.engine.format.compression import compress_if_worth
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import PackRecord
from backups.engine.format.pack import PackBuilder

OPEN_DATA_PACKS = 2
OPEN_TREE_PACKS = 1
_TINY_BYTES = 64  # zstd's frame costs more than it can save
_DICE = 256


class BlobWriter:
    """Stores blobs of one type; each is stored once."""

    def __init__(
        self,
        key: MasterKey,
        blob_type: BlobType,
        claims: Claims,
        fan_out: FanOut,
        report: Callable[[Message], None],
        level: int,
    ) -> None:
        self._key = key
        self._type = blob_type
        self._claims = claims
        self._fan_out = fan_out
        self._report = report
        self._level = level
        self._dice = bytearray()
        count = OPEN_DATA_PACKS if blob_type is BlobType.DATA else OPEN_TREE_PACKS
        self._open: list[tuple[PackBuilder, mmap.mmap] | None] = [None] * count

    def store(self, plain: bytes | memoryview, *, compressible: bool = True) -> bytes:
        """Return the id of `plain`, which is in a pack from now on, or was before.

        compressible: False when the format is known to be compressed already.
        Raises Damaged when memory flips bits, Cancelled.
        """
        blob_id = sha256(plain).digest()
        if self._claims.claim(blob_id):
            packed = None
            if compressible and len(plain) > _TINY_BYTES:
                packed = compress_if_worth(plain, self._level)
            if packed is None:
                self._add(blob_id, plain, 0)
            else:
                self._add(blob_id, packed, len(plain))
        return blob_id

    def flush(self) -> None:
        """Send what is still open, in one pack when it fits into one."""
        filled = [pack for pack in self._open if pack is not None]
        self._open = [None] * len(self._open)
        if len(filled) == OPEN_DATA_PACKS and filled[0][0].absorb(filled[1][0]):
            self._fan_out.give_back(filled.pop()[1])
        for pack, buffer in filled:
            self._send(pack, buffer)

    def _add(self, blob_id: bytes, content: bytes | memoryview, plain_length: int) -> None:
        place = self._chance() % len(self._open)
        current = self._open[place]
        if current is not None and not current[0].has_room(len(content)):
            self._send(*current)
            current = None
        if current is None:
            buffer = self._fan_out.buffer()
            current = self._open[place] = PackBuilder(self._key, self._type, buffer), buffer
        pack, buffer = current
        pack.add(blob_id, content, plain_length)
        if pack.length >= PACK_TARGET_BYTES:
            self._open[place] = None
            self._send(pack, buffer)

    def _chance(self) -> int:
        """Return a random byte; drawn in advance, because a system call per blob shows in tiny files."""
        if not self._dice:
            self._dice = bytearray(os.urandom(_DICE))
        return self._dice.pop()

    def _send(self, pack: PackBuilder, buffer: mmap.mmap) -> None:
        view = pack.finish()
        pack_id = sha256(view).hexdigest()
        self._report(PackSealed(PackRecord(pack_id, self._type, pack.blobs), len(view)))
        self._fan_out.send(pack_id, view, buffer)
