"""Which snapshot a new one follows: the newest of the same folders on the same host."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from backups.engine.errors import Damaged
from backups.engine.format import FileKind
from backups.engine.snapshot import Snapshot, decode_snapshot
from backups.engine.survey import VaultCopy
from providers.stores.base import StoreError


def find_parent(copies: Sequence[VaultCopy], paths: tuple[str, ...], hostname: str) -> str | None:
    """Return the id of the newest snapshot of these paths and this host at any destination, if there is one."""
    newest: Snapshot | None = None
    for snapshot_id in {file_id for copy in copies for file_id in copy.listing[FileKind.SNAPSHOTS]}:
        snapshot = _load(copies, snapshot_id)
        if (
            snapshot is not None
            and snapshot.paths == paths
            and snapshot.hostname == hostname
            and (newest is None or snapshot.time > newest.time)
        ):
            newest = snapshot
    return newest.snapshot_id if newest else None


def _load(copies: Sequence[VaultCopy], snapshot_id: str) -> Snapshot | None:
    for copy in copies:
        if copy.holds(FileKind.SNAPSHOTS, snapshot_id):
            with contextlib.suppress(Damaged, StoreError):
                return decode_snapshot(snapshot_id, copy.repository.load_document(FileKind.SNAPSHOTS, snapshot_id))
    return None
