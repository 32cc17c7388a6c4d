"""One sealed pack to all destinations at once, the same bytes to each, in bounded memory.

Every destination has a lane: a queue and a few uploader threads. A pack's buffer is used again when every lane is done
with it, so a slow required destination holds the reader back. An optional destination may hold LAG_PACKS buffers more;
when the reader waits for nothing else, it is dropped from this run, and so is any destination that fails: the other
copies never wait for it. Dropped ones are caught up later from another copy.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backups.engine.backup.board import FAILED, LAGGING, Board
from backups.engine.backup.messages import Destination, DestinationDropped, Message, PackStored
from backups.engine.errors import Cancelled
from backups.engine.format import BLOB_MAX_BYTES, MIB, PACK_TARGET_BYTES, FileKind, file_name
from providers.stores.base import ObjectStore, Proof
from providers.stores.errors import LOCATION_TROUBLE, UNTRIED, StoreError

BUFFER_BYTES = PACK_TARGET_BYTES + BLOB_MAX_BYTES + MIB
UPLOADERS = 2  # threads per destination: one sends while the other's disk or server confirms
QUEUED_PACKS = 2  # sealed packs under way beside the open ones, per process
LAG_PACKS = 1  # what optional destinations may hold on top of that, per process
LAG_SECONDS = 1.0  # a hiccup of a disk is no lag
FINISH_SECONDS = 10.0  # at the end nobody reads any more: an optional destination may take this long per pack
_POLL_SECONDS = 0.1


@dataclass
class _Parcel:
    """A sealed pack on its way. holders: lanes that still need its buffer."""

    name: str
    pack_id: str
    view: memoryview
    buffer: mmap.mmap
    holders: int = 0


@dataclass
class _Lane:
    number: int
    store: ObjectStore
    required: bool
    queue: deque[_Parcel] = field(default_factory=deque)
    busy: int = 0
    threads: list[threading.Thread] = field(default_factory=list)
    written_off: bool = False

    @property
    def has_work(self) -> bool:
        return bool(self.queue or self.busy)


class FanOut:
    """The upload side of one process."""

    def __init__(
        self,
        destinations: Sequence[Destination],
        prefix: str,
        board: Board,
        report: Callable[[Message], None],
        *,
        open_packs: int,
    ) -> None:
        """open_packs: how many buffers the caller fills at the same time."""
        self._board = board
        self._prefix = prefix
        self._report = report
        self._lanes = [_Lane(number, place.store, place.required) for number, place in enumerate(destinations)]
        self._buffers_max = open_packs + QUEUED_PACKS
        if any(not lane.required for lane in self._lanes):
            self._buffers_max += LAG_PACKS
        self._buffers_made = 0
        self._free: list[mmap.mmap] = []
        self._changed = threading.Condition()
        self._closed = False

    def buffer(self, size: int = BUFFER_BYTES) -> mmap.mmap:
        """Return an empty pack buffer, waiting for the destinations if all are in use.

        size: that it must have at least [bytes]; more than BUFFER_BYTES is for the list of a very large folder.

        Raises Cancelled when the run was asked to stop meanwhile.
        """
        with self._changed:
            waited = 0.0
            while not self._free and self._buffers_made >= self._buffers_max:
                if self._board.cancelled:
                    raise Cancelled("cancelled while waiting for the destinations")
                if self._settle_dropped():
                    continue
                if any(lane.required and lane.has_work for lane in self._lanes if self._takes_part(lane)):
                    waited = 0.0
                elif waited >= LAG_SECONDS:
                    self._drop_laggards("it took packs too slowly")
                    continue
                waited = 0.0 if self._changed.wait(_POLL_SECONDS) else waited + _POLL_SECONDS
            if self._free and size <= BUFFER_BYTES:
                return self._free.pop()
            if self._free:
                self._free.pop().close()
            else:
                self._buffers_made += 1
        # Mapped, not allocated: pages that no pack reaches cost nothing.
        return mmap.mmap(-1, size)

    def give_back(self, buffer: mmap.mmap) -> None:
        """Take back a buffer that was not sent."""
        with self._changed:
            self._keep(buffer)
            self._changed.notify_all()

    def send(self, pack_id: str, view: memoryview, buffer: mmap.mmap) -> None:
        """Hand a sealed pack over; returns at once. `view` is the pack's part of `buffer`."""
        parcel = _Parcel(self._prefix + file_name(FileKind.DATA, pack_id), pack_id, view, buffer)
        with self._changed:
            lanes = [lane for lane in self._lanes if self._takes_part(lane)]
            parcel.holders = len(lanes) + 1
            for lane in lanes:
                lane.queue.append(parcel)
                self._start_thread(lane)
            self._release(parcel)
            self._changed.notify_all()

    def finish(self, tell: Callable[[], None] | None = None) -> None:
        """Wait until every destination that is still in the run holds every pack; drop those that hang.

        tell: called about ten times a second meanwhile; what it raises ends the waiting.

        Raises Cancelled.
        """
        waited = 0.0
        while True:
            with self._changed:
                self._settle_dropped()
                busy = [lane for lane in self._lanes if self._takes_part(lane) and lane.has_work]
                if not busy:
                    self._close()
                    return
                if self._board.cancelled:
                    raise Cancelled("cancelled while waiting for the destinations")
                if any(lane.required for lane in busy):
                    waited = 0.0
                elif waited >= FINISH_SECONDS:
                    self._drop_laggards("it did not take the last packs in time")
                    continue
                waited = 0.0 if self._changed.wait(_POLL_SECONDS) else waited + _POLL_SECONDS
            if tell is not None:
                tell()

    def abandon(self, seconds: float) -> None:
        """Send nothing more, and give calls under way `seconds` [s] to end, so that they leave nothing half done."""
        with self._changed:
            for lane in self._lanes:
                self._empty(lane)
            self._close()
            self._changed.wait_for(lambda: not any(lane.busy for lane in self._lanes), seconds)

    def _close(self) -> None:
        self._closed = True
        self._free.clear()
        self._changed.notify_all()

    def _takes_part(self, lane: _Lane) -> bool:
        return self._board.is_in(lane.number)

    def _drop_laggards(self, reason: str) -> None:
        for lane in self._lanes:
            if not lane.required and lane.has_work and self._takes_part(lane):
                self._board.drop(lane.number, LAGGING)
                self._report(DestinationDropped(lane.number, f"left out of this run: {reason}"))

    def _settle_dropped(self) -> bool:
        """Free what dropped lanes hold, also those that another process dropped; return whether there were any."""
        dropped = [lane for lane in self._lanes if not self._takes_part(lane) and not lane.written_off]
        for lane in dropped:
            lane.written_off = True
            self._empty(lane)
            self._buffers_made -= lane.busy  # a call that hangs keeps its buffer; another one takes its place
        return bool(dropped)

    def _empty(self, lane: _Lane) -> None:
        while lane.queue:
            self._release(lane.queue.popleft())

    def _release(self, parcel: _Parcel) -> None:
        parcel.holders -= 1
        if parcel.holders == 0:
            parcel.view.release()
            if not self._closed:
                self._keep(parcel.buffer)
            self._changed.notify_all()

    def _keep(self, buffer: mmap.mmap) -> None:
        if len(buffer) > BUFFER_BYTES:  # made for one very large blob: its memory is not kept
            self._buffers_made -= 1
        else:
            self._free.append(buffer)

    def _start_thread(self, lane: _Lane) -> None:
        if len(lane.threads) < min(UPLOADERS, len(lane.queue) + lane.busy):
            thread = threading.Thread(target=self._upload, args=(lane,), name=f"upload-{lane.number}", daemon=True)
            lane.threads.append(thread)
            thread.start()

    def _upload(self, lane: _Lane) -> None:
        while (parcel := self._next(lane)) is not None:
            message = self._store(lane, parcel)
            with self._changed:
                if isinstance(message, DestinationDropped):
                    self._board.drop(lane.number, FAILED)
                    self._empty(lane)
                lane.busy -= 1
                self._release(parcel)
                # Reported before anybody can see the lane idle: `finish` must not overtake the last message.
                self._report(message)
                self._changed.notify_all()

    def _next(self, lane: _Lane) -> _Parcel | None:
        with self._changed:
            while True:
                if not self._takes_part(lane):
                    self._empty(lane)
                if lane.queue:
                    lane.busy += 1
                    return lane.queue.popleft()
                if self._closed:
                    return None
                self._changed.wait()

    def _store(self, lane: _Lane, parcel: _Parcel) -> PackStored | DestinationDropped:
        try:
            proof = store_proved(lane.store, parcel.name, parcel.view, parcel.pack_id)
        except Exception as exc:  # a destination, whatever is wrong with it, must not take the others down
            return DestinationDropped(lane.number, describe(exc), **blame(exc))
        return PackStored(lane.number, len(parcel.view), proof)


def store_proved(store: ObjectStore, name: str, content: bytes | memoryview, sha256: str) -> Proof:
    """Store an object and return how its bytes were confirmed. Raises StoreError, also when nothing confirms them."""
    proof = store.put(name, content, sha256=sha256).proof or store.verify(name, sha256=sha256).proof
    if proof is None:
        raise StoreError(f"the location could not confirm the bytes of {name}")
    return proof


def blame(exc: BaseException) -> dict[str, bool]:
    """Return what an error says of the location itself: that it did not answer, or that it was not even asked."""
    return {"unanswered": isinstance(exc, LOCATION_TROUBLE), "untried": isinstance(exc, UNTRIED)}


def describe(exc: BaseException) -> str:
    """Return the text of an error for people; an unexpected kind names itself."""
    text = str(exc)
    return text if isinstance(exc, StoreError) and text else f"{type(exc).__name__}: {text}"
