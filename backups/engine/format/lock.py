"""restic's lock files: others' are honoured, ours are written for them.

Locks that matter between our own workers live in the database; lock files are the courtesy between us and a stock
restic client at the same location. As restic does, a lock is refreshed every 5 minutes, counts for 30, and a new one
is followed by a second look at the others 200 ms later. That second look is `LockHold.confirm`, which the caller makes
after its work and before it publishes anything, so that nobody waits for it.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backups.engine.errors import Damaged, Locked
from backups.engine.format import FileKind, format_time, parse_time, to_datetime
from backups.engine.format.repository import Repository
from providers.stores.errors import ObjectNotFound, StoreError
from wedbackup.core.clock import Clock

STALE_SECONDS = 30 * 60  # restic's staleLockTimeout
REFRESH_SECONDS = 5 * 60
SETTLE_SECONDS = 0.2  # until another client's lock, written at the same moment, must be visible

_held: set[str] = set()  # ids of the lock files that this process holds now
_held_guard = threading.Lock()


@dataclass(frozen=True, slots=True)
class LockFile:
    """One lock as its holder wrote it. time: when it was last refreshed, Unix time [ns]."""

    file_id: str
    time: int
    exclusive: bool
    hostname: str
    username: str
    pid: int

    def is_stale(self, now: datetime) -> bool:
        """Whether the holder is gone: 30 minutes silent, or a process of this machine that has ended."""
        if now - to_datetime(self.time) > timedelta(seconds=STALE_SECONDS):
            return True
        if self.hostname != socket.gethostname():
            return False
        if self.pid == os.getpid():  # ours, or a dead namesake's: in a container every start has the same pid
            return self.file_id not in _held
        return not _process_lives(self.pid)

    def __str__(self) -> str:
        kind = "an exclusive lock" if self.exclusive else "a lock"
        return f"{self.username}@{self.hostname} (process {self.pid}) holds {kind} since {format_time(self.time)}"


class LockedBy(Locked):
    """A foreign lock forbids our work. holder: None when its file cannot be read. repository: where it lies."""

    def __init__(self, message: str, *, holder: LockFile | None, repository: Repository) -> None:
        super().__init__(message)
        self.holder = holder
        self.repository = repository


def _process_lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read_lock(repository: Repository, file_id: str) -> LockFile:
    fields = repository.load_document(FileKind.LOCKS, file_id)
    try:
        return LockFile(
            file_id=file_id,
            time=parse_time(fields["time"]),
            exclusive=bool(fields["exclusive"]),
            hostname=fields.get("hostname", "?"),
            username=fields.get("username", "?"),
            pid=int(fields.get("pid", 0)),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise Damaged(f"lock file {file_id[:12]} cannot be read") from exc


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a bare uid in a container has no name
        return str(os.getuid())


def refuse_foreign(repository: Repository, *, exclusive: bool, now: datetime, own: frozenset[str]) -> None:
    """Raise LockedBy if a fresh lock of somebody else forbids ours; remove the stale ones on the way.

    exclusive: whether we want to be alone.   own: ids of our lock files.

    A lock file that cannot be read stands in the way of exclusive work only.
    """
    for file_id, _ in list(repository.files(FileKind.LOCKS)):
        if file_id in own:
            continue
        try:
            lock = _read_lock(repository, file_id)
        except ObjectNotFound:
            continue  # its holder has just ended
        except Damaged as exc:
            if exclusive:
                message = f"lock file {file_id[:12]} cannot be read, so its holder may be at work"
                raise LockedBy(message, holder=None, repository=repository) from exc
            continue
        if lock.is_stale(now):
            with contextlib.suppress(StoreError):  # stock restic refuses work because of it, we do not
                repository.store.delete(repository.name(FileKind.LOCKS, file_id))
        elif exclusive or lock.exclusive:
            raise LockedBy(str(lock), holder=lock, repository=repository)


class LockHold:
    """Our lock at several locations; made by `hold_lock`.

    failures: locations where the lock could not be written, with the reason.
    """

    def __init__(self, repositories: Sequence[Repository], *, exclusive: bool, clock: Clock) -> None:
        self.failures: list[tuple[Repository, StoreError]] = []
        self._repositories = tuple(repositories)
        self._exclusive = exclusive
        self._clock = clock
        self._own: dict[int, str] = {}  # place in `repositories` -> id of our lock file there
        self._written_at = clock.monotonic()
        self._turn = threading.Lock()  # one refresh or release at a time

    def acquire(self) -> None:
        """Look for foreign locks and write ours everywhere. Raises LockedBy; exclusive work also StoreError."""
        self._look()
        self._write()
        if self._exclusive:
            self.confirm()

    def confirm(self) -> None:
        """Look once more, at least 200 ms after ours was written; call it before publishing anything.

        Raises LockedBy when somebody came first, Locked when our own lock could not be refreshed for so long that
        others may take it for stale.
        """
        age = self._clock.monotonic() - self._written_at
        if age > STALE_SECONDS - REFRESH_SECONDS:
            raise Locked(f"our own lock was last refreshed {age:.0f} s ago; others may work here already")
        if age < SETTLE_SECONDS:
            self._clock.sleep(SETTLE_SECONDS - age)
        self._look()

    def refresh(self) -> None:
        """Write new lock files, then remove the old ones, so that there is always one."""
        with self._turn:
            old = dict(self._own)
            self._write()
            self._remove({place: file_id for place, file_id in old.items() if self._own.get(place) != file_id})

    def release(self) -> None:
        """Remove our lock files; what cannot be removed is stale in 30 minutes."""
        with self._turn:
            self._remove(self._own)
            self._own = {}

    def _look(self) -> None:
        now, own = self._clock.utcnow(), frozenset(self._own.values())

        def look(place: int) -> None:
            refuse_foreign(self._repositories[place], exclusive=self._exclusive, now=now, own=own)

        self._everywhere(look)

    def _write(self) -> None:
        now = self._clock.utcnow().astimezone(UTC)
        document = {
            "time": format_time(int(now.timestamp() * 1_000_000) * 1000),
            "exclusive": self._exclusive,
            "hostname": socket.gethostname(),
            "username": _user_name(),
            "pid": os.getpid(),
            "uid": os.getuid(),
            "gid": os.getgid(),
        }

        def write(place: int) -> None:
            self._own[place] = file_id = self._repositories[place].save_document(FileKind.LOCKS, document)
            with _held_guard:
                _held.add(file_id)

        written_at = self._clock.monotonic()
        if self._everywhere(write):
            self._written_at = written_at

    def _remove(self, locks: dict[int, str]) -> None:
        def remove(place: int) -> None:
            if place in locks:
                with contextlib.suppress(StoreError):
                    repository = self._repositories[place]
                    repository.store.delete(repository.name(FileKind.LOCKS, locks[place]))

        self._everywhere(remove)
        with _held_guard:
            _held.difference_update(locks.values())

    def _everywhere(self, work: Callable[[int], None]) -> bool:
        """Do `work` at all locations at once; say whether all could. Exclusive work needs them all."""
        failures: list[tuple[Repository, StoreError]] = []

        def attempt(place: int) -> None:
            try:
                work(place)
            except StoreError as exc:
                failures.append((self._repositories[place], exc))

        with ThreadPoolExecutor(max(1, len(self._repositories))) as pool:
            list(pool.map(attempt, range(len(self._repositories))))
        if failures and self._exclusive:
            raise failures[0][1]
        known = [repository for repository, _ in self.failures]
        self.failures += [failure for failure in failures if failure[0] not in known]
        return not failures


@contextlib.contextmanager
def hold_lock(
    repositories: Sequence[Repository],
    *,
    exclusive: bool = False,
    clock: Clock,
    refresh_seconds: float = REFRESH_SECONDS,
) -> Iterator[LockHold]:
    """Hold a restic lock at every location while the body runs, refreshed from a thread of its own.

    exclusive:       nobody else may hold any lock (prune, forget, key removal); then every location must answer.
    refresh_seconds: pause between two refreshes [s].

    Without `exclusive` the body calls `confirm()` before it publishes; a location that does not answer is noted in
    `failures` and left to the caller. Raises LockedBy, or StoreError for exclusive work.
    """
    hold = LockHold(repositories, exclusive=exclusive, clock=clock)
    ended = threading.Event()

    def keep_fresh() -> None:
        while not ended.wait(refresh_seconds):
            with contextlib.suppress(StoreError):  # `confirm` judges whether it has become too old
                hold.refresh()

    keeper = threading.Thread(target=keep_fresh, name="vault-lock", daemon=True)
    try:
        hold.acquire()
        keeper.start()
        yield hold
    finally:
        ended.set()
        if keeper.ident is not None:
            keeper.join()
        with contextlib.suppress(StoreError):
            hold.release()
