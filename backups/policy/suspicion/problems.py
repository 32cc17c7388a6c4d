"""Files that are not in a snapshot, or not as they were."""

from __future__ import annotations


def files_suspicion(*, unstable: int, unreadable: int, partly: int = 0) -> str:
    """Return in one sentence which files are missing from a snapshot, "" when none is.

    unstable: changed while they were read, at every attempt.   unreadable: could not be read, a folder counts as one.
    partly: stored without something that belongs to them, such as an attribute.
    """
    if unreadable:
        return f"{_entries(unreadable)} not stored: reading failed. Give the service read permission or check the disk."
    if unstable:
        return f"{_files(unstable)} kept changing while being read. They are backed up again at the next run."
    if partly:
        return f"{_entries(partly)} stored, but not with all that belongs to it; the list of problems says what is not."
    return ""


def _entries(count: int) -> str:
    return "1 file or folder was" if count == 1 else f"{count:,} files or folders were"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
