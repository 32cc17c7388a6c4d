"""How long a dead provider takes to be reported, with the settings that a location has by default."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from providers.registry import KINDS
from providers.stores.base import ObjectStore
from providers.stores.errors import StoreError, StoreUnavailable, Throttled
from providers.stores.options import LineOptions
from providers.validation import Room
from providers.validation.bench import Bench
from providers.validation.faults import Fault, Reply
from providers.validation.lines import ALWAYS, Request, line_of, requests_of
from providers.validation.silence import elsewhere, refusing_port
from providers.wrappers.metered import Measurement
from providers.wrappers.stack import wrap_store

ASKED = {"refused": 1.0, "503": 2.0, "black hole": 12.0}  # [s]
HEAD = """
## A dead provider is reported in time

Each kind of request (storing, reading, looking, listing, deleting) is made while the provider is dead, with the
settings that a location has by default: 3 s to connect, 8 s of silence, two attempts. The slowest of the five counts.
Measured on two shared cores; how many requests of it were really hit is in brackets.

"""


@dataclasses.dataclass(frozen=True)
class Reported:
    """How one request to a dead provider ended. seconds: until the caller knew [s]; hits: how often it was tried."""

    doing: str
    seconds: float
    hits: int


def report(store: ObjectStore, trouble: str) -> list[Reported]:
    """Make every kind of request of `store` while its provider is dead, each on a line of its own.

    One after the other, so that they do not slow each other down; those to a black hole wait at the same time.

    Raises AssertionError when a request ends in any other way than an outage does, or the fault was not hit.
    """
    room = Room(store)
    bench = line_of(room)
    requests = requests_of(room, bench.wire, room.put("figures", b"x"))
    with ThreadPoolExecutor(len(requests) if trouble == "black hole" else 1) as pool:
        found = list(pool.map(lambda request: _ask(bench, request, trouble), requests))
    room.clean()
    return found


@contextmanager
def _dead(bench: Bench, request: Request, trouble: str) -> Iterator[tuple[ObjectStore, Fault | None]]:
    recommended = {"connect_seconds": LineOptions.connect_seconds, "read_seconds": LineOptions.read_seconds}
    if trouble == "refused":
        with refusing_port() as port:
            options = elsewhere(bench, f"http://127.0.0.1:{port}") | recommended
            with bench.opened(**options) as store:
                yield store, None
        return
    fault = Fault(match=request.match, times=ALWAYS, black_hole=trouble == "black hole")
    if trouble == "503":
        fault.reply = Reply("503 Service Unavailable")
    with bench.faulty(fault, **recommended) as (store, _):
        yield store, fault


def _ask(bench: Bench, request: Request, trouble: str) -> Reported:
    attempts: list[Measurement] = []
    with _dead(bench, request, trouble) as (bare, fault):
        store = wrap_store(bare, on_call=attempts.append)
        began = time.monotonic()
        try:
            request.make(store)
        except StoreError as error:
            seconds = time.monotonic() - began
            assert isinstance(error, StoreUnavailable | Throttled), f"{request.doing}: {error!r}"
        else:
            raise AssertionError(f"{request.doing} with a dead provider ended well")
    hits = len(attempts) if fault is None else fault.hits
    assert hits > 0, f"{request.doing}: the fault was not hit"
    return Reported(request.doing, seconds, hits)


def table(lines: Iterable[Sequence[str | float | int]]) -> str:
    """Return the section of the page, from lines (kind, trouble, slowest [s], hits)."""
    slowest: dict[tuple[str, str], tuple[float, int]] = {}
    for kind, trouble, seconds, hits in lines:
        key = (str(kind), str(trouble))
        slowest[key] = max(slowest.get(key, (0.0, 0)), (float(seconds), int(hits)))
    titles = " | ".join(f"{trouble} (asked: {asked:.0f} s)" for trouble, asked in ASKED.items())
    rows = [f"| provider | {titles} |\n|---|{'---|' * len(ASKED)}\n"]
    for kind in KINDS:
        if any((kind, trouble) in slowest for trouble in ASKED):
            cells = [_figure(slowest.get((kind, trouble)), asked) for trouble, asked in ASKED.items()]
            rows.append(f"| {kind} | {' | '.join(cells)} |\n")
    return HEAD + "".join(rows)


def _figure(measured: tuple[float, int] | None, asked: float) -> str:
    if measured is None:
        return "not measured"
    seconds, hits = measured
    return f"{seconds:.1f} s ({hits}){'' if seconds <= asked else ' MISSED'}"
