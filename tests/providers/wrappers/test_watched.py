"""The last net under calls that never end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from providers.stores.base import ObjectInfo, ObjectStore
from providers.stores.errors import NoAnswer, ObjectNotFound
from providers.stores.memory import MemoryStore
from providers.wrappers.watched import COPIED_BYTES, Patience, WatchedStore
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import SYSTEM_CLOCK

SHORT = Patience(call_seconds=0.05, clearing_seconds=0.05, unknown_bytes=0)


class StallingStore(MemoryStore):
    """An SDK that waits in a loop of its own, whatever it was told about time limits."""

    def __init__(self) -> None:
        super().__init__()
        self.stalled = False
        self.released = threading.Event()
        self.ended = threading.Event()
        self.stalls = 0

    def _stall(self) -> None:
        if self.stalled:
            self.stalls += 1
            self.released.wait(30)
            self.ended.set()

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self._stall()
        return super().get(name, offset=offset, length=length)

    def put(self, name: str, content: object, *, sha256: str | None = None) -> ObjectInfo:
        self._stall()
        return super().put(name, content, sha256=sha256)  # type: ignore[arg-type]

    def delete(self, name: str) -> None:
        self._stall()
        super().delete(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._stall()
        return super().list(prefix)


class TestWatchedStore(StoreContract):
    @pytest.fixture
    def store(self) -> WatchedStore:
        return WatchedStore(MemoryStore())


@pytest.fixture
def stalling() -> Iterator[StallingStore]:
    store = StallingStore()
    store.put("a", b"content")
    yield store
    store.released.set()


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get("a", length=1),
        lambda store: store.put("b", b"1"),
        lambda store: store.delete("a"),
        lambda store: [*store.list()],
    ],
)
def test_a_stall_is_told_although_the_call_never_returns(
    stalling: StallingStore, call: Callable[[ObjectStore], object]
) -> None:
    store = WatchedStore(stalling, SHORT)
    stalling.stalled = True
    with pytest.raises(NoAnswer, match=r"no end after|nothing came"):
        call(store)
    assert stalling.stalls == 1
    stalling.stalled = False
    assert store.get("a") == b"content", "the next call has a thread of its own"


def test_the_memory_of_a_call_given_up_may_be_used_again(stalling: StallingStore) -> None:
    buffer = bytearray(b"first content")
    stalling.stalled = True
    with pytest.raises(NoAnswer):
        WatchedStore(stalling, SHORT).put("b", memoryview(buffer))
    buffer[:] = b"other content"
    stalling.released.set()
    assert stalling.ended.wait(10)
    while not (names := {info.name for info in stalling.list()} & {"b"}):
        pass
    assert names and MemoryStore.get(stalling, "b") == b"first content"


def test_large_pieces_go_out_in_the_callers_thread_without_a_copy() -> None:
    seen: list[tuple[int, object]] = []

    class Looking(MemoryStore):
        def put(self, name: str, content: object, *, sha256: str | None = None) -> ObjectInfo:
            seen.append((threading.get_ident(), content))
            return super().put(name, content, sha256=sha256)  # type: ignore[arg-type]

    content = bytearray(COPIED_BYTES + 1)
    WatchedStore(Looking()).put("a", content)
    assert seen == [(threading.get_ident(), content)]
    assert seen[0][1] is content


def test_errors_keep_their_class_and_cause() -> None:
    with pytest.raises(ObjectNotFound):
        WatchedStore(MemoryStore()).get("missing")


def test_patience_grows_with_the_size() -> None:
    patience = Patience()
    assert patience.seconds("delete", 0) == 60  # type: ignore[arg-type]
    assert patience.seconds("get", 4096 * 100) == 160  # type: ignore[arg-type]
    assert patience.seconds("remove_unfinished", 0) == 3600  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["v/config", f"v/keys/{'a' * 64}", f"v/locks/{'b' * 64}"])
def test_a_hanging_folder_holds_no_backup_for_hours(stalling: StallingStore, name: str) -> None:
    """Here: a dead mount was given the time of 64 MiB at 4 KiB/s for a config of 155 bytes: 4.6 hours."""
    assert Patience().whole_seconds(name) == 20 < Patience().whole_seconds(f"v/data/{'c' * 64}")
    stalling.stalled = True
    with pytest.raises(NoAnswer, match="no end after"):
        WatchedStore(stalling, Patience(small_seconds=0.05)).get(name)
    assert stalling.stalls == 1


def test_a_listing_has_patience_for_every_entry_and_none_for_silence() -> None:
    """Here: a place that fell silent within a listing held a backup for an hour, whatever it had listed."""
    honest, released = MemoryStore(), threading.Event()
    patience = Patience(call_seconds=0.3)

    class Slow(MemoryStore):
        silent_from = 1000

        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            for number in range(1000):
                if number == self.silent_from:
                    released.wait(30)
                yield honest.put(f"{prefix}{number}", b"")
                released.wait(0.001)

    store = Slow()
    began = SYSTEM_CLOCK.monotonic()
    assert len([*WatchedStore(store, patience).list("a")]) == 1000
    assert SYSTEM_CLOCK.monotonic() - began > 2 * patience.call_seconds, "it took longer than any silence may"
    store.silent_from = 500
    with pytest.raises(NoAnswer, match="nothing came"):
        next(WatchedStore(store, patience).list("b"))
    released.set()
    assert {info.name for info in honest.list("b")} >= {"b499"}
