from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from hashlib import sha256

import pytest

from backups.engine.backup import fanout
from backups.engine.backup.board import FAILED, Board
from backups.engine.backup.fanout import QUEUED_PACKS, FanOut
from backups.engine.backup.messages import Destination, DestinationDropped, Message, PackStored
from backups.engine.errors import Cancelled
from providers.stores.base import ObjectStore, Proof
from providers.stores.errors import StoreError
from providers.stores.memory import MemoryStore
from tests.backups.engine.backing import Interposed


class Run:
    """A fan-out to stores in memory, each behind a gate that the test opens."""

    def __init__(self, **places: bool) -> None:
        """places: by name, whether required."""
        self.gates = {name: threading.Event() for name in places}
        self.stores = {name: Interposed(MemoryStore(), self._wait_at(name)) for name in places}
        self.board = Board()
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        destinations = [Destination(name, self.stores[name], required) for name, required in places.items()]
        self.fan_out = FanOut(destinations, "v/", self.board, self.messages.put, open_packs=1)
        self.sent: list[str] = []

    def _wait_at(self, name: str) -> Callable[[str], None]:
        def wait(_: str) -> None:
            self.gates[name].wait(60)

        return wait

    def send(self) -> None:
        buffer = self.fan_out.buffer()
        content = b"pack %d" % len(self.sent)
        buffer[: len(content)] = content
        self.sent.append(sha256(content).hexdigest())
        self.fan_out.send(self.sent[-1], memoryview(buffer)[: len(content)], buffer)

    def send_many(self, count: int) -> None:
        for _ in range(count):
            self.send()

    def told(self) -> list[Message]:
        found = []
        while not self.messages.empty():
            found.append(self.messages.get())
        return found


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "LAG_SECONDS", 0.1)
    monkeypatch.setattr(fanout, "FINISH_SECONDS", 0.1)


def test_every_place_gets_the_same_packs_and_each_is_confirmed() -> None:
    run = Run(a=True, b=True, c=False)
    for gate in run.gates.values():
        gate.set()
    for _ in range(10):
        run.send()
    run.fan_out.finish()
    names = {f"v/data/{pack[:2]}/{pack}" for pack in run.sent}
    assert all({info.name for info in store.list()} == names for store in run.stores.values())
    stored = [message for message in run.told() if isinstance(message, PackStored)]
    assert len(stored) == 30 and all(message.proof is Proof.READ_BACK for message in stored)


def test_a_slow_required_place_holds_the_reader_back() -> None:
    run = Run(fast=True, slow=True)
    run.gates["fast"].set()
    reader = threading.Thread(target=run.send_many, args=(20,))
    reader.start()
    reader.join(0.5)
    assert reader.is_alive() and len(run.sent) == 1 + QUEUED_PACKS
    run.gates["slow"].set()
    reader.join(60)
    run.fan_out.finish()
    assert len(run.sent) == 20 and not any(isinstance(message, DestinationDropped) for message in run.told())


def test_a_slow_optional_place_is_dropped_and_its_buffers_come_back() -> None:
    run = Run(fast=True, slow=False)
    run.gates["fast"].set()
    for _ in range(20):
        run.send()
    run.fan_out.finish()
    assert [message for message in run.told() if isinstance(message, DestinationDropped)] == [
        DestinationDropped(1, "left out of this run: it took packs too slowly")
    ]
    assert len(run.stores["fast"].put_names) == 20
    assert run.board.is_lagging(1)
    run.gates["slow"].set()


def test_a_place_that_another_process_dropped_holds_nobody_up() -> None:
    run = Run(fast=True, hanging=True)
    run.gates["fast"].set()
    reader = threading.Thread(target=run.send_many, args=(20,))
    reader.start()
    reader.join(0.3)
    assert reader.is_alive()
    run.board.drop(1, FAILED)
    reader.join(60)
    run.fan_out.finish()
    assert len(run.stores["fast"].put_names) == 20
    run.gates["hanging"].set()


def test_an_optional_place_that_hangs_at_the_end_is_dropped() -> None:
    run = Run(fast=True, slow=False)
    run.gates["fast"].set()
    run.send()
    run.fan_out.finish()
    assert [type(message) for message in run.told()] == [PackStored, DestinationDropped]
    run.gates["slow"].set()


def test_whatever_a_store_raises_only_that_place_is_lost() -> None:
    run = Run(good=True, bad=True)

    def explode(_: str) -> None:
        raise ZeroDivisionError("a bug in a store")

    run.stores["bad"]._before_put = explode
    run.gates["good"].set()
    for _ in range(10):
        run.send()
    run.fan_out.finish()
    assert DestinationDropped(1, "ZeroDivisionError: a bug in a store") in run.told()
    assert len(run.stores["good"].put_names) == 10


def test_a_cancelled_run_waits_for_nobody() -> None:
    run = Run(hanging=True)
    for _ in range(1 + QUEUED_PACKS):
        run.send()
    run.board.cancel()
    with pytest.raises(Cancelled):
        run.fan_out.buffer()
    with pytest.raises(Cancelled):
        run.fan_out.finish()
    run.fan_out.abandon(0.05)
    run.gates["hanging"].set()
    assert len(run.stores["hanging"].put_names) <= fanout.UPLOADERS


def test_a_store_that_proves_nothing_is_asked_to_verify() -> None:
    class Silent(MemoryStore):
        verified = 0

        def put(self, name: str, content: object, *, sha256: str | None = None) -> object:  # type: ignore[override]
            info = super().put(name, content, sha256=sha256)  # type: ignore[arg-type]
            return type(info)(info.name, info.size_bytes)

        def verify(self, name: str, *, sha256: str) -> object:  # type: ignore[override]
            self.verified += 1
            return super().verify(name, sha256=sha256)

    store = Silent()
    assert fanout.store_proved(store, "a", b"x", sha256(b"x").hexdigest()) is Proof.READ_BACK
    assert store.verified == 1


def test_bytes_that_nobody_can_confirm_are_not_stored() -> None:
    class Mute(MemoryStore):
        def put(self, name: str, content: object, *, sha256: str | None = None) -> object:  # type: ignore[override]
            return self.head("there")

        def verify(self, name: str, *, sha256: str) -> object:  # type: ignore[override]
            return self.head("there")

    store: ObjectStore = Mute()
    MemoryStore.put(store, "there", b"x")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="could not confirm"):
        fanout.store_proved(store, "a", b"x", "00")
