"""The folder that receives a recovery: new, ours alone, and recognised again after a crash."""

from __future__ import annotations

import os
import shutil

from django.core.exceptions import ValidationError

from backups.engine.errors import UnsafeTarget
from backups.engine.restore.target import STAGING_PREFIX, map_error
from backups.models import Job

MARKER = ".wedbackup-recovery"  # holds the id of the job that made the folder


def target_refuse_unsafe(path: str) -> None:
    """Raise ValidationError unless `path` is an absolute path at which there is nothing, or an empty folder."""
    if not os.path.isabs(path) or "\0" in path or os.path.normpath(path) == "/":
        raise ValidationError("The target has to be an absolute path of a folder, such as /media/usb/recovered.")
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise ValidationError(f"{path} is in use already. Nothing is overwritten: name a new or empty folder.")


def target_claim(path: str, job: Job) -> str:
    """Make the folder for this job, or take it up again after a crash; return its path.

    Raises UnsafeTarget when something else is there by now, NoSpace when the disk is full.
    """
    marker = os.path.join(path, MARKER)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        present = os.listdir(path)
        if MARKER in present:
            with open(marker, encoding="ascii") as file:
                if file.read() != str(job.pk):
                    raise UnsafeTarget(f"the folder {path} belongs to another recovery")
            _remove_staging(path)
        elif present:
            raise UnsafeTarget(f"the folder {path} is not empty, and nothing is overwritten")
        else:
            with open(marker, "x", encoding="ascii") as file:
                file.write(str(job.pk))
    except OSError as exc:
        raise map_error(exc, f"the target folder {path}") from exc
    return path


def _remove_staging(path: str) -> None:
    """Remove what a killed attempt left half written; finished files stay and are compared, not restored again."""
    for parent, folders, _ in os.walk(path):
        for name in [name for name in folders if os.fsencode(name).startswith(STAGING_PREFIX)]:
            shutil.rmtree(os.path.join(parent, name))
            folders.remove(name)
