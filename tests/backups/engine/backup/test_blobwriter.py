"""What a writer of blobs promises, also on its short way for what is probably new."""

from __future__ import annotations

import mmap
import os
from collections import Counter
from typing import Any

import pytest

from backups.engine.backup.blobwriter import UNSEEN_IN_A_ROW, BlobWriter
from backups.engine.backup.claims import LocalClaims
from backups.engine.errors import Damaged
from backups.engine.format import BlobType, hash_hex
from backups.engine.format.compression import DEFAULT_LEVEL
from backups.engine.format.crypto import MasterKey
from backups.engine.format.pack import open_blob, read_header

KEY = MasterKey.random()


class Sink:
    """A fan-out that keeps what it is sent."""

    def __init__(self) -> None:
        self.packs: list[bytes] = []
        self.returned = 0

    def buffer(self, size: int) -> mmap.mmap:
        return mmap.mmap(-1, size)

    def give_back(self, buffer: mmap.mmap) -> None:
        self.returned += 1

    def send(self, pack_id: str, view: memoryview, buffer: mmap.mmap) -> None:
        assert hash_hex(view) == pack_id
        self.packs.append(bytes(view))

    def blobs(self) -> list[bytes]:
        """Return the plain text of everything in every pack, opened and checked."""
        found = []
        for pack in self.packs:
            for blob in read_header(KEY, pack, len(pack))[1]:
                stored = pack[blob.offset : blob.offset + blob.length]
                found.append(bytes(open_blob(KEY, stored, blob.plain_length, blob.blob_id)))
        return found


def make_writer(sink: Sink, known: set[bytes] | None = None) -> BlobWriter:
    return BlobWriter(KEY, BlobType.DATA, LocalClaims(known or set()), sink, lambda message: None, DEFAULT_LEVEL)  # type: ignore[arg-type]


def pieces(count: int) -> list[bytes]:
    """Return different blobs: random ones, and ones that compress well."""
    return [os.urandom(3000 + n) if n % 2 else b"%d words and words\n" % n * 200 for n in range(count)]


def test_every_blob_is_stored_once_however_often_it_comes() -> None:
    sink, some = Sink(), pieces(3 * UNSEEN_IN_A_ROW)
    writer = make_writer(sink)
    first = [writer.store(piece) for piece in some]
    again = [writer.store(piece) for piece in reversed(some)]
    writer.flush()
    assert again == first[::-1]
    assert Counter(sink.blobs()) == Counter(some)


def test_a_window_of_a_long_file_is_stored_like_any_other_text() -> None:
    sink, some = Sink(), pieces(2 * UNSEEN_IN_A_ROW)
    writer = make_writer(sink)
    for piece in some:
        window = mmap.mmap(-1, len(piece))
        window[:] = piece
        writer.store(memoryview(window))
    writer.flush()
    assert Counter(sink.blobs()) == Counter(some)


def test_a_pack_that_got_nothing_new_is_not_sent() -> None:
    sink, some = Sink(), pieces(UNSEEN_IN_A_ROW)
    writer = make_writer(sink)
    for piece in some:
        writer.store(piece)
    writer.flush()
    sent = len(sink.packs)
    writer.store(some[0])  # sealed for a fresh pack before it is known to be an old one
    writer.flush()
    assert (len(sink.packs), sink.returned) == (sent, 2)


@pytest.mark.parametrize("before", [0, UNSEEN_IN_A_ROW], ids=["by its name", "by comparison"])
@pytest.mark.parametrize("text", [os.urandom(5000), b"to be compressed " * 300], ids=["plain", "compressed"])
def test_a_bit_that_flips_while_a_blob_is_sealed_is_noticed(
    before: int, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make_writer(Sink())
    for piece in pieces(before):
        writer.store(piece)
    real, flipped = MasterKey.seal_into, []

    def flipping(key: MasterKey, plain: Any, target: memoryview, offset: int) -> int:
        wrong = bytearray(plain)
        wrong[7] ^= 1
        flipped.append(True)
        return real(key, wrong, target, offset)

    monkeypatch.setattr(MasterKey, "seal_into", flipping)
    with pytest.raises(Damaged):
        writer.store(text)
    assert flipped
