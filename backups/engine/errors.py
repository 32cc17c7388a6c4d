"""What can go wrong in the engine. Every class carries `advice`: one sentence that tells a person what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EngineError(Exception):
    """Base of all engine errors."""

    advice = "Look at the job's messages; the vault's other copies are untouched."


class WrongKey(EngineError):
    """No key file of the repository opens with this secret."""

    advice = "Use the vault's own secret (the recovery kit prints it), or restore the key file that protects it."


class RepositoryMissing(EngineError):
    """There is no vault at this place (no config file)."""

    advice = "Check the location and the vault id; if the folder or bucket was deleted, repair it from another copy."


class RepositoryExists(EngineError):
    """A vault is here already; it is never overwritten."""

    advice = "Open the existing vault, or choose another prefix."


class Damaged(EngineError):
    """Bytes of the repository are not what they were when written."""

    advice = "Repair this copy from another location; nothing was changed by reading it."


class BlobMissing(Damaged):
    """A blob is in no index of this repository."""


class Locked(EngineError):
    """Somebody else, for example a stock restic client, holds a lock on the repository."""

    advice = "Wait for the other program to end, or remove its stale lock with `restic unlock`."


class Cancelled(EngineError):
    """The caller asked to stop. Nothing was acknowledged, nothing was lost."""

    advice = "Start the work again when you want it."


class SourceMissing(EngineError):
    """The folder to back up is not there, or is not a folder."""

    advice = "Check the path; if it is on a network drive or card, connect it again."


class SourceUnreadable(EngineError):
    """The folder to back up cannot be read."""

    advice = "Give the service read permission on the folder."


class NotPacked(EngineError):
    """Something that was read could not be put into a pack, and that is no fault of the file."""

    advice = "Start the backup again: it keeps what was stored. If it stays, look at the memory of this machine."


class TooFewCopies(EngineError):
    """Fewer locations than the policy asks for took everything, so nothing may be acknowledged.

    outcomes: what became of each location, by its key.
    """

    advice = "See the failed locations; the backup goes on by itself when enough of them answer again."

    def __init__(self, message: str, outcomes: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.outcomes = dict(outcomes or {})


class WorkerDied(EngineError):
    """A worker process ended before its work: killed, out of memory, or failed itself."""

    advice = "Start the backup again: it keeps what was stored. If it stays, look at the memory of this machine."


class UnsafeTarget(EngineError):
    """A restore would leave its target folder, or overwrite what it must not."""

    advice = "Restore into a new, empty folder."


class NoSpace(EngineError):
    """The disk that receives a restore or a cache is full."""

    advice = "Free space there or choose another disk, then start again."
