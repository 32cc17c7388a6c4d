"""Promises about lines that break while bytes move: nothing half is ever taken for whole."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

from providers.stores.base import Capabilities, ObjectStore, Proof
from providers.stores.errors import ChecksumMismatch, NoAnswer, ObjectNotFound, StoreError, StoreUnavailable
from providers.validation.basics import LARGE_BYTES_MAX
from providers.validation.faults import Fault, Reply
from providers.validation.lines import (
    ALWAYS,
    UNTOUCHED,
    error_of,
    line_of,
    requests_of,
    require_hit,
    with_second_attempt,
)
from providers.validation.promise import Exempt, Promise, PromiseBroken, require, require_error
from providers.validation.room import Room, sha256_of

SIZE = 400_000  # more than fits into the buffers of a connection at once
MIDDLE = SIZE // 2
PIECE = 60_000  # request bodies above this carry content, whatever the provider wraps around it


def _downloads(capabilities: Capabilities) -> str:
    if not capabilities.proves_at_rest:
        return ""
    return "verifying reads nothing here; whoever reads a range compares it with its hash"


def _is_whole_or_absent(room: Room, name: str, content: bytes) -> bool:
    """Say whether `name` is there; raise PromiseBroken when it is there but not as it should be."""
    try:
        found = room.store.get(name)
    except ObjectNotFound:
        require(not room.list(name.rpartition(".")[0].removeprefix(room.prefix(""))), "a missing object is listed")
        return False
    require(found == content, f"after a broken upload {len(found)} of {len(content)} bytes are there")
    return True


def _break_upload(room: Room, rest: str, fault: Fault) -> None:
    """Break an upload once: alone it leaves all or nothing, and with a second attempt it ends well."""
    content = os.urandom(SIZE)
    line = line_of(room)
    alone, repeated = room.name(f"{rest}/alone"), room.name(f"{rest}/repeated")
    with line.faulty(fault) as (store, proxy):
        try:
            settled = store.put(alone, content, sha256=sha256_of(content)).proof is not None
        except StoreError as error:
            settled = False
            require(error.retryable, f"a broken line is no reason to give up: {type(error).__name__}: {error}")
        require_hit(fault, "storing")
        there = _is_whole_or_absent(room, alone, content)
        require(there or not settled, "an upload is called a success and the object is not there")
        again = replace(fault, hits=0)
        proxy.fault = again
        info = with_second_attempt(store).put(repeated, content, sha256=sha256_of(content))
        require_hit(again, "storing")
        require(info.proof is not None and info.size_bytes == SIZE, "the second attempt gave no proof")
    require(room.store.get(repeated) == content, "the second attempt stored something else")


def _check_cut_upload(room: Room) -> None:
    _break_upload(room, "cut", Fault(match=line_of(room).wire.put, reset_after_sent=MIDDLE))


def _check_lost_answer(room: Room) -> None:
    _break_upload(room, "lost", Fault(match=line_of(room).wire.put, lose_answer=True))


def _check_cut_before(room: Room) -> None:
    _break_upload(room, "unsent", Fault(match=line_of(room).wire.put, reset_after_sent=0))


def _check_lost_deletion(room: Room) -> None:
    line, name = line_of(room), room.put("lost/deletion", b"x")
    fault = Fault(match=line.wire.delete, lose_answer=True)
    with line.faulty(fault) as (store, _):
        room.delete(name, by=with_second_attempt(store))
    require_hit(fault, "deleting")
    require_error(ObjectNotFound, lambda: room.store.head(name), "head after a deletion whose answer was lost")


def _check_short_read(room: Room) -> None:
    line, content = line_of(room), os.urandom(SIZE)
    name = room.put("short", content)
    with line.faulty(UNTOUCHED) as (store, proxy):
        for fault in (
            Fault(match=line.wire.get, end_after_received=MIDDLE),
            Fault(match=line.wire.get, reset_after_received=MIDDLE),
            Fault(match=line.wire.get, lose_answer=True),
        ):
            error = error_of(proxy, fault, store, requests_of(room, line.wire, name)[1])
            require(error is not None, "a download that ended early is taken for the whole object")
            require(isinstance(error, StoreUnavailable), f"a broken line is called {type(error).__name__}: {error}")
            again = replace(fault, hits=0)
            proxy.fault = again
            require(with_second_attempt(store).get(name) == content, "the second attempt came back changed")
            require_hit(again, "reading")


def _check_short_range(room: Room) -> None:
    line, content = line_of(room), os.urandom(SIZE)
    name = room.put("short-range", content)
    fault = Fault(match=line.wire.get, end_after_received=1_000)
    with line.faulty(fault) as (store, _):
        what = "a range that ended early"
        require_error(StoreUnavailable, lambda: store.get(name, offset=MIDDLE, length=100_000), what)
    require_hit(fault, "reading")


def _check_short_listing(room: Room) -> None:
    line = line_of(room)
    names = room.put_all((f"short-list/{number}" for number in range(4)), b"x")
    with line.faulty(UNTOUCHED) as (store, proxy):
        for fault in (
            Fault(match=line.wire.list, end_after_received=40),
            Fault(match=line.wire.list, reset_after_received=40),
        ):
            error = error_of(proxy, fault, store, requests_of(room, line.wire, names[0])[3])
            require(error is not None, "a listing that ended early is taken for a whole one")


def _check_flip_up(room: Room) -> None:
    line, content = line_of(room), os.urandom(SIZE)
    name = room.name("flipped-up")
    fault = Fault(match=line.wire.put, flip_sent=MIDDLE)
    with line.faulty(fault) as (store, proxy):
        require_error(ChecksumMismatch, lambda: store.put(name, content, sha256=sha256_of(content)), "a bit that flips")
        require_hit(fault, "storing")
        require_error(ObjectNotFound, lambda: room.store.head(name), "a damaged object was kept: head")
        again = replace(fault, hits=0)
        proxy.fault = again
        with_second_attempt(store).put(name, content, sha256=sha256_of(content))
        require_hit(again, "storing")
    require(room.store.get(name) == content, "the second attempt stored something else")


def _check_flip_down(room: Room) -> None:
    """Ranges have no hash, so `get` cannot know; verifying reads everything, and must."""
    line, content = line_of(room), os.urandom(SIZE)
    name = room.put("flipped-down", content)
    if room.store.verify(name, sha256=sha256_of(content)).proof is not Proof.READ_BACK:
        raise Exempt("verifying asks for the hash that the provider keeps, and needs no download")
    fault = Fault(match=line.wire.get, flip_received=MIDDLE)
    with line.faulty(fault) as (store, _):
        what = "verifying over a line that changes a bit"
        require_error(ChecksumMismatch, lambda: store.verify(name, sha256=sha256_of(content)), what)
        require_hit(fault, "verifying")
        require(store.verify(name, sha256=sha256_of(content)).proof is not None, "the object is not whole any more")


def _check_stall(room: Room) -> None:
    line, content = line_of(room), os.urandom(SIZE)
    name = room.put("stalls", content)
    fault = Fault(match=line.wire.get, stall_received_seconds=2.5, times=ALWAYS)
    with line.faulty(fault) as (store, _):
        require_error(NoAnswer, lambda: store.get(name), "an answer that stops in the middle")
    require(fault.hits == 1, f"a silent server was asked {fault.hits} times within one call")


def _large(store: ObjectStore) -> bytes:
    size = min(store.capabilities.single_put_bytes + 1, LARGE_BYTES_MAX)
    return os.urandom(1_000_003) * (size // 1_000_003) + os.urandom(size % 1_000_003)


def _check_large_cut(room: Room) -> None:
    content = _large(room.store)
    digest, line = sha256_of(content), line_of(room)
    name = room.name("large-cut")
    fault = Fault(larger_than=PIECE, reset_after_sent=PIECE // 2)
    with line.faulty(fault, read_seconds=20.0) as (store, _):
        require_error(StoreError, lambda: store.put(name, content, sha256=digest), "a large upload that was cut")
        require_hit(fault, "storing in parts")
        require_error(ObjectNotFound, lambda: room.store.head(name), "half of a large object is visible: head")
        require(not room.list("large-cut"), "half of a large object is listed")
        require(store.put(name, content, sha256=digest).proof is not None, "the second upload gave no proof")
    require(room.store.verify(name, sha256=digest).size_bytes == len(content), "the object has another size")


def _check_large_hopeless(room: Room) -> None:
    """In a folder of its own, so that no unfinished upload of anybody else is removed with it."""
    content, name = _large(room.store), f"hopeless.{room.mark}"
    fault = Fault(larger_than=PIECE, times=ALWAYS, reply=Reply("403 Forbidden"))
    with room.inside("hopeless") as inside, line_of(Room(inside)).faulty(fault) as (store, _):
        require_error(StoreError, lambda: store.put(name, content), "a large upload whose parts are forbidden")
        require_hit(fault, "storing in parts")
        left = inside.remove_unfinished(before=room.clock.utcnow() + timedelta(hours=1))
    require(left == 0, f"{left} unfinished uploads were left behind by an upload that nobody will resume")
    if _is_whole_or_absent(room, room.name("hopeless/hopeless"), content):
        raise PromiseBroken("an upload that was forbidden is there")


PROMISES = (
    Promise("an upload that is cut leaves all or nothing", _check_cut_upload, faulty=True),
    Promise("an upload that never began is repeated", _check_cut_before, faulty=True),
    Promise("an upload whose answer is lost ends well", _check_lost_answer, faulty=True),
    Promise("a deletion whose answer is lost ends well", _check_lost_deletion, faulty=True),
    Promise("a download that is cut is an error, never a short object", _check_short_read, faulty=True),
    Promise("a range that is cut is an error, never a shorter range", _check_short_range, faulty=True),
    Promise("a listing that is cut is an error, never a shorter listing", _check_short_listing, faulty=True),
    Promise("a bit that flips on the way up is refused or found", _check_flip_up, faulty=True),
    Promise("a bit that flips on the way down is found by verifying", _check_flip_down, unless=_downloads, faulty=True),
    Promise("an answer that stops in the middle is noticed", _check_stall, faulty=True),
    Promise(
        "of a large upload that is cut nothing shows, and it can be repeated", _check_large_cut, faulty=True, large=True
    ),
    Promise(
        "a large upload without hope leaves nothing behind",
        _check_large_hopeless,
        faulty=True,
        reopens=True,
        large=True,
    ),
)
