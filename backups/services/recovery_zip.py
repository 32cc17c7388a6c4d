"""A recovered folder as one zip: stored, not compressed (photos are), so that it can be fetched in ranges."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from backups.engine.restore.target import map_error
from backups.policy.names import numbered
from backups.services.recovery_target import MARKER
from backups.worker import JobContext


def zip_write(folder: str, path: str, context: JobContext) -> None:
    """Write everything below `folder` into the zip `path`, which appears under its name when it is whole.

    Symbolic links are left out: they may lead anywhere. Names that are not UTF-8, which a zip cannot hold, are shown
    with a stand-in for what nobody can read. Raises NoSpace, UnsafeTarget, Cancelled.
    """
    part = f"{path}.part"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True, strict_timestamps=False) as archive:
            taken: set[str] = set()
            for file in sorted(Path(folder).rglob("*")):
                context.cancel.check()
                if file.is_file() and not file.is_symlink() and file != Path(folder, MARKER):
                    archive.write(file, _free_name(file.relative_to(folder), taken))
        with open(part, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(part, 0o600)
        os.replace(part, path)
    except OSError as exc:
        raise map_error(exc, f"the zip {path}") from exc
    finally:
        Path(part).unlink(missing_ok=True)


def _free_name(path: Path, taken: set[str]) -> str:
    """Return the name of a file in the zip, and take it: no two files may have the same."""
    name = free = os.fsencode(path).decode("utf-8", "replace")
    number = 1
    while free in taken:
        number += 1
        free = numbered(name, number)
    taken.add(free)
    return free
