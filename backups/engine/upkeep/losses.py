"""Which files are lost: those of which a piece can be had from no copy at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from backups.engine.errors import EngineError
from backups.engine.format import BlobType, FileKind, file_name
from backups.engine.format.crypto import MasterKey
from backups.engine.format.gonames import quote_name
from backups.engine.format.index import Index
from backups.engine.progress import CancelToken
from backups.engine.restore.browse import join, open_once
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Copy


def lost_files(
    copies: Mapping[str, Copy], master: MasterKey, suspects: Collection[str], *, cancel: CancelToken | None = None
) -> list[str]:
    """Return the paths, as in the snapshots and sorted, of the files and folders that no copy gives whole.

    suspects: names of the packs that are known to be damaged or missing anywhere; the others are taken to be whole.

    Raises StoreError when no copy answers, Cancelled.
    """
    cancel = cancel or CancelToken()
    reader = VaultReader(copies, master)
    snapshots = reader.snapshots()
    index = reader.load_index()
    unreadable = frozenset(_unreadable(reader, index, frozenset(suspects), cancel))
    roots = {snapshot.tree: b"" for snapshot in snapshots}
    lost: set[str] = set()
    for _, (path, nodes, _refused) in open_once(reader, roots):
        cancel.check()
        if isinstance(nodes, EngineError):
            lost.add(quote_name(path) + "/")
            continue
        for node in nodes:
            if any(not index.has(BlobType.DATA, blob_id) or blob_id in unreadable for blob_id in node.content):
                lost.add(quote_name(join(path, node.name)))
    return sorted(lost)


def _unreadable(reader: VaultReader, index: Index, suspects: frozenset[str], cancel: CancelToken) -> Iterator[bytes]:
    entries = index.entries(BlobType.DATA)
    asked = [blob for blob, entry in entries.items() if file_name(FileKind.DATA, entry.pack_id) in suspects]
    for blob_id, plain in reader.read_blobs(BlobType.DATA, asked):
        cancel.check()
        if plain is None:
            yield blob_id
