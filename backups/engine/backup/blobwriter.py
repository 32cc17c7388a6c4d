"""From plain text to a pack on its way: hash, claim, compress, choose a pack, seal, verify, send.

Two data packs are open at a time and each blob goes into one of them by chance: an observer who sees only pack sizes
cannot line chunk lengths up with a known file (eprint 2025/532). One writer belongs to one thread.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from hashlib import sha256

from backups.engine.backup.claims import Claims
from backups.engine.backup.fanout import BUFFER_BYTES, FanOut
from backups.engine.backup.messages import Message, PackSealed
from backups.engine.errors import EngineError, NotPacked
from backups.engine.format import PACK_TARGET_BYTES, BlobType
from backups.engine.format.compression import compress_if_worth
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import PackRecord
from backups.engine.format.pack import PackBuilder, buffer_bytes

OPEN_DATA_PACKS = 2
OPEN_TREE_PACKS = 1
_TINY_BYTES = 64  # zstd's frame costs more than it can save
_DICE = 256
UNSEEN_IN_A_ROW = 32  # new blobs after which the next one is expected to be new as well


class BlobWriter:
    """Stores blobs of one type; each is stored once.

    added: how many were new.
    """

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
        self._unseen_in_a_row = 0
        self.added = 0

    def store(self, plain: bytes | memoryview, *, compressible: bool = True) -> bytes:
        """Return the id of `plain`, which is in a pack from now on, or was before.

        compressible: False when the format is known to be compressed already.
        Raises Damaged when memory flips bits, Cancelled, NotPacked. After any of them the run must end: the blob may be
        claimed and not stored.
        """
        try:
            return self._store(plain, compressible)
        except EngineError:
            raise
        except Exception as exc:
            raise NotPacked(f"a piece of {len(plain)} bytes could not be packed ({type(exc).__name__}: {exc})") from exc

    def _store(self, plain: bytes | memoryview, compressible: bool) -> bytes:
        if self._unseen_in_a_row < UNSEEN_IN_A_ROW:
            blob_id = sha256(plain).digest()
            if not self._claims.claim(blob_id):
                self._unseen_in_a_row = 0
                return blob_id
            self._unseen_in_a_row += 1
            place, content, plain_length = self._prepare(plain, compressible)
            self._pack(place).add(blob_id, content, plain_length)
        else:
            # Most likely new again: then sealing it first and hashing what it opens to saves one hash of two.
            place, content, plain_length = self._prepare(plain, compressible)
            blob_id = self._pack(place).seal(plain, content, plain_length)
            if not self._claims.claim(blob_id):
                self._unseen_in_a_row = 0
                return blob_id
            self._pack(place).keep()
        self.added += 1
        if self._pack(place).length >= PACK_TARGET_BYTES:
            self._send(place)
        return blob_id

    def flush(self) -> None:
        """Send what is still open, in one pack when it fits into one."""
        for place, current in enumerate(self._open):
            if current is not None and not current[0].blobs:  # what was sealed for it was known already
                self._open[place] = None
                self._fan_out.give_back(current[1])
        filled = [place for place, current in enumerate(self._open) if current is not None]
        if len(filled) == OPEN_DATA_PACKS and self._pack(filled[0]).absorb(self._pack(filled[1])):
            second = filled.pop()
            absorbed, self._open[second] = self._open[second], None
            assert absorbed is not None
            self._fan_out.give_back(absorbed[1])
        for place in filled:
            self._send(place)

    def _prepare(self, plain: bytes | memoryview, compressible: bool) -> tuple[int, bytes | memoryview, int]:
        """Return the number of an open pack with room, the content to seal and the plain length if it is compressed."""
        packed = compress_if_worth(plain, self._level) if compressible and len(plain) > _TINY_BYTES else None
        content, plain_length = (plain, 0) if packed is None else (packed, len(plain))
        place = self._chance() % len(self._open)
        current = self._open[place]
        if current is not None and not current[0].has_room(len(content)):
            self._send(place)
            current = None
        if current is None:
            buffer = self._fan_out.buffer(max(BUFFER_BYTES, buffer_bytes(len(content))))
            self._open[place] = PackBuilder(self._key, self._type, buffer), buffer
        return place, content, plain_length

    def _pack(self, place: int) -> PackBuilder:
        current = self._open[place]
        assert current is not None
        return current[0]

    def _chance(self) -> int:
        """Return a random byte; drawn in advance, because a system call per blob shows in tiny files."""
        if not self._dice:
            self._dice = bytearray(os.urandom(_DICE))
        return self._dice.pop()

    def _send(self, place: int) -> None:
        current, self._open[place] = self._open[place], None
        assert current is not None
        pack, buffer = current
        view = pack.finish()
        pack_id = sha256(view).hexdigest()
        self._report(PackSealed(PackRecord(pack_id, self._type, pack.blobs), len(view)))
        self._fan_out.send(pack_id, view, buffer)
