"""Bring a copy that lags in line with the pattern, and take from it what nobody needs.

Both are done by a prune, under its lock and with what it has read: every snapshot of the pattern was walked, and each
pack that they need is listed there. Only this evidence allows to delete what the pattern does not have.
"""

from __future__ import annotations

from collections.abc import Mapping

from backups.engine.errors import Damaged
from backups.engine.format import FileKind
from backups.engine.format.index import decode_records
from backups.engine.format.repository import Repository
from backups.engine.progress import CancelToken
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import READING_ORDER, Listing, list_copy
from backups.engine.upkeep.prune_plan import find_used
from backups.engine.upkeep.replicate import replicate
from providers.stores.errors import LocationFull


def mirror(sources: Mapping[str, Repository], target: Repository, *, is_full: bool, cancel: CancelToken) -> None:
    """Make `target` hold exactly what the sources do; a target without room is first rid of what nobody needs.

    sources: equal copies, the pattern first; what is rotten at one comes from another. The target's snapshots are among
             theirs.

    Raises StoreError, LocationFull when there is not room enough for
    all, Damaged when the pattern cannot give it all.
    """
    pattern = next(iter(sources.values()))
    if is_full:
        shed(target, pattern=pattern, cancel=cancel)
    try:
        result = replicate(sources, target, mirror=True, cancel=cancel)
    except LocationFull:
        shed(target, pattern=pattern, cancel=cancel)
        result = replicate(sources, target, mirror=True, cancel=cancel)
    if not result.complete:
        raise Damaged(f"{len(result.missing)} files could not be brought from the other copies")


def shed(copy: Repository, *, pattern: Repository | None, cancel: CancelToken) -> int:
    """Remove packs of which no snapshot that the copy shows needs anything; return how many went. Writes nothing.

    pattern: what is there as well stays, because it is wanted soon.

    Index files that name only such packs go first. Nothing goes while anything cannot be read that tells what is
    needed: raises Damaged. Raises StoreError.
    """
    listing = list_copy(copy)
    kept: Listing = list_copy(pattern) if pattern is not None else {kind: {} for kind in READING_ORDER}
    reader = VaultReader({"here": copy, **({"pattern": pattern} if pattern is not None else {})}, copy.master)
    reader.load_index()
    used = find_used(reader, listing[FileKind.SNAPSHOTS], cancel)
    indexes = {index_id: list(decode_records(document)) for index_id, document in reader.documents(FileKind.INDEX)}
    if listing[FileKind.INDEX].keys() - indexes.keys():
        raise Damaged("not every index file can be read; nothing was removed")
    needed = {
        record.pack_id
        for records in indexes.values()
        for record in records
        if any(blob.blob_id in used[record.blob_type] for blob in record.blobs)
    }
    named: set[str] = set()
    for index_id in listing[FileKind.INDEX]:
        packs = {record.pack_id for record in indexes[index_id]}
        if packs & needed or index_id in kept[FileKind.INDEX]:
            named |= packs
            continue
        cancel.check()
        copy.store.delete(copy.name(FileKind.INDEX, index_id))
    unneeded = listing[FileKind.DATA].keys() - named - kept[FileKind.DATA].keys()
    for pack_id in unneeded:
        cancel.check()
        copy.store.delete(copy.name(FileKind.DATA, pack_id))
    return len(unneeded)
