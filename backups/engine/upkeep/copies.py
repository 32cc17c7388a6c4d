"""Copies of one vault, seen without a key: names, sizes and hashes.

Every file of a vault but `config` is named after the SHA-256 of its stored bytes, and all copies hold the same bytes.
So a copy can be listed, compared, verified and brought up to date by somebody who cannot read it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from backups.engine.errors import Damaged
from backups.engine.format import CONFIG_NAME, ID_BYTES, FileKind, file_name, hash_hex
from providers.stores.base import ObjectStore
from providers.stores.errors import ChecksumMismatch, ObjectNotFound

# Readers list in this order: a snapshot seen here needs only what is in the lists made after it.
READING_ORDER = (FileKind.SNAPSHOTS, FileKind.INDEX, FileKind.DATA, FileKind.KEYS)
# Writers publish in this order: whatever is visible has everything it needs.
PUBLISHING_ORDER = (FileKind.KEYS, FileKind.DATA, FileKind.INDEX, FileKind.SNAPSHOTS)


class Copy(Protocol):
    """Where one copy of a vault lies. A `Repository` is one; so is a bare `Place`."""

    @property
    def store(self) -> ObjectStore: ...

    @property
    def prefix(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A copy without its key. prefix: "" or ending in "/"."""

    store: ObjectStore
    prefix: str


class Trouble(enum.Enum):
    """DAMAGED: its bytes came and are wrong.   MISSING: the place says that it has no such file.

    UNANSWERED: nothing is known of the file: a line that broke, a refusal, a time limit.
    """

    DAMAGED = "damaged"
    MISSING = "missing"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class CopyProblem:
    """One thing that went wrong at one copy while another one served instead.

    label: which copy.   name: the file, "" when the whole copy failed.   reason: what a person may read.
    trouble: what that says of the file.
    """

    label: str
    name: str
    reason: str
    trouble: Trouble

    @classmethod
    def of(cls, label: str, name: str, error: Exception) -> CopyProblem:
        """Return what an error of the engine or of a store says."""
        if isinstance(error, Damaged | ChecksumMismatch):
            trouble = Trouble.DAMAGED
        else:
            trouble = Trouble.MISSING if isinstance(error, ObjectNotFound) else Trouble.UNANSWERED
        return cls(label, name, str(error), trouble)

    @property
    def unanswered(self) -> bool:
        return self.trouble is Trouble.UNANSWERED


Listing = dict[FileKind, dict[str, int]]


_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went for good, so that no copy brings it back to another.

    among:    says which of some snapshots, by id, were forgotten; asked, because over the years they are very many.
    unpruned: labels of copies that missed a prune: among their packs and indexes is what only those snapshots needed.
    """

    among: Callable[[Collection[str]], Collection[str]] = _NOTHING.intersection
    unpruned: frozenset[str] = frozenset()

    def asked_for(self, ids: Collection[str]) -> Forgotten:
        """Ask about these snapshots once; return the answer, which any thread may use."""
        return Forgotten(frozenset(self.among(ids)).intersection, self.unpruned)

    def visible(self, listings: Mapping[str, Listing]) -> dict[str, Listing]:
        """Return what others may take of each copy, those that missed no prune first.

        A copy that missed one shows only what the others list as well, unless it alone has a snapshot that is kept, or
        all have missed one: then the whole of it is taken, and the next prune sorts it.
        """
        gone = self.among({snapshot for listing in listings.values() for snapshot in listing[FileKind.SNAPSHOTS]})
        shown = {
            label: {kind: dict(listing[kind]) for kind in listing}
            for label, listing in sorted(listings.items(), key=lambda item: item[0] in self.unpruned)
        }
        for listing in shown.values():
            for snapshot_id in gone:
                listing[FileKind.SNAPSHOTS].pop(snapshot_id, None)
        settled = [listing for label, listing in shown.items() if label not in self.unpruned]
        known = {kind: {file_id for listing in settled for file_id in listing[kind]} for kind in READING_ORDER}
        for label in self.unpruned & shown.keys() if settled else ():
            listing = shown[label]
            if listing[FileKind.SNAPSHOTS].keys() <= known[FileKind.SNAPSHOTS]:
                for kind in (FileKind.INDEX, FileKind.DATA):
                    listing[kind] = {i: size for i, size in listing[kind].items() if i in known[kind]}
        return shown


NOTHING_FORGOTTEN = Forgotten()


def list_copy(copy: Copy) -> Listing:
    """Return the sizes [bytes] of all files of a copy by kind and id, lock files left out. Raises StoreError."""
    return {kind: list_kind(copy, kind) for kind in READING_ORDER}


def list_kind(copy: Copy, kind: FileKind) -> dict[str, int]:
    """Return the sizes [bytes] by id of one kind of file; names that are no id are passed over."""
    infos = copy.store.list(f"{copy.prefix}{kind.value}/")
    found = ((info.name.rsplit("/", 1)[1], info.size_bytes) for info in infos)
    return {file_id: size for file_id, size in found if is_id(file_id)}


def is_id(text: str) -> bool:
    """Whether `text` is the hex name of a repository file."""
    return len(text) == 2 * ID_BYTES and not text.strip("0123456789abcdef")


def object_name(copy: Copy, kind: FileKind, file_id: str) -> str:
    """Return the store's name of a file of this copy."""
    return copy.prefix + file_name(kind, file_id)


def fetch_config(copy: Copy) -> bytes | None:
    """Return the stored config file, None when there is none. Raises StoreError."""
    try:
        return copy.store.get(copy.prefix + CONFIG_NAME)
    except ObjectNotFound:
        return None


def fetch_verified(copy: Copy, kind: FileKind, file_id: str) -> bytes | None:
    """Return a whole stored file, None when its bytes do not hash to its name. Raises StoreError."""
    stored = copy.store.get(object_name(copy, kind, file_id))
    return stored if hash_hex(stored) == file_id else None
