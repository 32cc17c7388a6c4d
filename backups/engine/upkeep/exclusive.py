"""Being alone at several locations, as far as they let us: for forget, prune and the removal of keys."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from backups.engine.errors import Locked
from backups.engine.format.lock import LockHold, hold_lock
from backups.engine.format.repository import Repository
from providers.stores.errors import StoreError
from wedbackup.core.clock import Clock


def lock_each(
    stack: contextlib.ExitStack, copies: Mapping[str, Repository], clock: Clock, failures: dict[str, str]
) -> dict[str, tuple[Repository, LockHold]]:
    """Hold an exclusive lock at every copy that answers and is free, until `stack` ends.

    A copy without room for a lock file is held as well (`LockHold.is_full`): only delete there.

    failures: receives the reason for each copy that is left out.   Raises the last reason when none is left.
    """
    held: dict[str, tuple[Repository, LockHold]] = {}
    last: Exception | None = None
    for label, repository in copies.items():
        try:
            hold = stack.enter_context(hold_lock([repository], exclusive=True, full_too=True, clock=clock))
        except (StoreError, Locked) as exc:
            failures[label] = str(exc)
            last = exc
        else:
            held[label] = (repository, hold)
    if last is not None and not held:
        raise last
    return held
