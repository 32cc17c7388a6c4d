"""All promises, put to the test one after the other."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Generator, Sequence
from pathlib import PurePath

from providers.stores.base import ObjectStore
from providers.stores.errors import AccessDenied, LocationMissing, ObjectNotFound, StoreError
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

log = logging.getLogger(__name__)

ENTRY = "it lets us in"
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
    remover: ObjectStore | None = None,
    large: bool = False,
    promises: Sequence[Promise] = PROMISES,
    clock: Clock = SYSTEM_CLOCK,
) -> Generator[Finding, None, None]:
    """Check `promises` against `store`, one by one, then clean up.

    bare:    the provider's own store inside `store`, when wrappers are around it; faults are tried with it.
    remover: the same place opened by the credential that may delete, where the one of `store` may not.
    large:   also those that move more than a few MiB.

    Where it does not even let us in, the first finding says so and nothing else is tried: a hundred promises would say
    the same. The last finding tells about the clean-up. Never raises a StoreError. However it ends, also when whoever
    listens stops half-way, what was stored is removed.
    """
    room = Room(store, bare, clock, remover=remover)
    cleaned = False
    try:
        entry = judge(Promise(ENTRY, _check_entry), room, clock)
        if not entry.ok:
            cleaned = True  # nothing was stored
            yield entry
            return
        for promise in promises:
            if large or not promise.large:
                yield judge(promise, room, clock)
        finding = judge(Promise(CLEAN_UP, _check_clean_up), room, clock)
        cleaned = True
        yield finding
    finally:
        if not cleaned:
            with contextlib.suppress(StoreError, Exempt):
                room.clean()


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
    except Exception as exc:
        # The text of an exception that nobody foresaw may hold a secret; its type and place tell where to look.
        log.exception("the check of the promise %r ended by itself", promise.name)
        state, detail = State.BROKEN, f"the answer was not understood ({type(exc).__name__}{_place(exc)})"
    return Finding(promise.name, state, detail, clock.monotonic() - began)


def _place(exc: BaseException) -> str:
    """Return where in our own code an exception came from, for whoever reads the log beside it."""
    frames = traceback.extract_tb(exc.__traceback__)
    ours = [frame for frame in frames if "providers" in PurePath(frame.filename).parts]
    return f" in {PurePath(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""


def _check_entry(room: Room) -> None:
    """Any other trouble is for the promises to tell, each by its own."""
    try:
        next(iter(room.store.list(room.prefix("entry"))), None)
    except (AccessDenied, LocationMissing) as exc:
        raise PromiseBroken(f"{exc}. {exc.advice} Nothing else was tried.") from exc
    except StoreError:
        return


def _check_clean_up(room: Room) -> None:
    try:
        with contextlib.suppress(ObjectNotFound):
            room.clean()
    except Exempt as exc:
        raise Warned(f"what this validation stored stays below {PREFIX}/: {exc}; until then remove it by hand") from exc
    left = room.list()
    require(not left, f"{len(left)} objects below {PREFIX}/ could not be removed; remove them by hand")
