"""Snapshots that lie in the copies and that the database does not know are recorded after the fact.

A process that was killed between publishing a snapshot and recording it leaves one; so does a database that was brought
back from an older backup of it. What is recorded is what can be read of it: nothing is confirmed of any copy before it
was checked there, it is no measure for others because its sources were not judged, and it expires by the same rules.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from backups.engine.errors import EngineError
from backups.engine.format import to_datetime
from backups.engine.format.snapshot import Snapshot as StoredSnapshot
from backups.engine.restore.browse import walk_tree
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Place
from backups.models import Snapshot, Vault
from backups.services.opening import OpenCopies
from backups.services.vaults import vault_master
from backups.worker import JobContext

UNJUDGED = "It was recorded after a breakdown, and its folders were not compared with what they held before."

log = logging.getLogger(__name__)


def recorded_ids(vault: Vault) -> frozenset[str]:
    """Return the ids of all snapshots of the vault that the database knows."""
    return frozenset(Snapshot.unscoped.filter(vault=vault).values_list("restic_id", flat=True))


def snapshots_adopt(
    context: JobContext, vault: Vault, opened: OpenCopies, found: Sequence[StoredSnapshot]
) -> list[Snapshot]:
    """Record these snapshots, in this order, before the one that has just been made; return their rows.

    One that cannot be read now is left for the next time. Raises LeaseLost.
    """
    if not found:
        return []
    places = {key: Place(store, vault.prefix) for key, store in opened.stores.items()}
    reader = VaultReader(places, vault_master(vault))
    reader.load_index()
    rows = []
    for stored in found:
        try:
            sizes = [node.size for _, node in walk_tree(reader, stored.tree) if node.type == "file"]
        except EngineError as exc:
            log.warning("the unrecorded snapshot %s cannot be read: %s", stored.snapshot_id[:8], exc)
            continue
        rows.append(
            Snapshot(
                vault=vault,
                restic_id=stored.snapshot_id,
                tree=stored.tree.hex(),
                taken_at=to_datetime(stored.time),
                file_count=len(sizes),
                source_bytes=sum(sizes),
                stored_bytes=0,
                suspicion=UNJUDGED,
            )
        )
    with context.fenced():
        for row in rows:
            row.save(force_insert=True)
    return rows
