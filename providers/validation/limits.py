"""Promises about edges: very far ranges, names used again, features that a place has or has not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from providers.stores.base import Capabilities
from providers.stores.errors import ObjectNotFound, Rejected, StoreError, Unsupported
from providers.validation.promise import Promise, PromiseBroken, require, require_error
from providers.validation.room import Room

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def _sleeps(capabilities: Capabilities) -> str:
    return "" if capabilities.online else "it is an archive: what lies there has to be brought back first"


def _locks(capabilities: Capabilities) -> str:
    return "it has it; a lock would outlive this check" if capabilities.object_lock else ""


def _check_far_ranges(room: Room) -> None:
    name = room.put("far", b"0123456789")
    for offset in (2**31 - 1, 2**31 + 5, 2**32, 2**40):
        require(room.store.get(name, offset=offset, length=10) == b"", f"the range from {offset} on is not empty")
    require(room.store.get(name, offset=3, length=2**33) == b"3456789", "a range far beyond the end is not cut there")


def _check_used_again(room: Room) -> None:
    for content in (b"first", b"second", b"third"):
        name = room.put("used-again", content)
        require(room.store.get(name) == content, "a name used again gives the content of before")
        room.delete(name)
        require_error(ObjectNotFound, lambda name=name: room.store.get(name), "get after a delete")  # type: ignore[misc]


def _check_many_round_trips(room: Room) -> None:
    """More objects than there are connections, so that a connection lost by any call shows."""
    contents = {f"many-trips/{number}": b"%d" % number for number in range(40)}
    with room.threads() as pool:
        names = list(pool.map(room.put, contents.keys(), contents.values()))
        found = list(pool.map(room.store.get, names))
        for name in names[::4]:
            require_error(ObjectNotFound, lambda name=name: room.store.get(f"{name}x"), "get of a missing one")  # type: ignore[misc]
    require(found == list(contents.values()), "objects came back as others")
    room.delete_all(names)


def _check_keeps_fresh(room: Room) -> None:
    name = room.put("fresh-upload", b"stays")
    removed = room.store.remove_unfinished(before=LONG_AGO)
    require(removed == 0, f"{removed} unfinished uploads of before the year 2000 were removed")
    require(room.store.get(name) == b"stays", "removing unfinished uploads removed an object")


def _check_unknown_class(room: Room) -> None:
    name = room.put("class", b"stays")
    try:
        room.provider.change_class(name, "NO_SUCH_CLASS")
    except Rejected:
        require(room.store.get(name) == b"stays", "the object changed")
        return
    except StoreError as error:
        raise PromiseBroken(f"an unknown storage class is called {type(error).__name__}: {error}") from error
    raise PromiseBroken("an unknown storage class is taken for a known one")


def _check_awake(room: Room) -> None:
    name = room.put("awake", b"x")
    require(room.provider.thaw(name), "an object that was just stored cannot be read now")
    require_error(ObjectNotFound, lambda: room.provider.thaw(room.name("never/was")), "bringing back a missing object")


def _check_no_lock(room: Room) -> None:
    name = room.put("unlocked", b"x")
    until = room.clock.utcnow() + timedelta(minutes=1)
    require_error(
        Unsupported, lambda: room.provider.protect(name, until=until), "protecting where there is no protection"
    )
    room.delete(name)


PROMISES = (
    Promise("a range beyond the end is empty, however far", _check_far_ranges),
    Promise("a name can be used again", _check_used_again),
    Promise("many calls after each other lose no connection", _check_many_round_trips),
    Promise("clearing unfinished uploads keeps objects and fresh uploads", _check_keeps_fresh),
    Promise("an unknown storage class is refused", _check_unknown_class),
    Promise("what was just stored can be read now", _check_awake, unless=_sleeps),
    Promise("a protection that it does not have is refused", _check_no_lock, unless=_locks),
)
