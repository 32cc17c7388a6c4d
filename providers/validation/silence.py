"""Promises about providers that cannot be reached, stay silent, or are somebody else."""

from __future__ import annotations

import contextlib
import email.utils
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from providers.stores.base import ObjectStore
from providers.stores.errors import ClockSkewed, NoAnswer, StoreError, StoreUnavailable
from providers.validation.bench import CONNECT_SECONDS, READ_SECONDS, Bench
from providers.validation.certificates import Authority
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.validation.lines import ALWAYS, UNTOUCHED, Request, line_of, reply_to, requests_of
from providers.validation.promise import Exempt, Promise, PromiseBroken, require, require_error
from providers.validation.room import Room

CLOCKS_MAY_DIFFER = timedelta(minutes=3)
LIMITS = {"connect_seconds": CONNECT_SECONDS, "read_seconds": READ_SECONDS}


def _check_black_hole(room: Room) -> None:
    """All kinds of request at the same time, each on a line of its own: the waiting is the whole cost."""
    line, name = line_of(room), room.put("silence", b"stays")

    def swallow(request: Request) -> str:
        fault = Fault(match=request.match, black_hole=True, times=ALWAYS)
        with line.faulty(fault) as (store, _):
            try:
                request.make(store)
            except NoAnswer:
                again = f"{request.doing}: a silent server was asked {fault.hits} times within one call"
                return "" if fault.hits == 1 else again
            except StoreError as error:
                return f"{request.doing}: silence is called {type(error).__name__}: {error}"
            return f"{request.doing} took silence for a success"

    requests = requests_of(room, line.wire, name)
    with ThreadPoolExecutor(len(requests)) as pool:
        wrong = [words for words in pool.map(swallow, requests) if words]
    require(not wrong, "; ".join(wrong))
    require(room.store.get(name) == b"stays", "a deletion that got no answer deleted although nothing was forwarded")


def elsewhere(bench: Bench, address: str) -> dict[str, Any]:
    """Return the change of options by which the store asks `address` (scheme, host and port) instead."""
    path = urlsplit(getattr(bench.options, bench.wire.endpoint)).path
    return {bench.wire.endpoint: address + path, "proxy_url": "", **LIMITS}


def _require_unavailable(room: Room, changes: dict[str, Any], what: str) -> list[StoreUnavailable]:
    """Require that storing and listing fail as an outage does, and return the errors."""
    errors: list[StoreUnavailable] = []
    with line_of(room).opened(**changes) as store:
        calls: tuple[Callable[[], object], ...] = (
            lambda: store.put(room.name("unreachable"), b"x"),
            lambda: [*store.list(room.prefix(""))],
        )
        for call in calls:
            error = require_error(StoreUnavailable, call, f"{what}: a call")
            assert isinstance(error, StoreUnavailable)
            require(error.retryable and bool(error.advice), f"{what}: the error says nothing about what to do")
            errors.append(error)
    return errors


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that is bound, so that nobody else gets it, and refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def _check_refused(room: Room) -> None:
    with refusing_port() as port:
        _require_unavailable(room, elsewhere(line_of(room), f"http://127.0.0.1:{port}"), "a refused connection")


def _check_unknown_host(room: Room) -> None:
    changes = elsewhere(line_of(room), "http://wedbackup-validation.invalid")
    for error in _require_unavailable(room, changes, "a server that nobody knows"):
        told = f"{error} {error.advice}"
        require("name" in told or "address" in told, f"the error does not name the address as the reason: {error}")


def _check_foreign_certificate(room: Room) -> None:
    with tempfile.TemporaryDirectory(prefix="wedbackup-validation-") as folder:
        context = Authority(Path(folder)).context("127.0.0.1")
        with FaultProxy(("127.0.0.1", 9), tls=context) as stranger:
            changes = {**elsewhere(line_of(room), f"https://127.0.0.1:{stranger.port}"), "ca_file": ""}
            errors = _require_unavailable(room, changes, "a certificate that nobody vouches for")
            require(not stranger.heads, "something was asked of a server whose certificate nobody vouches for")
    for error in errors:
        require("certificate" in f"{error} {error.advice}".lower(), f"the error does not name the certificate: {error}")


def _check_proxy_gone(room: Room) -> None:
    with line_of(room).faulty(UNTOUCHED) as (store, proxy):
        proxy.down()
        error = require_error(StoreUnavailable, lambda: [*store.list(room.prefix(""))], "listing without the proxy")
        require(not proxy.heads, "something went past the proxy that the location is to use")
        require(bool(error.advice), "the error has no advice")


def _check_redirects(room: Room) -> None:
    """Somebody in between sends us elsewhere: the credential does not travel there."""
    line, name = line_of(room), room.put("redirect", b"stays")
    trap = Fault(reply=Reply("200 OK", {"Content-Type": "text/plain"}, b"welcome"), times=1_000)
    with FaultProxy(("127.0.0.1", 9)) as stranger, line.faulty(UNTOUCHED) as (store, proxy):
        stranger.fault = trap
        for status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect"):
            for request in requests_of(room, line.wire, name):
                _redirect(proxy, store, request, status, f"{stranger.url}/elsewhere")
        heads = b"\n".join(stranger.heads)
    told = [secret for secret in line.secrets.values() if secret.encode() in heads]
    require(not told and b"authorization:" not in heads.lower(), "the credential was sent to where a stranger pointed")
    require(room.store.get(name) == b"stays", "the object changed")


def _redirect(proxy: FaultProxy, store: ObjectStore, request: Request, status: str, to: str) -> None:
    fault = reply_to(request, status, {"Location": to})
    proxy.fault = fault
    try:
        request.make(store)
    except StoreError:
        pass
    except Exception as exc:
        raise PromiseBroken(f"{request.doing}: {status} ended with {type(exc).__name__}, no StoreError") from exc
    finally:
        proxy.fault = None
    require(fault.hits > 0, f"{request.doing}: no request looked like {fault.match!r}, so nothing was tried")


def _check_clock(room: Room) -> None:
    """By the Date that stands in each of the provider's answers."""
    with line_of(room).faulty(UNTOUCHED) as (store, proxy):
        before = room.clock.utcnow()
        try:
            store.head(room.put("clock", b"x"))
        except ClockSkewed as error:
            raise PromiseBroken(f"the provider refuses us because the clocks differ: {error} {error.advice}") from error
        after = room.clock.utcnow()
        answers = list(proxy.answers)
    dates = [
        email.utils.parsedate_to_datetime(line.partition(b":")[2].strip().decode("latin-1"))
        for head in answers
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"date:")
    ]
    if not dates:
        raise Exempt("its answers carry no date")
    apart = max(max(before - dates[0], dates[0] - after), timedelta())
    minutes = apart.total_seconds() / 60
    advice = "set this machine's clock (NTP)"
    require(apart <= CLOCKS_MAY_DIFFER, f"the provider's clock and ours are {minutes:.0f} minutes apart: {advice}")


PROMISES = (
    Promise("silence is noticed at the time limit, whatever was asked", _check_black_hole, faulty=True),
    Promise("a refused connection is an outage", _check_refused, faulty=True),
    Promise("a server that nobody knows is an outage, and the address is named", _check_unknown_host, faulty=True),
    Promise("a certificate of nobody is refused", _check_foreign_certificate, faulty=True),
    Promise("without its proxy nothing is asked", _check_proxy_gone, faulty=True),
    Promise("a redirect does not take the credential elsewhere", _check_redirects, faulty=True),
    Promise("our clock and the provider's agree within 3 minutes", _check_clock, faulty=True),
)
