"""Reading a vault from any of its copies: what one does not give, or gives damaged, the next one is asked for."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from backups.engine.errors import BlobMissing, Damaged, EngineError, RepositoryMissing, WrongKey
from backups.engine.format import BlobType, FileKind, file_name
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import Entry, Index, decode_records
from backups.engine.format.key import open_key_file
from backups.engine.format.pack import open_blob
from backups.engine.format.repository import unpack_document
from backups.engine.format.snapshot import Snapshot, decode_snapshot
from backups.engine.format.tree import Node, decode_tree
from backups.engine.restore.hedge import all_answers, first_answers
from backups.engine.restore.ranges import BlobPlace, PackRange, merge_ranges
from backups.engine.streams import map_in_streams
from backups.engine.upkeep.copies import Copy, CopyProblem, Place, list_kind, object_name
from providers.stores.errors import ObjectNotFound, StoreError

STREAMS = 4

Plain = bytes | memoryview


class VaultReader:
    """One vault, read from several copies. Safe to use from several threads; picklable (without its index).

    copies: by label, the preferred one first. A copy that fails is asked last from then on.
    """

    def __init__(self, copies: Mapping[str, Copy], master: MasterKey) -> None:
        self.copies = dict(copies)
        self.master = master
        self.index = Index()
        self._alternatives: dict[tuple[BlobType, bytes], list[Entry]] = {}
        self._order = list(self.copies)
        self._problems: dict[tuple[str, str], CopyProblem] = {}
        self._guard = threading.Lock()

    @classmethod
    def open(cls, copies: Mapping[str, Copy], secret: bytes) -> VaultReader:
        """Open the vault with `secret`; one copy with a good key file is enough.

        Raises WrongKey, RepositoryMissing when no copy has any key file, or the StoreError if none answers.
        """
        problems: list[CopyProblem] = []
        failure: Exception = RepositoryMissing("none of the copies has a key file: there is no vault here")
        for label, copy in copies.items():
            try:
                master, tried = _find_master(copy, label, secret, problems)
            except StoreError as exc:
                problems.append(CopyProblem.of(label, "", exc))
                failure = failure if isinstance(failure, WrongKey) else exc
                continue
            if master is not None:
                reader = cls(copies, master)
                for problem in problems:
                    reader.note(problem)
                return reader
            if tried:
                failure = WrongKey(f"none of the vault's {tried} key files opens with this secret")
        raise failure

    def __reduce__(self) -> tuple[Any, ...]:
        places = {label: Place(copy.store, copy.prefix) for label, copy in self.copies.items()}
        return VaultReader, (places, self.master)

    @property
    def problems(self) -> list[CopyProblem]:
        """What was missing, damaged or unreachable at which copy so far."""
        with self._guard:
            return list(self._problems.values())

    def note(self, problem: CopyProblem) -> None:
        """Remember a problem, once per copy and file."""
        with self._guard:
            self._problems.setdefault((problem.label, problem.name), problem)

    def snapshots(self) -> list[Snapshot]:
        """Return all readable snapshots, oldest first. List them before loading the index, as readers must."""
        found = [decode_snapshot(file_id, document) for file_id, document in self.documents(FileKind.SNAPSHOTS)]
        return sorted(found, key=lambda snapshot: snapshot.time)

    def load_index(self) -> Index:
        """Read the index files of all copies together and return the index.

        Copies differ for a while when one was pruned: then a blob has a place in two packs and both are remembered.
        """
        index = Index()
        alternatives: dict[tuple[BlobType, bytes], list[Entry]] = {}
        for _, document in self.documents(FileKind.INDEX):
            for record in decode_records(document):
                known = index.entries(record.blob_type)
                for blob in record.blobs:
                    entry = known.get(blob.blob_id)
                    if entry is not None and entry.pack_id != record.pack_id:
                        alternatives.setdefault((record.blob_type, blob.blob_id), []).append(entry)
                index.add(record)
        self.index, self._alternatives = index, alternatives
        return index

    def read_pack(self, part: PackRange) -> Iterator[tuple[BlobPlace, Plain | None]]:
        """Yield each blob of a range with its verified plain text, None where no copy gives it."""
        left, name = part.blobs, file_name(FileKind.DATA, part.pack_id)

        def ask(label: str) -> tuple[PackRange, memoryview]:
            copy, wanted = self.copies[label], PackRange(part.pack_id, left)
            return wanted, memoryview(copy.store.get(copy.prefix + name, offset=wanted.start, length=wanted.length))

        def failed(label: str, error: StoreError) -> None:
            self._blame(label, name, error)

        for label, (given, stored) in first_answers(tuple(self._order), ask, part.length, failed):
            wanted, left = left, []
            for blob in wanted:
                begin = blob.offset - given.start
                try:
                    plain = open_blob(self.master, stored[begin : begin + blob.length], blob.plain_length, blob.blob_id)
                except Damaged as exc:
                    self._blame(label, name, exc)
                    left.append(blob)
                else:
                    yield blob, plain
            if not left:
                return
        for blob in left:
            yield blob, None

    def read_blobs(self, blob_type: BlobType, blob_ids: Collection[bytes]) -> Iterator[tuple[bytes, Plain | None]]:
        """Yield each blob with its verified plain text, in pack order; None where it cannot be had anywhere."""
        entries = self.index.entries(blob_type)
        wanted = []
        for blob_id in blob_ids:
            if blob_id in entries:
                wanted.append((blob_id, entries[blob_id]))
            else:
                yield blob_id, None
        ranges = merge_ranges(wanted)
        for blobs in map_in_streams(ranges, lambda part: list(self.read_pack(part)), STREAMS):
            for blob, plain in blobs:
                yield blob.blob_id, plain if plain is not None else self._read_elsewhere(blob_type, blob.blob_id)

    def load_blob(self, blob_type: BlobType, blob_id: bytes) -> Plain:
        """Return one blob's verified plain text. Raises BlobMissing or Damaged."""
        self.index.get(blob_type, blob_id)
        ((_, plain),) = self.read_blobs(blob_type, [blob_id])
        if plain is None:
            raise Damaged(f"{blob_type.label} blob {blob_id.hex()[:12]} is readable in no copy of the vault")
        return plain

    def load_tree(self, tree_id: bytes) -> list[Node]:
        """Return the nodes of a tree. Raises BlobMissing or Damaged."""
        return decode_tree(self.load_blob(BlobType.TREE, tree_id))

    def load_trees(self, tree_ids: Collection[bytes]) -> Iterator[tuple[bytes, list[Node] | EngineError]]:
        """Yield each tree with its nodes, or with the error that a lost or damaged one deserves."""
        for tree_id, plain in self.read_blobs(BlobType.TREE, tree_ids):
            if plain is None:
                kind = Damaged if self.index.has(BlobType.TREE, tree_id) else BlobMissing
                yield tree_id, kind(f"the folder's list (tree {tree_id.hex()[:12]}) is readable in no copy")
                continue
            try:
                yield tree_id, decode_tree(plain)
            except Damaged as exc:
                yield tree_id, exc

    def _read_elsewhere(self, blob_type: BlobType, blob_id: bytes) -> Plain | None:
        for entry in self._alternatives.get((blob_type, blob_id), ()):
            place = BlobPlace(blob_id, entry.offset, entry.length, entry.plain_length)
            ((_, plain),) = self.read_pack(PackRange(entry.pack_id, [place]))
            if plain is not None:
                return plain
        return None

    def documents(self, kind: FileKind) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (id, JSON object) of every index or snapshot file that any copy has whole.

        Raises StoreError if no copy answers.
        """
        failures: list[StoreError] = []

        def failed(label: str, error: StoreError) -> None:
            self._blame(label, "", error)
            failures.append(error)

        listed = all_answers(tuple(self._order), lambda label: list_kind(self.copies[label], kind), failed)
        if not listed:
            raise failures[-1]
        sizes = {file_id: size for listing in listed.values() for file_id, size in listing.items()}

        def load(file_id: str) -> tuple[str, dict[str, Any] | None]:
            # By the present order: a copy that has fallen silent is not waited for again at every file.
            holders = [label for label in tuple(self._order) if file_id in listed.get(label, ())]
            return file_id, self._load_document(kind, file_id, holders, sizes[file_id])

        for file_id, document in map_in_streams(sizes, load, STREAMS):
            if document is not None:
                yield file_id, document

    def _load_document(self, kind: FileKind, file_id: str, labels: list[str], size: int) -> dict[str, Any] | None:
        name = file_name(kind, file_id)

        def ask(label: str) -> bytes:
            copy = self.copies[label]
            return copy.store.get(object_name(copy, kind, file_id))

        for label, stored in first_answers(labels, ask, size, lambda label, exc: self._blame(label, name, exc)):
            try:
                return unpack_document(self.master, file_id, stored)
            except Damaged as exc:
                self._blame(label, name, exc)
        return None

    def _blame(self, label: str, name: str, error: Exception) -> None:
        self.note(CopyProblem.of(label, name, error))
        if isinstance(error, StoreError) and not isinstance(error, ObjectNotFound):
            with self._guard:  # do not wait for its time limit again at every pack
                self._order.remove(label)
                self._order.append(label)


def _find_master(copy: Copy, label: str, secret: bytes, problems: list[CopyProblem]) -> tuple[MasterKey | None, int]:
    """Return the master key that a key file of this copy opens with `secret`, and how many files there are."""
    tried = 0
    for file_id in list_kind(copy, FileKind.KEYS):
        tried += 1
        try:
            master = open_key_file(copy.store.get(object_name(copy, FileKind.KEYS, file_id)), secret)
        except (Damaged, ObjectNotFound) as exc:
            problems.append(CopyProblem.of(label, file_name(FileKind.KEYS, file_id), exc))
            continue
        if master is not None:
            return master, tried
    return None, tried
