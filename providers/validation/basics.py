"""The promises that every location must keep on a quiet day."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from providers.stores.base import Checksum
from providers.stores.errors import ChecksumMismatch, InvalidName, ObjectCorrupt, ObjectNotFound
from providers.validation.promise import Promise, require, require_error
from providers.validation.room import Room, sha256_of

LARGE_BYTES_MAX = 128 * 1024 * 1024


def _check_round_trip(room: Room) -> None:
    for size in (0, 1, 1024, 1024 * 1024 + 1):
        content = os.urandom(size)
        name = room.put(f"round/{size}", content)
        require(room.store.get(name) == content, f"an object of {size} bytes came back changed")


def _check_proof(room: Room) -> None:
    content = os.urandom(5000)
    info = room.store.put(room.name("proof"), content)
    require(info.proof is not None, "put returned no proof that the bytes arrived")
    require(info.size_bytes == len(content), f"put reported {info.size_bytes} bytes instead of {len(content)}")


def _check_buffers(room: Room) -> None:
    content = os.urandom(3 * 1024 * 1024)
    for kind in (bytearray, memoryview):
        name = room.name(f"buffer-{kind.__name__}")
        room.store.put(name, kind(content), sha256=sha256_of(content))
        require(room.store.get(name) == content, f"a {kind.__name__} came back changed")
    part = memoryview(content)[7:-9]
    room.store.put(room.name("buffer-part"), part)
    require(room.store.get(room.name("buffer-part")) == part, "a part of a buffer came back changed")


def _check_ranges(room: Room) -> None:
    content = os.urandom(1000)
    name = room.put("ranges", content)
    for offset, length in ((0, 1), (0, 1000), (10, 20), (990, 50), (999, None), (1000, 5), (1000, None), (5000, 1)):
        expected = content[offset:] if length is None else content[offset : offset + length]
        found = room.store.get(name, offset=offset, length=length)
        require(found == expected, f"range {offset}+{length} gave {len(found)} bytes instead of {len(expected)}")
    require(room.store.get(name, offset=5, length=0) == b"", "an empty range was not empty")


def _check_replace(room: Room) -> None:
    name = room.put("replace", b"old content")
    room.put("replace", b"new")
    require(room.store.get(name) == b"new", "a second put did not replace the object")
    require(room.store.head(name).size_bytes == 3, "the size is still that of the old object")


def _check_head(room: Room) -> None:
    name = room.put("head", b"x" * 1234)
    info = room.store.head(name)
    require(info.name == name, f"head reported the name {info.name}")
    require(info.size_bytes == 1234, f"head reported {info.size_bytes} bytes instead of 1234")
    require(info.modified is None or info.modified.tzinfo is not None, "the time of storing has no time zone")


def _check_absence(room: Room) -> None:
    name = room.name("never/was")
    require_error(ObjectNotFound, lambda: room.store.head(name), "head of a missing object")
    require_error(ObjectNotFound, lambda: room.store.get(name), "get of a missing object")
    require_error(ObjectNotFound, lambda: room.store.get(name, offset=3, length=0), "an empty get of a missing object")
    require_error(ObjectNotFound, lambda: room.store.verify(name, sha256="0" * 64), "verify of a missing object")


def _check_list(room: Room) -> None:
    expected = {room.put(f"list/{folder}/{number}", b"x" * number): number for folder in "ab" for number in range(4)}
    room.put("list-not-this", b"")
    found = {info.name: info.size_bytes for info in room.list("list/")}
    require(found == expected, f"listed {sorted(found)} instead of {sorted(expected)}")
    part = {info.name for info in room.list("list/b/1")}
    require(part == {room.name("list/b/1")}, f"a prefix that is part of a name listed {sorted(part)}")
    require(room.list("list/nowhere/") == [], "an empty folder listed something")


def _check_delete(room: Room) -> None:
    name = room.put("delete", b"x")
    room.delete(name)
    require_error(ObjectNotFound, lambda: room.store.head(name), "head after a delete")
    room.delete(name)
    room.delete(room.name("never/was"))


def _check_verify(room: Room) -> None:
    content = os.urandom(100_000)
    name = room.put("verify", content)
    info = room.store.verify(name, sha256=sha256_of(content))
    require(info.proof is not None and info.size_bytes == len(content), "verify gave no proof of the right content")
    other = sha256_of(b"other content")
    require_error(ObjectCorrupt, lambda: room.store.verify(name, sha256=other), "verify against another hash")


def _check_refuses_damage(room: Room) -> None:
    if room.store.capabilities.checksum not in (Checksum.SHA256, Checksum.SHA256_HEADER_ONLY):
        return  # other stores compute or compare by themselves: no wrong hash can be handed in
    name, wrong = room.name("damaged"), sha256_of(b"what was meant to arrive")
    require_error(
        ChecksumMismatch,
        lambda: room.store.put(name, b"what arrived", sha256=wrong),
        "the server ignores checksums; choose another checksum profile: content under a wrong SHA-256",
    )
    require_error(ObjectNotFound, lambda: room.store.head(name), "a refused upload was kept: head")


def _check_names(room: Room) -> None:
    for bad in ("", "/x", "x/", "x//y", "../x", "x/../y", ".hidden", "a\nb", "x" * 600, "a\\b", "a\0b"):
        require_error(InvalidName, partial(room.store.put, bad, b""), f"put of the name {bad[:20]!r}")
        require_error(InvalidName, partial(room.store.get, bad), f"get of the name {bad[:20]!r}")
        require_error(InvalidName, partial(room.store.delete, bad), f"delete of the name {bad[:20]!r}")


def _check_parallel(room: Room) -> None:
    contents = {f"parallel/{number}": os.urandom(50_000 + number) for number in range(16)}
    with ThreadPoolExecutor(min(8, room.store.capabilities.connections)) as pool:
        names = list(pool.map(room.put, contents.keys(), contents.values()))
        found = list(pool.map(room.store.get, names))
    require(found == list(contents.values()), "calls at the same time mixed up their contents")


def _check_above_single_put(room: Room) -> None:
    size = min(room.store.capabilities.single_put_bytes + 1, LARGE_BYTES_MAX)
    content = os.urandom(size)
    name = room.name("large")
    info = room.store.put(name, content, sha256=sha256_of(content))
    require(info.proof is not None, "put of a large object returned no proof")
    room.store.verify(name, sha256=sha256_of(content))
    require(room.store.get(name, offset=size - 100) == content[-100:], "the end of a large object came back changed")


PROMISES = (
    Promise("what is stored comes back unchanged", _check_round_trip),
    Promise("storing is proved", _check_proof),
    Promise("any buffer can be stored", _check_buffers),
    Promise("ranges behave like slices", _check_ranges),
    Promise("storing again replaces", _check_replace),
    Promise("size and name are known without reading", _check_head),
    Promise("what is missing is said to be missing", _check_absence),
    Promise("listing finds what begins with the prefix and nothing else", _check_list),
    Promise("deleting removes, twice is no error", _check_delete),
    Promise("verifying tells right from wrong content", _check_verify),
    Promise("content that arrives damaged is refused", _check_refuses_damage),
    Promise("dangerous names are refused", _check_names),
    Promise("calls at the same time do not disturb each other", _check_parallel),
    Promise("an object larger than one request arrives whole", _check_above_single_put, large=True),
)
