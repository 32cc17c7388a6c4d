"""Promises about bytes: nothing changes them, and whoever changes them is found out."""

from __future__ import annotations

import gzip
import os
import random

from providers.stores.base import Capabilities, Proof
from providers.stores.errors import ObjectCorrupt, ObjectNotFound
from providers.validation.lines import UNTOUCHED, line_of
from providers.validation.promise import Promise, require, require_error
from providers.validation.room import Room, sha256_of

MEBIBYTE = 1024 * 1024
LOOKALIKES = {
    "compressed": gzip.compress(b"a page that some proxies would unpack" * 20),
    "page": b"<!DOCTYPE html>\n<html><body>not a page, a picture</body></html>",
    "lines": b"one\r\ntwo\nthree\r\r\n\x1a\x00four",
    "chunks": b"5\r\nhello\r\n0\r\n\r\n",
    "zeros": bytes(100_000),
    "mark": b"\xef\xbb\xbf\xff\xfe text with marks in front",
    "signed": b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD;chunk-signature=0",
}


def _reads_back(capabilities: Capabilities) -> str:
    return "" if capabilities.proves_at_rest else "it keeps no hash that could be compared: verifying reads everything"


def _check_lookalikes(room: Room) -> None:
    for kind, content in LOOKALIKES.items():
        name = room.put(f"lookalike/{kind}", content)
        require(room.store.get(name) == content, f"content that looks like {kind} came back changed")
        require(room.store.head(name).size_bytes == len(content), f"content that looks like {kind} has another size")


def _check_any_position(room: Room) -> None:
    content = os.urandom(100_003)
    name = room.put("positions", content)
    source = random.Random(room.mark)  # noqa: S311 - which bytes to read is no secret
    for _ in range(12):
        offset = source.randrange(len(content))
        length = source.choice((1, 2, 4_096, 65_537))
        found = room.store.get(name, offset=offset, length=length)
        require(found == content[offset : offset + length], f"{length} bytes from {offset} on came back changed")


def _check_shrinks(room: Room) -> None:
    for content in (b"x" * 100_000, b"short", b"", b"again something"):
        name = room.put("shrinks", content)
        require(room.store.get(name) == content, f"after {len(content)} bytes were stored something else came back")
        room.store.verify(name, sha256=sha256_of(content))


def _check_changed(room: Room) -> None:
    content = bytearray(os.urandom(50_000))
    wanted = sha256_of(bytes(content))
    content[25_000] ^= 1
    name = room.put("rotten/changed", bytes(content))
    require_error(ObjectCorrupt, lambda: room.store.verify(name, sha256=wanted), "verify of a changed bit")


def _check_truncated(room: Room) -> None:
    content = os.urandom(50_000)
    for kept in (0, 1, 49_999):
        name = room.put("rotten/truncated", content[:kept])
        what = f"verify of the first {kept} of 50,000 bytes"
        require_error(ObjectCorrupt, lambda name=name: room.store.verify(name, sha256=sha256_of(content)), what)  # type: ignore[misc]


def _check_vanished(room: Room) -> None:
    content = b"here and gone"
    name = room.put("rotten/vanished", content)
    room.delete(name)
    require_error(ObjectNotFound, lambda: room.store.verify(name, sha256=sha256_of(content)), "verify of a deleted one")


def _check_replaced(room: Room) -> None:
    old, new = os.urandom(30_000), os.urandom(30_000)
    room.put("rotten/replaced", old)
    name = room.put("rotten/replaced", new)
    require(room.store.verify(name, sha256=sha256_of(new)).proof is not None, "the new content is not proved")
    require_error(ObjectCorrupt, lambda: room.store.verify(name, sha256=sha256_of(old)), "verify of the old content")


def _check_without_hash(room: Room) -> None:
    content = os.urandom(70_000)
    name = room.name("without-hash")
    info = room.store.put(name, content)
    require(info.proof is not None, "put returned no proof when the hash was not handed in")
    require(room.store.verify(name, sha256=sha256_of(content)).proof is not None, "verify gave no proof")


def _check_empty(room: Room) -> None:
    name = room.put("empty", b"")
    require(room.store.get(name) == b"" == room.store.get(name, offset=0, length=10), "an empty object has content")
    info = room.store.verify(name, sha256=sha256_of(b""))
    require(info.proof is not None and info.size_bytes == 0, "verify of an empty object gave no proof")
    require_error(ObjectCorrupt, lambda: room.store.verify(name, sha256=sha256_of(b"x")), "verify of an empty object")


def _check_proved_at_rest(room: Room) -> None:
    """What comes down is counted on the line: the heads of a few answers, never the object."""
    content = os.urandom(2 * MEBIBYTE)
    name = room.put("at-rest", content)
    line = line_of(room)
    with line.faulty(UNTOUCHED) as (store, proxy):
        info = store.verify(name, sha256=sha256_of(content))
        require(info.proof not in (None, Proof.READ_BACK), f"the proof is {info.proof}, which needs a download")
        require_error(ObjectCorrupt, lambda: store.verify(name, sha256="0" * 64), "verify against another hash")
        require(proxy.received_bytes < len(content) // 4, f"{proxy.received_bytes} bytes were read to verify {name}")


def _check_more_than_64_mebibytes(room: Room) -> None:
    piece = os.urandom(MEBIBYTE)
    content = b"".join(bytes([number]) + piece[1:] for number in range(65))
    name = room.put("very-large", content)
    require(room.store.head(name).size_bytes == len(content), "the size is another")
    require(room.store.verify(name, sha256=sha256_of(content)).proof is not None, "verify gave no proof")
    for number in (0, 31, 64):
        found = room.store.get(name, offset=number * MEBIBYTE, length=3)
        require(found == content[number * MEBIBYTE :][:3], f"the piece {number} came back changed")
    room.delete(name)


PROMISES = (
    Promise("content that looks like something else stays what it is", _check_lookalikes),
    Promise("any stretch of bytes can be read", _check_any_position),
    Promise("an object can become shorter, and empty", _check_shrinks),
    Promise("a changed bit is found by verifying", _check_changed),
    Promise("missing bytes are found by verifying", _check_truncated),
    Promise("a vanished object is found by verifying", _check_vanished),
    Promise("a replaced object is proved to be the new one", _check_replaced),
    Promise("storing is proved also without a hash handed in", _check_without_hash),
    Promise("an empty object is an object", _check_empty),
    Promise("verifying needs no download", _check_proved_at_rest, unless=_reads_back, faulty=True),
    Promise("an object of more than 64 MiB arrives whole", _check_more_than_64_mebibytes, large=True, long=True),
)
