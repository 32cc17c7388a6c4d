"""What the caller of a restore chooses, and what it gets back."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from backups.engine.errors import NoSpace
from backups.engine.restore.naming import Renamed
from backups.engine.restore.plan import Miss
from backups.engine.upkeep.copies import CopyProblem


class Existing(enum.StrEnum):
    """What becomes of files that are in the target already.

    FAIL:       nothing is restored if any is there.
    OVERWRITE:  they are replaced.
    KEEP:       they stay as they are.
    IF_CHANGED: they are read; those with another content are replaced.
    """

    FAIL = "fail"
    OVERWRITE = "overwrite"
    KEEP = "keep"
    IF_CHANGED = "if_changed"


@dataclass(frozen=True, slots=True)
class Proof:
    """Every restored file was read back from the medium and compared with its blobs' SHA-256.

    checked: how many files, under all their names.   differing: those that were not equal, and how.
    """

    checked: int
    differing: tuple[Miss, ...] = ()

    @property
    def equal(self) -> int:
        return self.checked - len(self.differing)

    def __str__(self) -> str:
        return f"{self.equal} of {self.checked} files equal"


@dataclass(slots=True)
class RestoreResult:
    """What a restore did.

    wanted:       regular files that were found to restore, under all their names.
    lost_folders: folders of which nobody knows what was in them; what was is not in `wanted`.
    files:        regular files restored, under all their names.   bytes_written: [bytes], without holes' worth.
    bytes_in_place: content of all files that have their name now [bytes].
    kept:         files that were there and stayed (KEEP).          unchanged: read and found equal (IF_CHANGED).
    folders, links: folders made or given their attributes; symbolic links, FIFOs and devices.
    misses:       what could not be restored, and why.
    renamed:      restored under another name, because the disk refuses the one it had.
    refused:      restored, but without some attribute (owner, extended attribute ...).
    problems:     what was damaged or unreachable at which copy, while another copy served.
    proof:        None when it was not asked for.
    """

    wanted: int = 0
    lost_folders: int = 0
    files: int = 0
    bytes_written: int = 0
    bytes_in_place: int = 0
    kept: int = 0
    unchanged: int = 0
    folders: int = 0
    links: int = 0
    misses: list[Miss] = field(default_factory=list)
    renamed: list[Renamed] = field(default_factory=list)
    refused: list[Miss] = field(default_factory=list)
    problems: list[CopyProblem] = field(default_factory=list)
    proof: Proof | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that was wanted is there, and equal as far as it was proved."""
        return not self.misses and (self.proof is None or not self.proof.differing)


class TargetFull(NoSpace):
    """The restore stopped because its disk is full. result: what was done until then."""

    def __init__(self, message: str, result: RestoreResult) -> None:
        super().__init__(message)
        self.result = result
