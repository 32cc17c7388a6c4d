"""What a prune may take away: which blobs the snapshots need, and what that makes of each pack. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from backups.engine.errors import Damaged, EngineError
from backups.engine.format import BlobType, FileKind
from backups.engine.format.index import PackRecord, decode_records
from backups.engine.progress import CancelToken
from backups.engine.restore.browse import open_once
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Listing

Used = dict[BlobType, set[bytes]]


@dataclass(slots=True)
class PackUse:
    """One pack and what of it is needed. wanted: (type, blob id) that are needed from this pack."""

    size_bytes: int
    wanted: set[tuple[BlobType, bytes]] = field(default_factory=set)
    wanted_bytes: int = 0

    @property
    def unused_share(self) -> float:
        """Part of the blobs' bytes that nothing needs, 0 to 1."""
        return 1 - self.wanted_bytes / self.size_bytes if self.size_bytes else 1.0


@dataclass(slots=True)
class PrunePlan:
    """indexes: records of each index file.   uses: every pack.   remove, rewrite: pack ids to work on now.

    unused: all packs that hold more unneeded bytes than is tolerated, with that number of bytes; also those that
            are not to be touched yet.
    """

    indexes: dict[str, list[PackRecord]]
    uses: dict[str, PackUse]
    remove: set[str] = field(default_factory=set)
    rewrite: set[str] = field(default_factory=set)
    unused: dict[str, int] = field(default_factory=dict)

    @property
    def gone(self) -> set[str]:
        return self.remove | self.rewrite


def find_used(
    reader: VaultReader, listed_snapshots: Collection[str], cancel: CancelToken, *, lossy: Collection[str] = ()
) -> Used:
    """Return every blob that any of these snapshots needs. Raises Damaged unless all of them can be read.

    lossy: ids of snapshots that are known to have lost files in every copy: of them, what is left is needed.
    """
    snapshots = [snapshot for snapshot in reader.snapshots() if snapshot.snapshot_id in listed_snapshots]
    if len(snapshots) < len(listed_snapshots):
        raise Damaged("not every snapshot can be read, so nobody can say what they need; nothing was removed")
    used: Used = {BlobType.TREE: set(), BlobType.DATA: set()}
    whole = {snapshot.tree: b"" for snapshot in snapshots if snapshot.snapshot_id not in lossy}
    for tree, (path, nodes, refused) in open_once(reader, whole):
        cancel.check()
        if isinstance(nodes, EngineError) or refused:
            shown = path.decode(errors="replace")
            raise Damaged(f"the folder {shown!r} of a snapshot is damaged; nothing was removed")
        used[BlobType.TREE].add(tree)
        for node in nodes:
            used[BlobType.DATA].update(node.content)
    for blob_type, blobs in used.items():
        if lost := next((blob for blob in blobs if not reader.index.has(blob_type, blob)), None):
            raise Damaged(f"{blob_type.label} blob {lost.hex()[:12]} is in no index; nothing was removed")
    _add_what_is_left(used, reader, [snapshot.tree for snapshot in snapshots if snapshot.snapshot_id in lossy])
    return used


def _add_what_is_left(used: Used, reader: VaultReader, roots: Iterable[bytes]) -> None:
    for tree, (_, nodes, _refused) in open_once(reader, dict.fromkeys(roots, b"")):
        if not isinstance(nodes, EngineError):
            used[BlobType.TREE].add(tree)
            for node in nodes:
                used[BlobType.DATA].update(blob for blob in node.content if reader.index.has(BlobType.DATA, blob))


def load_indexes(reader: VaultReader, listed: Collection[str]) -> dict[str, list[PackRecord]]:
    """Return the records of each index file. Raises Damaged unless all can be read."""
    indexes = {file_id: list(decode_records(document)) for file_id, document in reader.documents(FileKind.INDEX)}
    if indexes.keys() != set(listed):
        raise Damaged("not every index file can be read; nothing was removed")
    return indexes


def plan_prune(
    indexes: dict[str, list[PackRecord]],
    used: Used,
    listing: Listing,
    *,
    tolerated: float,
    ripe: Collection[str] | None,
) -> PrunePlan:
    """Decide about every pack.

    tolerated: share of unneeded bytes up to which a pack is left as it is, 0 to 1.
    ripe:      only these packs may go now; None means all.

    A blob in several packs is needed from one of them: where more is needed besides. Raises Damaged when a pack that
    is needed is not there.
    """
    plan = PrunePlan(indexes, _weigh(indexes, used))
    for pack_id in plan.uses.keys() - listing[FileKind.DATA].keys():
        if plan.uses[pack_id].wanted:
            raise Damaged(f"pack {pack_id[:12]} is missing; repair this copy first, nothing was removed")
        plan.remove.add(pack_id)  # the index still names it
    for pack_id, size in listing[FileKind.DATA].items():
        use = plan.uses.get(pack_id)
        if use is None or not use.wanted:
            plan.unused[pack_id] = size
        elif use.unused_share > tolerated:
            plan.unused[pack_id] = use.size_bytes - use.wanted_bytes
        else:
            continue
        if ripe is None or pack_id in ripe:
            (plan.rewrite if use is not None and use.wanted else plan.remove).add(pack_id)
    return plan


def _weigh(indexes: Mapping[str, list[PackRecord]], used: Used) -> dict[str, PackUse]:
    records = {(r.pack_id, r.blob_type): r for file_records in indexes.values() for r in file_records}
    needed = {key: sum(b.length for b in r.blobs if b.blob_id in used[r.blob_type]) for key, r in records.items()}
    uses: dict[str, PackUse] = {}
    taken: set[tuple[BlobType, bytes]] = set()
    for key in sorted(records, key=lambda key: (-needed[key], key)):
        record = records[key]
        use = uses.setdefault(record.pack_id, PackUse(0))
        use.size_bytes += record.blob_bytes
        for blob in record.blobs:
            wanted = (record.blob_type, blob.blob_id)
            if blob.blob_id in used[record.blob_type] and wanted not in taken:
                taken.add(wanted)
                use.wanted.add(wanted)
                use.wanted_bytes += blob.length
    return uses
