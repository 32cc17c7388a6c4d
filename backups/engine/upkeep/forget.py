"""Take snapshots out of a vault. Their data stays until a prune."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backups.engine.errors import EngineError
from backups.engine.format import FileKind
from backups.engine.format.repository import Repository
from backups.engine.upkeep.copies import list_kind
from backups.engine.upkeep.exclusive import lock_each
from providers.stores.errors import StoreError
from wedbackup.core.clock import Clock


class LastSnapshot(EngineError):
    """Forgetting would leave a copy without any snapshot."""

    advice = "Keep at least one snapshot; to give up the whole vault, erase it."


@dataclass(slots=True)
class ForgetResult:
    """forgotten: snapshot ids removed, by copy.   failures: copies where not all could be removed, and why."""

    forgotten: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def forget(copies: Mapping[str, Repository], snapshot_ids: Collection[str], *, clock: Clock) -> ForgetResult:
    """Remove snapshot files from every copy that answers; a copy that does not is brought in line by mirroring.

    snapshot_ids: full hex ids; one that a copy does not have is no error.

    Raises LastSnapshot before anything is removed, Locked or StoreError when no copy can be worked on.
    """
    result = ForgetResult()
    with contextlib.ExitStack() as stack:
        held = lock_each(stack, copies, clock, result.failures)
        there = {label: set(list_kind(repository, FileKind.SNAPSHOTS)) for label, (repository, _) in held.items()}
        for label, ids in there.items():
            if ids and ids <= set(snapshot_ids):
                raise LastSnapshot(f"all {len(ids)} snapshots of the copy {label} would go")
        for label, (repository, hold) in held.items():
            removed = result.forgotten.setdefault(label, [])
            try:
                hold.confirm()
                for snapshot_id in sorted(there[label] & set(snapshot_ids)):
                    repository.store.delete(repository.name(FileKind.SNAPSHOTS, snapshot_id))
                    removed.append(snapshot_id)
            except StoreError as exc:
                result.failures[label] = str(exc)
    return result
