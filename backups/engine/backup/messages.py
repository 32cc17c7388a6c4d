"""What a run's threads and worker processes tell its coordinator, and the work that it gives them. All picklable."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import PackRecord
from providers.stores.base import ObjectStore, Proof


@dataclass(frozen=True)
class Destination:
    """One place that shall hold a copy of the vault.

    key:      the caller's name of the place.
    store:    its store, wrapped (retries, breaker ...). Picklable, or the run stays in one process.
    required: it gives back-pressure and is brought up to date in this run; another may lag and is caught up later.
    damaged:  names of files there, relative to the vault, that are known not to be what they should be.
    """

    key: str
    store: ObjectStore
    required: bool = True
    damaged: frozenset[str] = frozenset()


class SourceRoot(NamedTuple):
    """A source folder as it was when the run began; device and inode tell it from an empty mount point."""

    path: bytes
    device: int
    inode: int


@dataclass(frozen=True)
class WorkerSetup:
    """All a worker process must know. Travels through its pipe, never on its command line."""

    master: MasterKey
    polynomial: int
    level: int
    prefix: str
    destinations: tuple[Destination, ...]
    roots: tuple[SourceRoot, ...]
    board_fd: int
    claims_fd: int
    spool: str | None


class FolderPart(NamedTuple):
    """Files of one directory to read.

    number: of the directory in this run.   root: position of its source.   parts: the way down from there.
    files:  (slot in the directory, name) pairs.
    """

    number: int
    root: int
    parts: tuple[bytes, ...]
    files: list[tuple[int, bytes]]


Batch = list[FolderPart]


class Trouble(enum.IntEnum):
    """What is wrong with an entry.

    UNREAD: it is not in the snapshot.   UNSTABLE: it changed while it was read; the last reading is stored.
    PARTLY: its content is stored, but not all that belongs to it.
    """

    UNREAD = 0
    UNSTABLE = 1
    PARTLY = 2


class Problem(NamedTuple):
    """What could not be done as it should with one entry. reason: for people."""

    name: bytes
    reason: str
    kind: Trouble = Trouble.UNREAD


class ReadPart(NamedTuple):
    """What became of the files of one FolderPart; lists side by side, because there are very many files.

    slots, nodes: where each file belongs, and its JSON node, None when there is nothing to store.
    content:      all their blob ids, one after the other.   size: what was read [bytes].
    moved:        names of files whose content was stored before.
    spoiled:      names of those that are not what they say.   noisy: of those that are noise, and say nothing.
    doubtful:     slots of those with a problem, to be looked at again.
    vanished:     names of those that are gone since the listing.
    """

    number: int
    slots: list[int]
    nodes: list[bytes | None]
    content: bytes
    size: int
    problems: list[Problem]
    moved: tuple[bytes, ...] = ()
    spoiled: tuple[bytes, ...] = ()
    noisy: tuple[bytes, ...] = ()
    doubtful: tuple[int, ...] = ()
    vanished: tuple[bytes, ...] = ()


class BatchDone(NamedTuple):
    """All files of a batch are read."""

    worker: int
    parts: list[ReadPart]


class BytesRead(NamedTuple):
    """A long file is on its way; counted again, as a whole, when it is done."""

    worker: int
    size: int


class PackSealed(NamedTuple):
    """A pack is on its way to all destinations."""

    record: PackRecord
    size: int


class PackStored(NamedTuple):
    """A destination confirmed a pack."""

    destination: int
    size: int
    proof: Proof


class DestinationDropped(NamedTuple):
    """A destination is out of this run.

    error:      what happened, for people.
    unanswered: it did not answer, or the whole location is gone; otherwise it answered, if not as hoped.
    untried:    it was not even asked: paused, or left alone by its breaker meanwhile.
    """

    destination: int
    error: str
    unanswered: bool = False
    untried: bool = False


class WorkerFinished(NamedTuple):
    """A worker has nothing left: its packs are stored wherever the destination is still in the run."""

    worker: int


class WorkerFailed(NamedTuple):
    """A worker ended before its work. error: what happened, for people."""

    worker: int
    error: str


Message = BatchDone | BytesRead | PackSealed | PackStored | DestinationDropped | WorkerFinished | WorkerFailed
