"""Take snapshots out of a vault. Their data stays until a prune.

A copy that lags may lose its last snapshot this way: what is kept lies at another one, and it gets room to catch up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backups.engine.errors import EngineError, Locked
from backups.engine.format import FileKind
from backups.engine.format.repository import Repository
from backups.engine.upkeep.copies import NOTHING_FORGOTTEN, Forgotten, list_kind
from backups.engine.upkeep.exclusive import lock_each
from providers.stores.errors import StoreError
from wedbackup.core.clock import Clock


class LastSnapshot(EngineError):
    """Forgetting would leave no snapshot at any copy that answers."""

    advice = "Keep at least one snapshot; to give up the whole vault, erase it."


@dataclass(slots=True)
class ForgetResult:
    """forgotten: snapshot ids removed, by copy.   failures: copies where not all could be removed, and why."""

    forgotten: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def forget(
    copies: Mapping[str, Repository],
    snapshot_ids: Collection[str],
    *,
    forgotten: Forgotten = NOTHING_FORGOTTEN,
    clock: Clock,
) -> ForgetResult:
    """Remove snapshot files from every copy that answers; one that does not is brought in line when it does.

    snapshot_ids: full hex ids; one that a copy does not have is no error.
    forgotten:    what was forgotten earlier goes as well, where it was missed.

    Raises LastSnapshot before anything is removed, Locked or StoreError when no copy can be worked on.
    """
    result = ForgetResult()
    with contextlib.ExitStack() as stack:
        held = lock_each(stack, copies, clock, result.failures)
        there: dict[str, set[str]] = {}
        for label, (repository, _) in held.items():
            try:
                there[label] = set(list_kind(repository, FileKind.SNAPSHOTS))
            except StoreError as exc:
                result.failures[label] = str(exc)
        every: set[str] = set().union(*there.values())
        doomed = set(snapshot_ids).union(forgotten.among(every))
        if every and every <= doomed:
            raise LastSnapshot(f"all {len(every)} snapshots at {', '.join(there)} would go")
        for label, ids in there.items():
            repository, hold = held[label]
            removed = result.forgotten.setdefault(label, [])
            try:
                hold.confirm()
                for snapshot_id in sorted(ids & doomed):
                    repository.store.delete(repository.name(FileKind.SNAPSHOTS, snapshot_id))
                    removed.append(snapshot_id)
            except (StoreError, Locked) as exc:
                result.failures[label] = str(exc)
    return result
