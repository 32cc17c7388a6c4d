"""All promises, put to the test one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

from providers.stores.base import ObjectStore
from providers.stores.errors import ObjectNotFound, StoreError
from providers.validation import (
    basics,
    integrity,
    limits,
    listing,
    names,
    place,
    refusals,
    rights,
    silence,
    together,
    transfers,
)
from providers.validation.promise import Exempt, Finding, Promise, PromiseBroken, State, Warned, require
from providers.validation.room import PREFIX, Room
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

CLEAN_UP = "everything is removed again"
GROUPS: dict[str, tuple[Promise, ...]] = {
    "On a quiet day": basics.PROMISES,
    "Names": names.PROMISES,
    "Listings": listing.PROMISES,
    "Bytes": integrity.PROMISES,
    "At the same time": together.PROMISES,
    "Edges": limits.PROMISES,
    "The place": place.PROMISES,
    "Rights": rights.PROMISES,
    "Answers": refusals.PROMISES,
    "Broken transfers": transfers.PROMISES,
    "Nobody there": silence.PROMISES,
}
PROMISES: tuple[Promise, ...] = tuple(promise for group in GROUPS.values() for promise in group)


def validate_store(
    store: ObjectStore,
    *,
    bare: ObjectStore | None = None,
    large: bool = False,
    promises: Sequence[Promise] = PROMISES,
    clock: Clock = SYSTEM_CLOCK,
) -> Generator[Finding, None, None]:
    """Check `promises` against `store`, one by one, then clean up.

    bare:  the provider's own store inside `store`, when wrappers are around it; faults are tried with it.
    large: also those that move more than a few MiB.

    The last finding tells about the clean-up. Never raises a StoreError. Whoever stops listening half-way and closes
    the iterator has it cleaned up as well.
    """
    room = Room(store, bare, clock)
    try:
        for promise in promises:
            if large or not promise.large:
                yield judge(promise, room, clock)
    except GeneratorExit:
        with contextlib.suppress(StoreError):
            room.clean()
        raise
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
    except Warned as exc:
        state, detail = State.WARNED, str(exc)
    except Exempt as exc:
        state, detail = State.EXEMPT, str(exc)
    except StoreError as exc:
        state, detail = State.BROKEN, f"{exc} {exc.advice}"
    return Finding(promise.name, state, detail, clock.monotonic() - began)


def _check_clean_up(room: Room) -> None:
    with contextlib.suppress(ObjectNotFound):
        room.clean()
    left = room.list()
    require(not left, f"{len(left)} objects below {PREFIX}/ could not be removed; remove them by hand")
