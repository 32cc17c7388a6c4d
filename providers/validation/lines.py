"""What the promises about broken lines share: the five kinds of request, each aimed at by the bytes of its head."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from providers.stores.base import ObjectStore, Wire
from providers.stores.errors import StoreError
from providers.validation.bench import Bench
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.validation.promise import PromiseBroken, require
from providers.validation.room import Room
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store

UNTOUCHED = Fault(times=0)
ALWAYS = 99
SECOND_ATTEMPT = RetryPolicy(attempts=2, base_seconds=0.05)


@dataclass(frozen=True)
class Request:
    """One kind of request.

    doing: what it is for, in words.
    match: bytes that its head contains.
    make:  makes it with a store.
    """

    doing: str
    match: bytes
    make: Callable[[ObjectStore], object]


def line_of(room: Room) -> Bench:
    """Return the bench of a room whose promise is `faulty`."""
    bench = room.bench
    assert bench is not None
    return bench


def requests_of(room: Room, wire: Wire, name: str) -> tuple[Request, ...]:
    """Return the five kinds of request, aimed at the object `name` of this room; storing goes beside it."""
    return (
        Request("storing", wire.put, lambda store: store.put(beside(room, name), b"content of a small object")),
        Request("reading", wire.get, lambda store: store.get(name)),
        Request("looking", wire.head, lambda store: store.head(name)),
        Request("listing", wire.list, lambda store: [*store.list(room.prefix(""))]),
        Request("deleting", wire.delete, lambda store: store.delete(name)),
    )


def beside(room: Room, name: str) -> str:
    """Return the name that the request for storing uses, beside the object `name` of this room."""
    return f"{name.removesuffix(room.mark)}new.{room.mark}"


def reply_to(request: Request, status: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Fault:
    """Return the fault that answers every such request itself."""
    return Fault(match=request.match, times=ALWAYS, reply=Reply(status, headers or {}, body))


def error_of(proxy: FaultProxy, fault: Fault, store: ObjectStore, request: Request) -> StoreError | None:
    """Make `request` while `fault` holds and return the error it ends with; None if it ends well.

    Raises PromiseBroken when the fault was not hit, or when something else than a StoreError comes out.
    """
    proxy.fault = fault
    try:
        request.make(store)
        error = None
    except StoreError as exc:
        error = exc
    except Exception as exc:
        raise PromiseBroken(f"{request.doing} ended with {type(exc).__name__}, which is no StoreError") from exc
    finally:
        proxy.fault = None
    require_hit(fault, request.doing)
    return error


def require_hit(fault: Fault, doing: str) -> None:
    """Raise PromiseBroken when nothing was broken, so that nothing was proved."""
    require(fault.hits > 0, f"{doing}: no request looked like {fault.match!r}, so nothing was tried")


def with_second_attempt(store: ObjectStore) -> ObjectStore:
    """Return `store` with the retries that a location has, and short pauses."""
    return wrap_store(store, retry=SECOND_ATTEMPT)


def errors_of_all(room: Room, name: str, faults: Callable[[Request], Fault]) -> Iterator[tuple[Request, StoreError]]:
    """Yield each kind of request with the error that its fault leads to; PromiseBroken if it ends well."""
    line = line_of(room)
    with line.faulty(UNTOUCHED) as (store, proxy):
        for request in requests_of(room, line.wire, name):
            fault = faults(request)
            error = error_of(proxy, fault, store, request)
            if error is None:
                raise PromiseBroken(f"{request.doing} took it for a success")
            yield request, error
