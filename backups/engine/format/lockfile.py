"""restic's lock files as others left them: whose they are, and whether anybody is still behind them.

A readable lock tells when it was last refreshed; restic lets it count for 30 minutes. One that cannot be read, or is
dated far ahead, tells nothing; whether it was abandoned is then judged by what can be known from outside: for the store
it is 30 minutes older than the lock that we have just written there, or this process has seen the very same file for 30
minutes by a clock that cannot jump. A living holder replaces its file every 5 minutes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from backups.engine.errors import Damaged, Locked
from backups.engine.format import FileKind, format_time, parse_time, to_datetime
from backups.engine.format.repository import Repository
from providers.stores.base import ObjectInfo
from providers.stores.errors import ObjectNotFound, StoreError
from wedbackup.core.clock import Clock

STALE_SECONDS = 30 * 60  # restic's staleLockTimeout
_STALE = timedelta(seconds=STALE_SECONDS)

_ours: set[str] = set()  # ids of the lock files that this process holds now
_ours_guard = threading.Lock()


@dataclass(frozen=True, slots=True)
class LockFile:
    """One lock as its holder wrote it. time: when it was last refreshed, Unix time [ns]."""

    file_id: str
    time: int
    exclusive: bool
    hostname: str
    username: str
    pid: int

    def holder_ended(self) -> bool:
        """Whether it was written by a process of this machine that has ended."""
        if self.hostname != socket.gethostname():
            return False
        if self.pid == os.getpid():  # ours, or a dead namesake's: in a container every start has the same pid
            return self.file_id not in _ours
        return not _process_lives(self.pid)

    def __str__(self) -> str:
        kind = "an exclusive lock" if self.exclusive else "a lock"
        return f"{self.username}@{self.hostname} (process {self.pid}) holds {kind} since {format_time(self.time)}"


class LockedBy(Locked):
    """A foreign lock forbids our work. holder: None when its file cannot be read. repository: where it lies."""

    advice = (
        'Wait for the other program to end. If none runs, open "What is kept" of the vault and press '
        '"Remove left-over locks", or run `manage.py unlock`.'
    )

    def __init__(self, message: str, *, holder: LockFile | None, repository: Repository) -> None:
        super().__init__(message)
        self.holder = holder
        self.repository = repository


class Sightings:
    """Since when this process has seen each lock file that tells nothing by itself, on a clock that cannot jump.

    A restart begins the count anew, which only delays.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, int, datetime | None], float] = {}
        self._guard = threading.Lock()

    def seconds(self, repository: Repository, info: ObjectInfo, clock: Clock) -> float:
        """Return for how long this file has been seen unchanged [s]."""
        key = (repository.config.repository_id, info.name, info.size_bytes, info.modified)
        with self._guard:
            return clock.monotonic() - self._first.setdefault(key, clock.monotonic())


SIGHTINGS = Sightings()


def note_ours(file_id: str) -> None:
    with _ours_guard:
        _ours.add(file_id)


def unnote_ours(file_ids: set[str]) -> None:
    with _ours_guard:
        _ours.difference_update(file_ids)


def _process_lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read_lock(repository: Repository, file_id: str) -> LockFile | None:
    """Return the lock, None when the file cannot be read. Raises StoreError."""
    try:
        fields = repository.load_document(FileKind.LOCKS, file_id)
        return LockFile(
            file_id=file_id,
            time=parse_time(fields["time"]),
            exclusive=bool(fields["exclusive"]),
            hostname=fields.get("hostname", "?"),
            username=fields.get("username", "?"),
            pid=int(fields.get("pid", 0)),
        )
    except (Damaged, KeyError, TypeError, ValueError):
        return None


def _is_abandoned(
    repository: Repository, info: ObjectInfo, lock: LockFile | None, clock: Clock, store_now: datetime | None
) -> bool:
    """store_now: what time it is for the store, as far as that is known."""
    if lock is not None:
        if lock.holder_ended():
            return True
        age = clock.utcnow() - to_datetime(lock.time)
        if age > -_STALE:
            return age > _STALE
    if info.modified is not None and store_now is not None and store_now - info.modified > _STALE:
        return True
    return SIGHTINGS.seconds(repository, info, clock) > STALE_SECONDS


def refuse_foreign(
    repository: Repository, *, exclusive: bool, decisive: bool, clock: Clock, own: frozenset[str]
) -> None:
    """Raise LockedBy if a foreign lock that somebody may still hold forbids ours; remove the abandoned on the way.

    exclusive: whether we want to be alone.   own: ids of our lock files.
    decisive:  False before ours is written: only after it the store's own clock is known, by our file.

    A lock file that cannot be read stands in the way of exclusive work only, and only for a while.
    """
    files = list(repository.files(FileKind.LOCKS))
    store_now = max((info.modified for file_id, info in files if file_id in own and info.modified), default=None)
    for file_id, info in files:
        if file_id in own:
            continue
        try:
            lock = _read_lock(repository, file_id)
        except ObjectNotFound:
            continue  # its holder has just ended
        if _is_abandoned(repository, info, lock, clock, store_now):
            with contextlib.suppress(StoreError):  # stock restic refuses work because of it, we do not
                repository.store.delete(repository.name(FileKind.LOCKS, file_id))
        elif lock is None and exclusive and decisive:
            message = f"lock file {file_id[:12]} cannot be read, so its holder may be at work"
            raise LockedBy(message, holder=None, repository=repository)
        elif lock is not None and (exclusive or lock.exclusive):
            raise LockedBy(str(lock), holder=lock, repository=repository)


@dataclass(frozen=True, slots=True)
class Removed:
    """What `remove_abandoned` did. removed: lock files taken away.   left: what somebody may still hold, in words."""

    removed: tuple[str, ...]
    left: tuple[str, ...]


def remove_abandoned(repository: Repository, *, by_force: bool, clock: Clock) -> Removed:
    """Remove the lock files of one copy that nobody is behind any more.

    by_force: a person says that no other program works here: remove also those that tell nothing by themselves, and
              those that look alive, but never one that a living process of this machine holds.

    Raises StoreError.
    """
    removed, left = [], []
    for file_id, info in list(repository.files(FileKind.LOCKS)):
        try:
            lock = _read_lock(repository, file_id)
        except ObjectNotFound:
            continue
        alive_here = lock is not None and lock.hostname == socket.gethostname() and not lock.holder_ended()
        if _is_abandoned(repository, info, lock, clock, None) or (by_force and not alive_here):
            repository.store.delete(repository.name(FileKind.LOCKS, file_id))
            removed.append(file_id)
        else:
            left.append(str(lock) if lock else f"lock file {file_id[:12]}, which cannot be read")
    return Removed(tuple(removed), tuple(left))
