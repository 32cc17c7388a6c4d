"""All promises, put to the test one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from providers.stores.base import ObjectNotFound, ObjectStore, StoreError
from providers.validation import basics
from providers.validation.bench import bench_of
from providers.validation.promise import Finding, Promise, PromiseBroken, State, require
from providers.validation.room import PREFIX, Room
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

CLEAN_UP = "everything is removed again"
PROMISES = basics.PROMISES


def validate_store(
    store: ObjectStore, *, bare: ObjectStore | None = None, large: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Finding]:
    """Check all promises against `store`, one by one, then clean up.

    bare:  the provider's own store inside `store`, when wrappers are around it; faults are tried with it.
    large: also those that move more than a few MiB.

    The last finding tells about the clean-up. Never raises a StoreError.
    """
    room = Room(store, bench_of(bare or store))
    for promise in PROMISES:
        if large or not promise.large:
            yield judge(promise, room, clock)
    yield judge(Promise(CLEAN_UP, _check_clean_up), room, clock)


def judge(promise: Promise, room: Room, clock: Clock) -> Finding:
    """Put one promise to the test in `room`."""
    if reason := promise.exemption(room):
        return Finding(promise.name, State.EXEMPT, reason, 0.0)
    began = clock.monotonic()
    state, detail = State.KEPT, ""
    try:
        promise.check(room)
    except PromiseBroken as exc:
        state, detail = State.BROKEN, str(exc)
    except StoreError as exc:
        state, detail = State.BROKEN, f"{exc} {exc.advice}"
    return Finding(promise.name, state, detail, clock.monotonic() - began)


def _check_clean_up(room: Room) -> None:
    with contextlib.suppress(ObjectNotFound):
        room.clean()
    left = room.list()
    require(not left, f"{len(left)} objects below {PREFIX}/ could not be removed; remove them by hand")
