"""Files that are not in a snapshot, or not as they were."""

from __future__ import annotations


def files_suspicion(*, unstable: int, unreadable: int) -> str:
    """Return in one sentence which files are missing from a snapshot, "" when none is.

    unstable: changed while they were read, at every attempt.   unreadable: could not be read.
    """
    if unreadable:
        return f"{_files(unreadable)} could not be read. Give the service read permission or check the disk."
    if unstable:
        return f"{_files(unstable)} kept changing while being read. They are backed up again at the next run."
    return ""


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
