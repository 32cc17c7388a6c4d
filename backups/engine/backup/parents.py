"""Which snapshot a new one follows: the newest of the same folders on the same host."""

from __future__ import annotations

from collections.abc import Sequence

from backups.engine.backup.foldercache import FolderCache
from backups.engine.backup.survey import VaultCopy, load_document
from backups.engine.errors import Damaged
from backups.engine.format import FileKind
from backups.engine.format.snapshot import Snapshot, decode_snapshot


def find_parent(copies: Sequence[VaultCopy], paths: tuple[str, ...], hostname: str, cache: FolderCache) -> str | None:
    """Return the id of the newest snapshot of these paths and this host at any destination, if there is one."""
    snapshot_ids = {file_id for copy in copies for file_id in copy.listing[FileKind.SNAPSHOTS]}
    found = [load_snapshot(copies, snapshot_id, cache) for snapshot_id in sorted(snapshot_ids)]
    same = [snapshot for snapshot in found if snapshot and (snapshot.paths, snapshot.hostname) == (paths, hostname)]
    return max(same, key=lambda snapshot: snapshot.time).snapshot_id if same else None


def load_snapshot(copies: Sequence[VaultCopy], snapshot_id: str, cache: FolderCache) -> Snapshot | None:
    """Return a snapshot from the cache or the first good copy; None when no copy of it can be read."""
    document = load_document(copies, FileKind.SNAPSHOTS, snapshot_id, cache)
    try:
        return decode_snapshot(snapshot_id, document) if document is not None else None
    except Damaged:
        return None
