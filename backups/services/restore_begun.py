"""Remembers in a folder which restore was begun there, so that the same restore may go on, and no other."""

from __future__ import annotations

import os

from backups.engine.restore.target import map_error
from backups.models import Snapshot

NOTE = ".wedbackup-restore-begun"  # holds the id of the snapshot; gone when the restore is whole


def restore_begun(target: str, snapshot: Snapshot) -> bool:
    """Whether a restore of this snapshot was begun in the folder, and has not come to its end."""
    try:
        with open(os.path.join(target, NOTE), encoding="ascii") as file:
            return file.read().strip() == snapshot.restic_id
    except OSError:
        return False


def restore_begin(target: str, snapshot: Snapshot) -> None:
    """Make the folder if need be and note the restore in it. Raises NoSpace or UnsafeTarget."""
    try:
        os.makedirs(target, mode=0o700, exist_ok=True)
        with open(os.path.join(target, NOTE), "w", encoding="ascii") as file:
            file.write(f"{snapshot.restic_id}\n")
    except OSError as exc:
        raise map_error(exc, f"the target folder {target}") from exc


def restore_forget(target: str) -> None:
    """Take the note away again, and a folder with nothing in it: nothing was begun."""
    restore_over(target)
    if not os.listdir(target):
        os.rmdir(target)


def restore_over(target: str) -> None:
    """Take the note away: everything is there."""
    os.unlink(os.path.join(target, NOTE))
