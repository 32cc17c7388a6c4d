"""Promises about listings: whole, current, and undisturbed by what others do meanwhile."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from providers.validation.promise import Exempt, Promise, PromiseBroken, require
from providers.validation.room import Room

PAGE = 4
CLOCKS_MAY_DIFFER = timedelta(minutes=3)


def _check_pages(room: Room) -> None:
    """With pages of a few objects, where their size can be chosen: the same code that turns pages of a thousand."""
    if not hasattr(getattr(room.provider, "options", None), "list_page"):
        raise Exempt("the size of its pages cannot be chosen; see the promise about 1,000 objects")
    with room.inside("pages", list_page=PAGE) as store:
        names = [f"{number}.{room.mark}" for number in range(2 * PAGE + 1)]
        for name in names:
            store.put(name, name.encode())
        _require_each_once(names, [info.name for info in store.list() if info.name.endswith(room.mark)])


def _check_thousand(room: Room) -> None:
    _check_many(room, 1_001)


def _check_ten_thousand(room: Room) -> None:
    _check_many(room, 10_001)


def _check_many(room: Room, count: int) -> None:
    names = room.put_all((f"many/{number}" for number in range(count)), b"x")
    try:
        _require_each_once(names, [info.name for info in room.list("many/")])
    finally:
        room.delete_all(names)
    require(room.list("many/") == [], "deleted objects are still listed")


def _require_each_once(expected: Sequence[str], found: Sequence[str]) -> None:
    missing, twice = set(expected) - set(found), [name for name, times in Counter(found).items() if times > 1]
    require(not missing, f"{len(missing)} of {len(expected)} objects are not listed")
    require(not twice, f"{len(twice)} objects are listed more than once")
    require(len(found) == len(expected), f"{len(found) - len(expected)} objects are listed that were never stored")


def _check_at_once(room: Room) -> None:
    name = room.put("fresh/one", b"x")
    require({info.name for info in room.list("fresh/")} == {name}, "what was just stored is not listed")
    room.put("fresh/one", b"longer")
    require([info.size_bytes for info in room.list("fresh/")] == [6], "the listing tells the old object's size")
    room.delete(name)
    require(room.list("fresh/") == [], "what was just deleted is still listed")


def _check_writing(room: Room) -> None:
    names = [room.put(f"busy/stays-{number}", b"x") for number in range(6)]
    with room.threads() as pool:
        writing = [pool.submit(room.put, f"busy/comes-{number}", b"y") for number in range(6)]
        listings = [[info.name for info in room.list("busy/")] for _ in range(3)]
        new = [task.result() for task in writing]
    for found in listings:
        _require_each_once(names, [name for name in found if "stays" in name])
    _require_each_once(names + new, [info.name for info in room.list("busy/")])


def _check_deleting(room: Room) -> None:
    kept = [room.put(f"leaving/stays-{number}", b"x") for number in range(4)]
    going = [room.put(f"leaving/goes-{number}", b"x") for number in range(6)]
    with room.threads() as pool:
        deleting = [pool.submit(room.delete, name) for name in going]
        listings = [[info.name for info in room.list("leaving/")] for _ in range(3)]
        for task in deleting:
            task.result()
    for found in [*listings, [info.name for info in room.list("leaving/")]]:
        _require_each_once(kept, [name for name in found if "stays" in name])


def _check_half_way(room: Room) -> None:
    names = [room.put(f"half/{number}", b"x") for number in range(5)]
    for _ in range(20):  # more often than there are connections
        first = [*itertools.islice(room.store.list(room.prefix("half/")), 1)]
        require(len(first) == 1, "the listing of a full folder was empty")
    _require_each_once(names, [info.name for info in room.list("half/")])


def _check_agrees(room: Room) -> None:
    name = room.put("agrees", b"x" * 321)
    for info in room.list("agrees"):
        head = room.store.head(name)
        require(info.size_bytes == head.size_bytes, "listing and head tell different sizes")
        if info.modified and head.modified:
            apart = abs(info.modified - head.modified)
            require(apart < timedelta(seconds=2), f"listing and head tell times that are {apart} apart")


def _check_time(room: Room) -> None:
    before = room.clock.utcnow()
    name = room.put("time", b"now")
    times = [info.modified for info in (room.store.head(name), *room.list("time")) if info.modified]
    if not times:
        raise Exempt("it does not tell when an object was stored")
    for modified in times:
        apart = max(before - modified, modified - room.clock.utcnow())
        if apart > CLOCKS_MAY_DIFFER:
            minutes = apart.total_seconds() / 60
            raise PromiseBroken(f"the time of storing is {minutes:.0f} minutes off: set this machine's clock (NTP)")


PROMISES = (
    Promise("a listing goes on over its pages", _check_pages, reopens=True),
    Promise("more than 1,000 objects are all listed", _check_thousand, large=True, long=True),
    Promise("more than 10,000 objects are all listed", _check_ten_thousand, large=True, long=True),
    Promise("a listing knows of the last moment", _check_at_once),
    Promise("a listing is right while others write", _check_writing),
    Promise("a listing is right while others delete", _check_deleting),
    Promise("a listing can be left half-way", _check_half_way),
    Promise("a listing and a look at one object agree", _check_agrees),
    Promise("the time of storing is right within 3 minutes", _check_time),
)
