"""Give back the room of what no snapshot needs any more.

Done once for all copies that are equal, so that they stay so: the same new packs and the same new index go to each. The
order keeps every copy whole at every moment: new packs, new index, then the old index away, then the old packs. Copies
that lag are brought in line with the pattern afterwards; one where that fails keeps what it has until the next prune,
and holds nobody up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256

from backups.engine.errors import Damaged, Locked, RepositoryExists
from backups.engine.format import BLOB_MAX_BYTES, PACK_TARGET_BYTES, BlobType, FileKind
from backups.engine.format.compression import compress
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import Entry, PackRecord, encode_records
from backups.engine.format.lock import LockHold
from backups.engine.format.pack import PackBuilder, header_room
from backups.engine.format.repository import Repository, pack_document
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.restore.ranges import merge_ranges
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Listing, list_copy
from backups.engine.upkeep.exclusive import lock_each
from backups.engine.upkeep.mirror import mirror, shed
from backups.engine.upkeep.pattern import Standing, compare
from backups.engine.upkeep.prune_plan import PrunePlan, find_used, load_indexes, plan_prune
from backups.engine.upkeep.replicate import replicate
from providers.stores.errors import StoreError
from wedbackup.core.clock import Clock

TOLERATED = 0.1  # share of unneeded bytes in a pack that is not worth rewriting it
_PACK_BLOBS_MAX = 20_000


@dataclass(slots=True)
class PruneResult:
    """What a prune did.

    unused:   all packs with more unneeded bytes than tolerated, and how many [bytes]; also those not ripe yet.
    removed, rewritten: packs that went, as a whole or after what was needed of them was stored anew.
    added:    new packs.   bytes_freed: at each copy [bytes].
    in_line:  copies that hold exactly what the snapshots need now, and nothing that was forgotten.
    behind:   the others, and why.
    """

    unused: dict[str, int] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    rewritten: set[str] = field(default_factory=set)
    added: list[str] = field(default_factory=list)
    bytes_freed: int = 0
    in_line: list[str] = field(default_factory=list)
    behind: dict[str, str] = field(default_factory=dict)


def prune(
    copies: Mapping[str, Repository],
    *,
    clock: Clock,
    unpruned: Collection[str] = (),
    lossy: Collection[str] = (),
    tolerated: float = TOLERATED,
    ripe: Collection[str] | None = None,
    listener: Listener = ignore,
    cancel: CancelToken | None = None,
) -> PruneResult:
    """Remove packs that no snapshot needs and rewrite those that are needed in part.

    copies:    by label; the most complete one is the pattern. What was forgotten has gone from their snapshots.
    unpruned:  labels of copies that missed a prune: what only they hold is not brought to others, but for snapshots.
    lossy:     ids of snapshots that are known to have lost files in every copy; what is left of them is kept.
    tolerated: share of unneeded bytes up to which a pack is left alone, 0 to 1.
    ripe:      packs that may go now. A grace period works like this: a first prune with `ripe=()` only reports
               `unused`; what was reported long enough ago is handed in as ripe. None: no grace period.

    Raises Damaged when anything that a snapshot needs cannot be read (then nothing was changed), Locked or StoreError
    when no copy can be worked on, Cancelled.
    """
    result = PruneResult()
    with contextlib.ExitStack() as stack:
        held = lock_each(stack, copies, clock, result.behind)
        work = _Prune(held, frozenset(unpruned), result, listener, cancel or CancelToken())
        return work.run(tolerated, ripe, lossy)


class NoneLeft(StoreError):
    """The last copy fell out of a prune."""


class _Prune:
    def __init__(
        self,
        held: dict[str, tuple[Repository, LockHold]],
        unpruned: frozenset[str],
        result: PruneResult,
        listener: Listener,
        cancel: CancelToken,
    ) -> None:
        self._all = held
        self._held = dict(held)  # those that are equal, once they were compared
        self._unpruned = unpruned
        self._result = result
        self._listener = listener
        self._cancel = cancel
        self._progress = Progress(step="compare")

    def run(self, tolerated: float, ripe: Collection[str] | None, lossy: Collection[str]) -> PruneResult:
        listings = self._list()
        standing = self._compare(listings)
        listing = listings[standing.pattern]
        self._held = {label: self._all[label] for label in (standing.pattern, *standing.equal)}
        reader = VaultReader({label: repository for label, (repository, _) in self._held.items()}, self._master)
        self._step("trees")
        indexes = load_indexes(reader, listing[FileKind.INDEX])
        reader.load_index()
        used = find_used(reader, listing[FileKind.SNAPSHOTS], self._cancel, lossy=lossy)
        plan = plan_prune(indexes, used, listing, tolerated=tolerated, ripe=ripe)
        self._result.unused = plan.unused
        if self._all[standing.pattern][1].is_full:  # then all are: there is no room to write anything
            self._shed_each(listings.keys() - standing.apart)
            return self._result
        if plan.gone:
            try:
                self._carry_out(plan, reader, listing)
            except NoneLeft:
                if not self._shed_each(standing.equal):
                    raise
                return self._result
        self._result.in_line = list(self._held)
        lagging = [label for label in listings if label not in self._held and label not in standing.apart]
        self._bring_in_line(lagging)
        return self._result

    def _carry_out(self, plan: PrunePlan, reader: VaultReader, listing: Listing) -> None:
        self._step("rewrite")
        added = self._rewrite(reader, plan)
        self._step("index")
        old = self._replace_index(plan, added)
        self._step("delete")
        self._delete(old, plan)
        added_bytes = sum(record.blob_bytes for record in added)
        self._result.bytes_freed = sum(listing[FileKind.DATA].get(pack, 0) for pack in plan.gone) - added_bytes

    # --- how the copies stand to each other ----------------------------------------------------------------------

    def _list(self) -> dict[str, Listing]:
        listings: dict[str, Listing] = {}
        for label, (repository, _) in self._all.items():
            try:
                listings[label] = list_copy(repository)
            except StoreError as exc:
                self._drop(label, str(exc))
        return listings

    def _compare(self, listings: dict[str, Listing]) -> Standing:
        """Choose the pattern; bring it the snapshots that only others have, and say of whom it did not work."""
        full = [label for label, (_, hold) in self._all.items() if hold.is_full]
        standing = compare(listings, unpruned=self._unpruned, full=full)
        if standing.apart:
            labels = (standing.pattern, *standing.apart)  # the pattern first: its keys are the vault's
            pattern = self._all[standing.pattern][0]
            with contextlib.suppress(StoreError):
                replicate({label: self._all[label][0] for label in labels}, pattern, cancel=self._cancel)
            listings[standing.pattern] = list_copy(pattern)
            standing = compare(listings, unpruned=self._unpruned, full=full)
        for label in standing.apart:
            self._result.behind[label] = "it has snapshots that the other copies lack; it is pruned when they have them"
        return standing

    def _shed_each(self, labels: Collection[str]) -> int:
        """Make room where there is none, without writing anything; return how many packs went."""
        removed = 0
        for label in labels:
            repository, hold = self._all[label]
            self._result.behind.setdefault(label, "it is full")
            with contextlib.suppress(StoreError, Locked, Damaged):
                hold.confirm()
                removed += shed(repository, pattern=None, cancel=self._cancel)
        return removed

    def _bring_in_line(self, lagging: Collection[str]) -> None:
        """Mirror the pattern to those that lag or fell out; whoever cannot be brought in line stays behind."""
        sources = {label: repository for label, (repository, _) in self._held.items()}
        self._step("mirror")
        for label in lagging:
            repository, hold = self._all[label]
            try:
                hold.confirm()
                mirror(sources, repository, is_full=hold.is_full, cancel=self._cancel)
            except (StoreError, Locked, Damaged, RepositoryExists) as exc:
                self._result.behind[label] = str(exc)
            else:
                self._result.behind.pop(label, None)
                self._result.in_line.append(label)

    @property
    def _master(self) -> MasterKey:
        return next(iter(self._held.values()))[0].master

    def _step(self, step: str) -> None:
        self._cancel.check()
        self._progress.step = step
        self._listener(self._progress)

    def _drop(self, label: str, reason: str) -> None:
        """Go on without a copy; raises NoneLeft when it was the last one."""
        del self._held[label]
        self._result.behind[label] = reason
        if not self._held:
            raise NoneLeft(f"no copy of the vault can be pruned: {reason}")

    def _everywhere(self, work: Callable[[str, Repository], None]) -> None:
        """Do `work` at all copies at once; one where it fails falls out."""
        failed: dict[str, str] = {}

        def attempt(label: str) -> None:
            try:
                work(label, self._held[label][0])
            except StoreError as exc:
                failed[label] = str(exc)

        with ThreadPoolExecutor(len(self._held)) as pool:
            list(pool.map(attempt, self._held))
        for label, reason in failed.items():
            self._drop(label, reason)

    def _put(self, kind: FileKind, file_id: str, content: bytes | memoryview) -> None:
        def put(_: str, repository: Repository) -> None:
            name = repository.name(kind, file_id)
            if repository.store.put(name, content, sha256=file_id).proof is None:
                repository.store.verify(name, sha256=file_id)

        self._everywhere(put)

    # --- new packs and index -----------------------------------------------------------------------------------

    def _rewrite(self, reader: VaultReader, plan: PrunePlan) -> list[PackRecord]:
        """Store what is needed of the packs to be rewritten in new packs; return their records."""
        added: list[PackRecord] = []
        self._progress.files_total = len(plan.rewrite)
        for blob_type in BlobType:
            packer = _Packer(self._master, blob_type)
            for blob_id, plain, compressed in self._needed(reader, plan, blob_type):
                if not packer.add(blob_id, plain, compressed):
                    if packer.builder.blobs:
                        added.append(self._store(packer))
                    packer = _Packer(self._master, blob_type, len(plain))
                    if not packer.add(blob_id, plain, compressed):
                        raise Damaged(f"a piece of {len(plain)} bytes fits into no pack; nothing was removed")
            if packer.builder.blobs:
                added.append(self._store(packer))
        return added

    def _needed(
        self, reader: VaultReader, plan: PrunePlan, blob_type: BlobType
    ) -> Iterator[tuple[bytes, bytes | memoryview, bool]]:
        """Yield (blob id, plain text, whether it was compressed) of what must survive. Raises Damaged."""
        records = {r.pack_id: r for rs in plan.indexes.values() for r in rs if r.blob_type is blob_type}
        for pack_id in sorted(plan.rewrite & records.keys()):
            self._cancel.check()
            wanted = [
                (blob.blob_id, Entry(pack_id, blob.offset, blob.length, blob.plain_length))
                for blob in records[pack_id].blobs
                if (blob_type, blob.blob_id) in plan.uses[pack_id].wanted
            ]
            for part in merge_ranges(wanted):
                for place, plain in reader.read_pack(part):
                    if plain is None:
                        raise Damaged(f"pack {pack_id[:12]} cannot be read; repair it first, nothing was removed")
                    yield place.blob_id, plain, place.plain_length > 0
            self._progress.files_done += 1
            self._listener(self._progress)

    def _store(self, packer: _Packer) -> PackRecord:
        self._cancel.check()
        pack = packer.builder.finish()
        pack_id = sha256(pack).hexdigest()
        self._put(FileKind.DATA, pack_id, pack)
        self._result.added.append(pack_id)
        return PackRecord(pack_id, packer.builder.blob_type, packer.builder.blobs)

    def _replace_index(self, plan: PrunePlan, added: list[PackRecord]) -> list[str]:
        """Write the new index; return the old files that it replaces: those that name a pack that goes."""
        old = [file_id for file_id, rs in plan.indexes.items() if any(r.pack_id in plan.gone for r in rs)]
        kept = {
            (record.pack_id, record.blob_type): record
            for file_id in old
            for record in plan.indexes[file_id]
            if record.pack_id not in plan.gone
        }
        for document in encode_records([*kept.values(), *added]):
            file_id, stored = pack_document(self._master, document)
            self._put(FileKind.INDEX, file_id, stored)
        return old

    # --- old index and packs -----------------------------------------------------------------------------------

    def _delete(self, old_indexes: list[str], plan: PrunePlan) -> None:
        """Remove the old index files and then, where that worked, the packs."""
        self._cancel.check()
        for _, hold in self._held.values():
            hold.confirm()

        def delete(_: str, repository: Repository) -> None:
            for file_id in old_indexes:
                repository.store.delete(repository.name(FileKind.INDEX, file_id))
            for pack_id in sorted(plan.gone):
                repository.store.delete(repository.name(FileKind.DATA, pack_id))

        self._everywhere(delete)
        self._result.removed, self._result.rewritten = plan.remove, plan.rewrite


class _Packer:
    """One new pack that is being filled."""

    def __init__(self, master: MasterKey, blob_type: BlobType, first_bytes: int = 0) -> None:
        """first_bytes: of its first blob's plain text [bytes], which is large where a folder has very many files."""
        room = PACK_TARGET_BYTES + max(BLOB_MAX_BYTES, first_bytes + first_bytes // 64) + header_room(_PACK_BLOBS_MAX)
        self.builder = PackBuilder(master, blob_type, bytearray(room))

    def add(self, blob_id: bytes, plain: bytes | memoryview, compressed: bool) -> bool:
        """Take a blob in; False when the pack is full."""
        content = compress(plain) if compressed else plain
        builder = self.builder
        full = builder.length >= PACK_TARGET_BYTES or len(builder.blobs) >= _PACK_BLOBS_MAX
        if full or not builder.has_room(len(content)):
            return False
        builder.add(blob_id, content, len(plain) if compressed else 0)
        return True
