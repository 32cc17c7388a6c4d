"""Gives no call more time than it can need: the last net, under stores whose own time limits miss a stall.

A store on sockets notices silence by its time limits and crawling by `providers.stores.transfer.Pace`; but a dead
network mount never returns, and an SDK may wait in a loop of its own. Such a call goes on in its thread while the
caller hears NoAnswer, and its result is dropped.

Large pieces are sent in the caller's thread: their bytes belong to the caller, who uses the memory again once the call
has returned, and a copy of every pack would cost a tenth of the upload's speed. Small ones are copied.
"""

from __future__ import annotations

import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from providers.stores.base import Buffer, ObjectInfo, ObjectStore
from providers.stores.errors import NoAnswer
from providers.stores.transfer import SLOWEST_BYTES_PER_SECOND
from providers.wrappers.base import Call, Operation, Wrapper

T = TypeVar("T")

COPIED_BYTES = 1024 * 1024
_IDLE_MAX = 16
# Of a vault: what is read before anything else can be done, a few hundred bytes each.
_SMALL = re.compile(r"(^|/)(config|(keys|locks|snapshots)/[0-9a-f]{64})$")
_LONG = {Operation.REMOVE_UNFINISHED}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take at most.

    call_seconds:    one that moves next to nothing [s]; above anything that a store's own limits allow.
    clearing_seconds: one that clears up many objects [s]; a listing has `call_seconds` for every entry to come.
    unknown_bytes:   taken for the size of what comes down when nobody says how much [bytes].
    small_seconds:   one that brings a file which is small by its kind [s]; a run waits for it before it can begin.
    """

    call_seconds: float = 60.0
    clearing_seconds: float = 3600.0
    unknown_bytes: int = 64 * 1024 * 1024
    small_seconds: float = 20.0

    def seconds(self, operation: Operation, size_bytes: int) -> float:
        """Return the limit for a call that moves `size_bytes` [bytes]."""
        base = self.clearing_seconds if operation in _LONG else self.call_seconds
        return base + size_bytes / SLOWEST_BYTES_PER_SECOND

    def whole_seconds(self, name: str) -> float:
        """Return the limit for bringing the whole of `name`, of unknown size [s]."""
        return self.small_seconds if _SMALL.search(name) else self.seconds(Operation.GET, self.unknown_bytes)


class WatchedStore(Wrapper):
    """Raises NoAnswer when a call exceeds all patience."""

    def __init__(self, inner: ObjectStore, patience: Patience | None = None) -> None:
        super().__init__(inner)
        self._patience = patience or Patience()

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        size = memoryview(content).nbytes
        if size > COPIED_BYTES:
            return self.inner.put(name, content, sha256=sha256)
        copied = bytes(content)
        return self._watch(Operation.PUT, name, size, lambda: self.inner.put(name, copied, sha256=sha256))

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        patience = self._patience
        seconds = patience.whole_seconds(name) if length is None else patience.seconds(Operation.GET, length)
        return self._wait(Operation.GET, name, seconds, lambda: self.inner.get(name, offset=offset, length=length))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the listing once it is whole; what counts is how long nothing comes, not how long all of it takes."""
        found: deque[ObjectInfo] = deque()
        errand = _Errand(lambda: found.extend(self.inner.list(prefix)))
        _send(errand)
        counted = 0
        while not errand.done.wait(self._patience.call_seconds):
            if len(found) == counted:
                raise NoAnswer(f"{Operation.LIST} {prefix}: nothing came for {self._patience.call_seconds:.0f} s")
            counted = len(found)
        errand.give()
        yield from found

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        size = self._patience.unknown_bytes if call.operation is Operation.VERIFY else 0
        return self._watch(call.operation, call.name, size, run)

    def _watch(self, operation: Operation, name: str, size_bytes: int, run: Callable[[], T]) -> T:
        return self._wait(operation, name, self._patience.seconds(operation, size_bytes), run)

    @staticmethod
    def _wait(operation: Operation, name: str, seconds: float, run: Callable[[], T]) -> T:
        errand = _Errand(run)
        _send(errand)
        if not errand.done.wait(seconds):
            raise NoAnswer(f"{operation} {name}: no end after {seconds:.0f} s")
        result: T = errand.give()
        return result


class _Errand:
    """A call on its way through another thread."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def carry_out(self) -> None:
        try:
            self.result = self._run()
        except BaseException as exc:
            self.error = exc
        self.done.set()

    def give(self) -> Any:
        """Return its result, or raise its error, once it is done."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # breaks the circle of traceback and frame
        return self.result


class _Runner:
    """A thread that carries out one errand after the other, and is put back among the idle ones in between."""

    def __init__(self) -> None:
        self.errands: queue.SimpleQueue[_Errand] = queue.SimpleQueue()
        threading.Thread(target=self._loop, name="watched call", daemon=True).start()

    def _loop(self) -> None:
        while True:
            errand = self.errands.get()
            errand.carry_out()
            del errand  # its result may be large
            with _lock:
                if len(_idle) >= _IDLE_MAX:
                    return
                _idle.append(self)


_idle: list[_Runner] = []
_lock = threading.Lock()


def _send(errand: _Errand) -> None:
    with _lock:
        runner = _idle.pop() if _idle else None
    (runner or _Runner()).errands.put(errand)
