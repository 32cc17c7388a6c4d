"""What the destinations hold when a run begins, taken together.

An index file names packs; a blob counts as known only if its pack is listed, in its right size, at a destination that
answers. Packs that are nowhere any more are lost: their blobs are stored anew from the source. Packs that no index
names were left by a run that was killed: what they hold, once verified, need not be sent again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backups.engine.backup.foldercache import FolderCache
from backups.engine.backup.known import KnownBlobs
from backups.engine.errors import Damaged
from backups.engine.format import BlobType, FileKind, file_name
from backups.engine.format.index import PackRecord, decode_records
from backups.engine.format.pack import HEADER_BYTES_MAX, PackedBlob, header_length, pack_bytes, read_header
from backups.engine.format.repository import Repository, unpack_document
from backups.engine.parallel import each
from backups.engine.upkeep.copies import Listing
from providers.stores.errors import ChecksumMismatch, NoAnswer, ObjectNotFound, StoreError

_TAIL_BYTES = 64 * 1024  # holds the header of nearly every pack


@dataclass
class VaultCopy:
    """One destination of this run with what it lists. number: its position in the request.

    damaged:  names of files that are there and are not what they should be.
    unpruned: it missed a prune, and only a part of its listing is looked at.
    vanished: packs that an index of this very copy counts on, and which are gone there or have another size.
    silent:   it did not answer when a document was asked for; the others are asked first from then on.
    """

    number: int
    repository: Repository
    listing: Listing
    damaged: set[str] = field(default_factory=set)
    unpruned: bool = False
    vanished: set[str] = field(default_factory=set)
    silent: bool = False

    def holds(self, kind: FileKind, file_id: str, size: int | None = None) -> bool:
        """Whether the file is listed, with this size [bytes] if given, and not known to be damaged."""
        there = self.listing[kind].get(file_id)
        if there is None or (size is not None and there != size):
            return False
        return not self.damaged or file_name(kind, file_id) not in self.damaged


@dataclass
class Survey:
    """The vault as all answering destinations together hold it.

    packs:     size [bytes] of every pack that is in use and lies somewhere.
    adopted:   packs that no index names yet.
    lost, lost_records: packs that an index names and nobody holds whole.
    given_up:  those of them that lie somewhere still; what was good in them was stored anew.
    shrunk:    index files that name lost packs, or that only the cache has whole, with what is left of each.
    broken:    index files that are readable nowhere.
    """

    known: KnownBlobs = field(default_factory=KnownBlobs)
    packs: dict[str, int] = field(default_factory=dict)
    adopted: list[PackRecord] = field(default_factory=list)
    lost_records: dict[str, list[PackRecord]] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    shrunk: dict[str, list[PackRecord]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    @property
    def lost(self) -> Collection[str]:
        return self.lost_records.keys()

    def add(self, record: PackRecord) -> None:
        ids = self.known.data if record.blob_type is BlobType.DATA else self.known.trees
        ids.update(blob.blob_id for blob in record.blobs)

    def missing_at(self, copy: VaultCopy) -> int:
        """Return how many packs that are in use this destination lacks."""
        return len(self.missing_packs(copy))

    def missing_packs(self, copy: VaultCopy) -> dict[str, int]:
        """Return the packs in use that this destination lacks, by id with their sizes [bytes]."""
        return {pack_id: size for pack_id, size in self.packs.items() if not copy.holds(FileKind.DATA, pack_id, size)}


def survey(copies: list[VaultCopy], cache: FolderCache, pulse: Callable[[], None]) -> Survey:
    """Read all indexes and adopt what they do not name. `pulse` may raise Cancelled."""
    result = Survey()
    index_ids = {file_id for copy in copies for file_id in copy.listing[FileKind.INDEX]}
    named: set[str] = set()
    for index_id in sorted(index_ids):
        pulse()
        records = _load_index(copies, index_id, cache)
        if records is not None:
            named.update(record.pack_id for record in records)
            _take_index(result, copies, index_id, records)
        elif all(file_name(FileKind.INDEX, index_id) in copy.damaged for copy in _listing_it(copies, index_id)):
            result.broken.add(index_id)
    unnamed = {pack_id for copy in copies for pack_id in copy.listing[FileKind.DATA]} - named
    if unnamed:
        _adopt(result, copies, unnamed, pulse)
    return result


def _listing_it(copies: Sequence[VaultCopy], index_id: str) -> list[VaultCopy]:
    return [copy for copy in copies if index_id in copy.listing[FileKind.INDEX]]


def load_document(
    copies: Sequence[VaultCopy], kind: FileKind, file_id: str, cache: FolderCache
) -> dict[str, Any] | None:
    """Return an index or snapshot file from the cache or the first good copy; None when no copy is good.

    A copy that lists it in another size is damaged: what is in the cache must not hide that nobody can read it there.
    """
    holders = sorted((copy for copy in copies if copy.holds(kind, file_id)), key=lambda copy: copy.silent)
    kept = cache.document(file_id) if holders else None
    if kept is not None:
        with contextlib.suppress(Damaged):
            document = unpack_document(holders[0].repository.master, file_id, kept)
            _note_misfits(holders, kind, file_id, len(kept))
            return document
    for copy in holders:
        repository = copy.repository
        try:
            size = copy.listing[kind][file_id]  # said, so that nobody waits longer than so much can take
            stored = repository.store.get(repository.name(kind, file_id), offset=0, length=size)
            document = unpack_document(repository.master, file_id, stored)
        except Damaged:
            copy.damaged.add(file_name(kind, file_id))
        except StoreError as exc:
            copy.silent = copy.silent or isinstance(exc, NoAnswer)
        else:
            cache.put_document(file_id, stored)
            _note_misfits(holders, kind, file_id, len(stored))
            return document
    return None


def _note_misfits(holders: Sequence[VaultCopy], kind: FileKind, file_id: str, size: int) -> None:
    for copy in holders:
        if copy.listing[kind][file_id] != size:
            copy.damaged.add(file_name(kind, file_id))


def _load_index(copies: list[VaultCopy], index_id: str, cache: FolderCache) -> list[PackRecord] | None:
    """Return the records of an index file, None when no copy of it is good: then its packs are adopted anew."""
    document = load_document(copies, FileKind.INDEX, index_id, cache)
    return None if document is None else list(decode_records(document))


def _take_index(result: Survey, copies: list[VaultCopy], index_id: str, records: list[PackRecord]) -> None:
    blobs: dict[str, list[PackedBlob]] = {}
    for record in records:
        blobs.setdefault(record.pack_id, []).extend(record.blobs)
    sizes = {pack_id: pack_bytes(found) for pack_id, found in blobs.items()}
    for copy in _listing_it(copies, index_id):
        if not copy.unpruned:
            there = copy.listing[FileKind.DATA]
            copy.vanished.update(pack_id for pack_id, size in sizes.items() if there.get(pack_id) != size)
    lost = {pack_id for pack_id, size in sizes.items() if not _is_somewhere(copies, pack_id, size)}
    result.packs.update((pack_id, size) for pack_id, size in sizes.items() if pack_id not in lost)
    kept = [record for record in records if record.pack_id not in lost]
    for record in kept:
        result.add(record)
    if lost or not any(copy.holds(FileKind.INDEX, index_id) for copy in copies):
        result.shrunk[index_id] = kept
    for record in records:
        if record.pack_id in lost:
            result.lost_records.setdefault(record.pack_id, []).append(record)


def _is_somewhere(copies: list[VaultCopy], pack_id: str, size: int) -> bool:
    return any(copy.holds(FileKind.DATA, pack_id, size) for copy in copies)


def _adopt(result: Survey, copies: list[VaultCopy], unnamed: set[str], pulse: Callable[[], None]) -> None:
    by_number: Mapping[int, VaultCopy] = {copy.number: copy for copy in copies}
    answers = each(by_number, lambda number: _verify_unnamed(by_number[number], unnamed), pulse)
    for answer in answers.values():
        if isinstance(answer, Exception):
            continue  # this destination fails again, and is then dropped, when it is written to
        for record, size in answer:
            if record.pack_id not in result.packs:
                result.packs[record.pack_id] = size
                result.adopted.append(record)
                result.add(record)


def _verify_unnamed(copy: VaultCopy, unnamed: set[str]) -> list[tuple[PackRecord, int]]:
    found = []
    for pack_id in sorted(unnamed & copy.listing[FileKind.DATA].keys()):
        name, size = copy.repository.name(FileKind.DATA, pack_id), copy.listing[FileKind.DATA][pack_id]
        try:
            copy.repository.store.verify(name, sha256=pack_id)
            blob_type, blobs = _read_pack_header(copy.repository, name, size)
        except (ChecksumMismatch, ObjectNotFound, Damaged):
            copy.damaged.add(file_name(FileKind.DATA, pack_id))
            continue
        found.append((PackRecord(pack_id, blob_type, blobs), size))
    return found


def _read_pack_header(repository: Repository, name: str, size: int) -> tuple[BlobType, list[PackedBlob]]:
    tail = repository.store.get(name, offset=max(0, size - _TAIL_BYTES), length=_TAIL_BYTES)
    wanted = header_length(tail) + 4
    if wanted > len(tail):
        wanted = min(wanted, HEADER_BYTES_MAX, size)
        tail = repository.store.get(name, offset=size - wanted, length=wanted)
    return read_header(repository.master, tail, size)
