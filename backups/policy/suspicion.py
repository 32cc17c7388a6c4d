"""When a backup that went through must still not be trusted: never green when suspicious."""

from __future__ import annotations

from dataclasses import dataclass

SHRUNK_BELOW = 0.5  # of what the snapshot before held, in files or in bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a snapshot holds: regular files, and their bytes [bytes]."""

    files: int
    size_bytes: int


def extent_suspicion(found: Extent, before: Extent | None) -> str:
    """Return in one sentence why the source as a whole looks wrong, "" when it does not.

    before: the last snapshot that did not look wrong, None for the first. Comparing with any other one would believe
    a loss at the second look.
    """
    if found.files == 0:
        return "The source is empty. Check that its disk or card is connected."
    if before is not None and found.files < before.files * SHRUNK_BELOW:
        return f"The source shrank from {before.files:,} to {found.files:,} files. Check whether that was meant."
    if before is not None and found.size_bytes < before.size_bytes * SHRUNK_BELOW:
        lost = 100 - found.size_bytes * 100 // before.size_bytes
        return f"The source lost {lost} % of its bytes since the snapshot before. Check whether that was meant."
    return ""


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
