"""Promises about several who work at the same time, on one store or on several of one place."""

from __future__ import annotations

import os
import pickle
import threading
from functools import partial

from providers.stores.base import Capabilities
from providers.stores.errors import ObjectNotFound, StoreError
from providers.validation.lines import with_second_attempt
from providers.validation.promise import Exempt, Promise, PromiseBroken, require, require_error
from providers.validation.room import Room, sha256_of

SIZE = 200_000


def _torn(capabilities: Capabilities) -> str:
    return "" if capabilities.atomic_replace else "a reader may see a mixture while an object is replaced"


def _contents(count: int) -> list[bytes]:
    return [bytes([number]) * SIZE for number in range(count)]


def _check_one_wins(room: Room) -> None:
    contents, failed = _contents(6), list[StoreError]()
    name = room.name("one-wins")

    def write(content: bytes) -> bool:
        try:
            return room.store.put(name, content, sha256=sha256_of(content)).proof is not None
        except StoreError as error:  # who was overtaken may hear that the object is another
            failed.append(error)
            return False

    with room.threads() as pool:
        wins = list(pool.map(write, contents))
    require(any(wins), f"of six writers nobody was told that it worked: {failed[:1]}")
    found = room.store.get(name)
    require(found in contents, "the object is a mixture of what several wrote")
    require(room.store.head(name).size_bytes == SIZE, "its size is that of none of them")


def _check_no_mixture(room: Room) -> None:
    contents, ended = _contents(2), threading.Event()
    name = room.put("mixture", contents[0])
    seen: list[bytes] = []
    store = with_second_attempt(room.store)  # a server may find one object asked for too often, for a moment

    def read() -> None:
        while not ended.is_set():
            seen.append(store.get(name))

    with room.threads() as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(1, 9):
                store.put(name, contents[number % 2])
        finally:
            ended.set()
        for reader in readers:
            reader.result()
    require(all(content in contents for content in seen), "a reader saw a mixture of the old and the new object")


def _check_delete_while_reading(room: Room) -> None:
    content = os.urandom(SIZE)
    names = [room.put(f"vanishing/{number}", content) for number in range(4)]

    def read(name: str) -> bool:
        try:
            return room.store.get(name) == content
        except ObjectNotFound:
            return True

    with room.threads() as pool:
        reading = [pool.submit(read, name) for name in names * 2]
        deleting = [pool.submit(room.delete, name) for name in names]
        whole = [task.result() for task in reading]
        for task in deleting:
            task.result()
    require(all(whole), "a reader got something else than the object while it was deleted")
    for name in names:
        require_error(ObjectNotFound, partial(room.store.head, name), "head after a deletion")


def _check_delete_together(room: Room) -> None:
    name = room.put("deleted-together", b"x")
    with room.threads() as pool:
        for task in [pool.submit(room.delete, name) for _ in range(6)]:
            task.result()
    require_error(ObjectNotFound, lambda: room.store.head(name), "head after six deletions")


def _check_all_connections(room: Room) -> None:
    """As many calls at once as its capabilities say, each thread storing, reading and deleting its own object."""
    count = min(room.store.capabilities.connections, 32)
    together = threading.Barrier(count, timeout=30)

    def round_trip(number: int) -> bool:
        content = b"%d" % number * 100
        together.wait()
        name = room.put(f"all-at-once/{number}", content)
        whole = room.store.get(name) == content
        room.delete(name)
        return whole

    threads: list[threading.Thread] = []
    results: list[bool] = []
    errors: list[StoreError] = []
    exempt: list[Exempt] = []

    def run(number: int) -> None:
        try:
            results.append(round_trip(number))
        except StoreError as error:
            errors.append(error)
        except Exempt as reason:
            exempt.append(reason)

    for number in range(count):
        threads.append(threading.Thread(target=run, args=(number,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    require(not errors, f"{len(errors)} of {count} calls at once failed: {errors[:1]}")
    if exempt:
        raise exempt[0]
    require(results == [True] * count, "calls at once mixed up their contents")
    require(room.list("all-at-once/") == [], "deleted objects are still listed")


def _check_travels(room: Room) -> None:
    name = room.put("travels", b"content")
    store = room.provider
    try:
        travelled = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes of a moment ago
    except TypeError as exc:
        if store.wire is None:
            raise Exempt(f"{exc}") from exc
        raise PromiseBroken(f"it cannot be sent to another process: {exc}") from exc
    try:
        require(travelled.get(name) == b"content", "a store that travelled reads something else")
        require(travelled.capabilities == room.store.capabilities, "a store that travelled has other capabilities")
        travelled.put(name, b"from afar", sha256=sha256_of(b"from afar"))
        require(room.store.get(name) == b"from afar", "what a store that travelled wrote is not seen here")
    finally:
        travelled.close()


def _check_two_stores(room: Room) -> None:
    name = room.put("two-stores", b"by the first")
    with room.reopened() as second:
        require(second.get(name) == b"by the first", "a second store does not see what the first one wrote")
        second.put(name, b"by the second")
        require(room.store.get(name) == b"by the second", "the first store does not see what the second one wrote")
        room.delete(name, by=second)
    require_error(ObjectNotFound, lambda: room.store.head(name), "head after the second store deleted it")


def _check_closing(room: Room) -> None:
    with room.reopened() as second:
        second.put(room.name("closing"), b"x")
    require(room.store.get(room.name("closing")) == b"x", "after a second store was closed the first one fails")


PROMISES = (
    Promise("of several who write one name one wins, and wins whole", _check_one_wins),
    Promise("a reader sees the old object or the new one, never a mixture", _check_no_mixture, unless=_torn),
    Promise("deleting while others read tears nothing", _check_delete_while_reading),
    Promise("several may delete the same object", _check_delete_together),
    Promise("it takes as many calls at once as it says", _check_all_connections),
    Promise("a copy sent to another process reaches the same objects", _check_travels),
    Promise("two stores of one place see each other's objects", _check_two_stores, reopens=True),
    Promise("closing one store leaves others open", _check_closing, reopens=True),
)
