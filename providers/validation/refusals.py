"""Promises about what a provider in trouble answers: its answers are understood, with what to do now."""

from __future__ import annotations

import email.utils
import os
from datetime import timedelta

from providers.stores.errors import AccessDenied, StoreError, StoreUnavailable, Throttled
from providers.validation.faults import Fault, Reply
from providers.validation.lines import (
    UNTOUCHED,
    Request,
    beside,
    error_of,
    errors_of_all,
    line_of,
    reply_to,
    requests_of,
    require_hit,
    with_second_attempt,
)
from providers.validation.promise import Promise, PromiseBroken, require
from providers.validation.room import Room, sha256_of

PAUSE_SECONDS = 7
BROKEN_BODIES = (
    ("400 Bad Request", "application/json", b'{"error": {"message": '),
    ("404 Not Found", "text/html", b"<html><h1>Not here</h1></html>"),
    ("405 Method Not Allowed", "application/xml", b"<?xml version='1.0'?><Error><Code>Nope"),
    ("409 Conflict", "application/json", b"[]"),
    ("413 Payload Too Large", "text/plain", b"\xff\xfe\x00"),
    ("500 Internal Server Error", "text/html", b""),
    ("501 Not Implemented", "application/json", b'"a text"'),
    ("502 Bad Gateway", "text/html", b"<html>proxy</html>" * 200),
)


def _throttled(room: Room, status: str, value: str) -> list[tuple[Request, StoreError]]:
    name = room.put("throttled", b"stays")
    return [
        *errors_of_all(room, name, lambda request: reply_to(request, status, {"Retry-After": value})),
    ]


def _check_throttled(room: Room) -> None:
    for status in ("429 Too Many Requests", "503 Service Unavailable"):
        for request, error in _throttled(room, status, str(PAUSE_SECONDS)):
            require(
                isinstance(error, Throttled), f"{request.doing}: {status} is called {type(error).__name__}: {error}"
            )
            require(error.retryable, f"{request.doing} would not be tried again after {status}")
            asked = error.retry_after
            require(asked == PAUSE_SECONDS, f"{request.doing}: asked to wait {PAUSE_SECONDS} s, heard {asked}")


def _check_throttled_until(room: Room) -> None:
    until = email.utils.format_datetime(room.clock.utcnow() + timedelta(seconds=60), usegmt=True)
    for request, error in _throttled(room, "429 Too Many Requests", until):
        asked = error.retry_after
        require(asked is not None and 30 < asked < 61, f"{request.doing}: asked to wait until then, heard {asked}")


def _check_unavailable(room: Room) -> None:
    name = room.put("unavailable", b"stays")
    for status in ("500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"):
        for request, error in errors_of_all(room, name, lambda request, status=status: reply_to(request, status)):  # type: ignore[misc]
            trouble = isinstance(error, StoreUnavailable | Throttled)
            require(trouble, f"{request.doing}: {status} is called {type(error).__name__}: {error}")
            require(error.retryable, f"{request.doing} would not be tried again after {status}")


def _check_passing(room: Room) -> None:
    """One busy answer, and the second attempt ends well: for each kind of request."""
    line, name = line_of(room), room.put("passing", b"stays")
    with line.faulty(UNTOUCHED) as (bare, proxy):
        store = with_second_attempt(bare)
        for request in requests_of(room, line.wire, name):
            fault = Fault(match=request.match, reply=Reply("503 Service Unavailable"))
            error = error_of(proxy, fault, store, request)
            if isinstance(error, AccessDenied) and request.match == line.wire.delete:
                continue  # this credential may not delete: the second attempt was heard, and refused as it should be
            require(error is None, f"{request.doing} failed although the second attempt could succeed: {error}")
    require(
        room.store.get(beside(room, name)) == b"content of a small object", "the second attempt stored something else"
    )


def _check_nonsense(room: Room) -> None:
    """Whatever stands in the answer, a StoreError comes out, with words and advice; `error_of` looks after the rest."""
    line, name = line_of(room), room.put("nonsense", b"stays")
    with line.faulty(UNTOUCHED) as (store, proxy):
        for status, kind, body in BROKEN_BODIES:
            for request in requests_of(room, line.wire, name):
                fault = reply_to(request, status, {"Content-Type": kind}, body)
                error = error_of(proxy, fault, store, request)
                if error is None:  # 404: there is nothing to delete, 409: it was stored before
                    continue
                require(bool(str(error).strip()), f"{request.doing}: the error after {status} has no words")
                require(len(str(error)) < 600, f"{request.doing}: the error after {status} repeats a whole page")
                require(bool(error.advice.strip()), f"{request.doing}: the error after {status} has no advice")


def _check_no_listing(room: Room) -> None:
    """The page of a hotel's Wi-Fi is no empty bucket."""
    room.put("listed", b"x")
    line = line_of(room)
    page = b"<!DOCTYPE html><html><body>Please accept our terms</body></html>"
    with line.faulty(UNTOUCHED) as (store, proxy):
        listing = requests_of(room, line.wire, room.name("listed"))[3]
        for kind, body in (("text/html", page), ("application/json", b""), ("application/xml", page)):
            error = error_of(proxy, reply_to(listing, "200 OK", {"Content-Type": kind}, body), store, listing)
            require(error is not None, f"a listing took {kind} of {len(body)} bytes, no listing at all, for its answer")


def _check_no_proof(room: Room) -> None:
    """A proxy in between says OK and stores nothing."""
    line, content = line_of(room), os.urandom(5_000)
    name = room.name("not-stored")
    fault = Fault(match=line.wire.put, times=99, reply=Reply("200 OK", {"Content-Type": "text/html"}, b"<html>OK"))
    with line.faulty(fault) as (store, _):
        try:
            info = store.put(name, content, sha256=sha256_of(content))
        except StoreError:
            info = None
    require_hit(fault, "storing")
    require(info is None or info.proof is None, "a stranger's OK counts as the proof that an object is stored")


def _check_conflict(room: Room) -> None:
    """A precondition fails because our own first attempt was carried out: the object is there, so it is stored."""
    line, content = line_of(room), os.urandom(5_000)
    name = room.put("conflict", content)
    fault = Fault(match=line.wire.put, reply=Reply("412 Precondition Failed"))
    with line.faulty(fault) as (store, _):
        info = with_second_attempt(store).put(name, content, sha256=sha256_of(content))
    require_hit(fault, "storing")
    require(info.proof is not None, "an object that is there already is not proved")
    require(room.store.get(name) == content, "the object is another")


def _check_other_conflict(room: Room) -> None:
    line, name = line_of(room), room.put("other-conflict", b"what somebody else stored")
    fault = Fault(match=line.wire.put, times=99, reply=Reply("412 Precondition Failed"))
    with line.faulty(fault) as (store, _):
        try:
            store.put(name, b"what we wanted to store")
        except StoreError:
            require_hit(fault, "storing")
        else:
            raise PromiseBroken("other content under the name is taken for our own")
    require(room.store.get(name) == b"what somebody else stored", "the object changed")


PROMISES = (
    Promise("a provider that asks for a pause is understood", _check_throttled, faulty=True),
    Promise("a pause may be asked for by a date", _check_throttled_until, faulty=True),
    Promise("a provider in trouble is unavailable for now, not for good", _check_unavailable, faulty=True),
    Promise("after one busy answer the second attempt ends well", _check_passing, faulty=True),
    Promise("whatever a server answers, the error is ours and says what to do", _check_nonsense, faulty=True),
    Promise("a stranger's page is no empty listing", _check_no_listing, faulty=True),
    Promise("a stranger's OK proves nothing", _check_no_proof, faulty=True),
    Promise("a conflict with our own success is a success", _check_conflict, faulty=True),
    Promise("a conflict with other content is an error", _check_other_conflict, faulty=True),
)
