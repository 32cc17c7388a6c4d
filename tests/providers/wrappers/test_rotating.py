"""Promises of providers.wrappers.rotating: a credential changes under running calls, and no call fails for it."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from providers.stores.base import ObjectInfo, ObjectStore
from providers.stores.errors import AccessDenied, ClockSkewed, CredentialExpired, StoreUnavailable
from providers.stores.memory import MemoryStore
from providers.stores.s3 import S3Options, S3Store
from providers.wrappers.rotating import LOOK_SECONDS, RotatingStore
from wedbackup.core.clock import ManualClock


class Account:
    """A provider's account whose newest version is `version`; every version has a store of its own."""

    def __init__(self) -> None:
        self.version, self.asked, self.closed = 1, 0, list[int]()
        self.made: dict[int, ObjectStore] = {}
        self.trouble: Exception | None = None

    def current(self) -> tuple[int, Callable[[], ObjectStore]]:
        self.asked += 1
        if self.trouble:
            raise self.trouble
        version = self.version
        return version, lambda: self.store(version)

    def store(self, version: int) -> ObjectStore:
        account = self

        class Store(MemoryStore):
            def close(self) -> None:
                account.closed.append(version)
                super().close()

        return self.made.setdefault(version, Store())


@pytest.fixture
def account() -> Account:
    return Account()


class Refusing(MemoryStore):
    """A provider that knows this key no longer."""

    def __init__(self, error: type[AccessDenied]) -> None:
        super().__init__()
        self.error, self.refused = error, 0

    def head(self, name: str) -> ObjectInfo:
        self.refused += 1
        raise self.error("the key is gone")


def test_new_calls_take_the_new_version_a_second_later(account: Account, clock: ManualClock) -> None:
    store = RotatingStore(account.current, clock=clock)
    store.put("a", b"1")
    account.version = 2
    store.put("b", b"2")
    assert account.asked == 1, "asked again within the second"
    clock.advance(LOOK_SECONDS)
    store.put("c", b"3")
    assert (store.version, account.closed) == (2, [1])
    assert [info.name for info in account.made[1].list()] == ["a", "b"]
    assert [info.name for info in account.made[2].list()] == ["c"]


def test_a_call_under_way_ends_with_the_version_it_began_with_and_closes_it(
    account: Account, clock: ManualClock
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def get(self, name: str, **more: object) -> bytes:
            begun.set()
            assert may_end.wait(10)
            assert account.closed == []
            return b"old"

        def close(self) -> None:
            account.closed.append(1)

    account.made[1] = Slow()
    store = RotatingStore(account.current, clock=clock)
    with ThreadPoolExecutor() as pool:
        under_way = pool.submit(store.get, "a")
        assert begun.wait(10)
        account.version = 2
        clock.advance(LOOK_SECONDS)
        store.put("b", b"2")
        assert (store.version, account.closed) == (2, [])
        may_end.set()
        assert under_way.result(10) == b"old"
    assert account.closed == [1]


@pytest.mark.parametrize("error", [AccessDenied, CredentialExpired])
def test_a_refused_version_is_replaced_at_once_and_the_call_succeeds(
    account: Account, clock: ManualClock, error: type[AccessDenied]
) -> None:
    account.made[1] = gone = Refusing(error)
    store = RotatingStore(account.current, clock=clock)
    account.store(2).put("a", b"12")
    account.version = 2
    assert store.head("a").size_bytes == 2
    assert (gone.refused, store.version) == (1, 2)


def test_a_refusal_of_the_version_in_use_is_told_after_one_question(account: Account, clock: ManualClock) -> None:
    account.made[1] = gone = Refusing(AccessDenied)
    store = RotatingStore(account.current, clock=clock)
    with pytest.raises(AccessDenied, match="the key is gone"):
        store.head("a")
    assert (gone.refused, account.asked) == (1, 2)


def test_a_wrong_clock_is_no_reason_to_ask(account: Account, clock: ManualClock) -> None:
    account.made[1] = Refusing(ClockSkewed)
    store = RotatingStore(account.current, clock=clock)
    account.version = 2
    with pytest.raises(ClockSkewed):
        store.head("a")
    assert account.asked == 1


def test_while_nobody_can_say_what_is_in_use_the_version_in_hand_goes_on(account: Account, clock: ManualClock) -> None:
    store = RotatingStore(account.current, clock=clock)
    account.trouble = StoreUnavailable("the database is away")
    clock.advance(LOOK_SECONDS)
    store.put("a", b"1")
    assert (store.version, account.asked) == (1, 2)


def test_a_copy_in_another_process_keeps_the_version_it_left_with(clock: ManualClock) -> None:
    bucket = S3Store(S3Options(bucket="b", access_key="first", secret_key="s"))
    copy = pickle.loads(pickle.dumps(RotatingStore(lambda: (1, lambda: bucket), clock=clock)))
    assert type(copy) is S3Store
    assert copy.options == bucket.options


def test_many_threads_at_once_never_use_a_closed_store(account: Account, clock: ManualClock) -> None:
    """Twenty versions come while eight threads work: each call's store is open from its beginning to its end."""

    class Strict(MemoryStore):
        open = True

        def head(self, name: str) -> None:  # type: ignore[override]
            assert self.open
            for _ in range(50):
                assert self.open, "closed under a running call"

        def close(self) -> None:
            assert self.open, "closed twice"
            self.open = False

    for version in range(1, 22):
        account.made[version] = Strict()
    store = RotatingStore(account.current, clock=clock)
    ended = threading.Event()

    def work() -> int:
        done = 0
        while not ended.is_set():
            store.head("a")
            done += 1
        return done

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work) for _ in range(8)]
        while store.version < 21:
            account.version = min(21, store.version + 1)
            clock.advance(LOOK_SECONDS)
        ended.set()
        assert all(worker.result(30) for worker in workers)
    assert [made.open for made in account.made.values()] == [False] * 20 + [True]  # type: ignore[attr-defined]
