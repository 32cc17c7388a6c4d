"""What a run knows of its destinations and counts, and how it tells: one thread reads all messages and writes here."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from backups.engine.backup.board import FAILED, Board
from backups.engine.backup.messages import (
    BatchDone,
    BytesRead,
    Destination,
    DestinationDropped,
    Message,
    PackSealed,
    PackStored,
    WorkerFailed,
)
from backups.engine.errors import TooFewCopies, WorkerDied
from backups.engine.format.index import PackRecord
from backups.engine.progress import CancelToken, Listener, Progress
from providers.stores.base import Proof
from wedbackup.core.clock import Clock

TELL_EVERY_SECONDS = 0.1
# From the strongest to the weakest; a copy is as well proved as its weakest pack.
_STRENGTH = (Proof.READ_BACK, Proof.SERVER_SHA256, Proof.SERVER_MD5)


@dataclass(slots=True)
class Outcome:
    """What became of one destination.

    complete:        it holds everything that the snapshot needs, and the snapshot.
    packs_confirmed: packs that this run stored there and the location confirmed.
    proof:           how, for the weakest of them; None when there was nothing to store.
    error:           for people, "" when all went well.
    unanswered:      the location did not answer or is gone. Otherwise it is there: full, locked, or only slow.
    untried:         it was not asked any more: paused, or left alone by its breaker.
    behind:          packs that are still missing there, as far as is known; another job brings them.
    vanished:        names of packs that had been whole there and were gone, or had another size, when the run began.
    snapshots:       ids of those that it listed when the run began; None when it was not listed.
    damaged:         reasons by name of files that this run found to be damaged there.
    mended:          names of files that were put again from another copy, or that nothing needs any more.
    """

    complete: bool = False
    packs_confirmed: int = 0
    proof: Proof | None = None
    error: str = ""
    unanswered: bool = False
    untried: bool = False
    behind: int = 0
    vanished: frozenset[str] = frozenset()
    snapshots: frozenset[str] | None = None
    damaged: dict[str, str] = field(default_factory=dict)
    mended: frozenset[str] = frozenset()


class Ledger:
    """Belongs to the thread that coordinates the run."""

    def __init__(
        self,
        destinations: Sequence[Destination],
        copies_needed: int,
        board: Board,
        listener: Listener,
        cancel: CancelToken,
        clock: Clock,
    ) -> None:
        self.events: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.progress = Progress(location_bytes={place.key: 0 for place in destinations})
        self.outcomes = [Outcome() for _ in destinations]
        self.records: list[PackRecord] = []
        self.bytes_stored = 0
        self.board = board
        self._destinations = tuple(destinations)
        self._copies_needed = copies_needed
        self._listener = listener
        self._cancel = cancel
        self._clock = clock
        self._told_at = float("-inf")
        self._partial: dict[int, int] = {}
        self._committed = False

    def pulse(self, step: str | None = None) -> None:
        """Tell the listener, if it is time to; a new step is told at once. Raises Cancelled, until `commit`."""
        if not self._committed:
            self._cancel.check()
        now = self._clock.monotonic()
        if step not in (None, self.progress.step):
            self.progress.step = step or ""
        elif now - self._told_at < TELL_EVERY_SECONDS:
            return
        self._told_at = now
        shown = replace(
            self.progress,
            location_bytes=dict(self.progress.location_bytes),
            location_errors=dict(self.progress.location_errors),
        )
        shown.bytes_done += sum(self._partial.values())
        self._listener(shown)

    def commit(self) -> None:
        """From now on it is too late to cancel: some destinations may show the snapshot already. Raises Cancelled."""
        self._cancel.check()
        self._committed = True

    def take_all(self) -> None:
        """Take in what has come since, without waiting. For the time when no files are read."""
        while not self.events.empty():
            self.note(self.events.get())

    def drop(self, number: int, error: str, *, unanswered: bool = False, untried: bool = False) -> None:
        """Take a destination out of the run; `check_enough` follows."""
        self.board.drop(number, FAILED)
        if not self.outcomes[number].error:
            self.outcomes[number].error = error
            self.outcomes[number].unanswered = unanswered
            self.outcomes[number].untried = untried
            self.progress.location_errors[self._destinations[number].key] = error

    def check_enough(self) -> None:
        """Raise TooFewCopies when fewer destinations are left than the policy asks for."""
        left = sum(self.board.is_in(number) for number in range(len(self.outcomes)))
        if left < max(1, self._copies_needed):
            raise self.too_few(left)

    def too_few(self, complete: int) -> TooFewCopies:
        """Return the error that says so, with the reasons."""
        reasons = "; ".join(f"{key}: {outcome.error}" for key, outcome in self.by_key().items() if outcome.error)
        needed = max(1, self._copies_needed)
        return TooFewCopies(
            f"{complete} of {needed} copies could be made, nothing is acknowledged ({reasons})", self.by_key()
        )

    def note_behind(self, missing_before: Mapping[int, int]) -> None:
        """Count for each destination what it lacks of this run's packs and of the older ones.

        missing_before: older packs that it lacked when the run began, by its number.
        """
        for number, outcome in enumerate(self.outcomes):
            if not outcome.complete:
                outcome.behind = missing_before.get(number, 0) + len(self.records) - outcome.packs_confirmed

    def by_key(self) -> dict[str, Outcome]:
        return {place.key: outcome for place, outcome in zip(self._destinations, self.outcomes, strict=True)}

    def note(self, message: Message) -> None:
        """Take in what every message says about packs, destinations and bytes.

        Raises TooFewCopies, or WorkerDied when a worker failed.
        """
        progress = self.progress
        match message:
            case BatchDone(worker, parts):
                self._partial.pop(worker, None)
                progress.files_done += sum(len(part.slots) for part in parts)
                progress.bytes_done += sum(part.size for part in parts)
            case BytesRead(worker, size):
                self._partial[worker] = self._partial.get(worker, 0) + size
            case PackSealed(record, size):
                self.records.append(record)
                self.bytes_stored += size
                progress.bytes_new += size
            case PackStored(destination, size, proof):
                self._confirm(destination, size, proof)
            case DestinationDropped(destination, error, unanswered, untried):
                self.drop(destination, error, unanswered=unanswered, untried=untried)
                self.check_enough()
            case WorkerFailed(_, error):
                raise WorkerDied(error)

    def _confirm(self, number: int, size: int, proof: Proof) -> None:
        outcome = self.outcomes[number]
        outcome.packs_confirmed += 1
        outcome.proof = max(filter(None, (outcome.proof, proof)), key=_STRENGTH.index)
        self.progress.location_bytes[self._destinations[number].key] += size
