"""Our own lock files, written as restic's, at every location that we work at.

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
from datetime import UTC

from backups.engine.errors import Locked
from backups.engine.format import FileKind, format_time
from backups.engine.format.lockfile import STALE_SECONDS, LockedBy, note_ours, refuse_foreign, unnote_ours
from backups.engine.format.repository import Repository
from backups.engine.parallel import each
from providers.stores.errors import LocationFull, StoreError
from wedbackup.core.clock import Clock

__all__ = ["REFRESH_SECONDS", "STALE_SECONDS", "LockHold", "LockLost", "LockedBy", "hold_lock"]

REFRESH_SECONDS = 5 * 60
ANSWER_SECONDS = 30.0  # for a location whose lock others can do without
SETTLE_SECONDS = 0.2  # until another client's lock, written at the same moment, must be visible


class LockLost(Locked):
    """Our lock at one location could not be refreshed for so long that others may take it for stale.

    repository: where; go on without it, `LockHold.leave`.
    """

    advice = "The location did not answer for long; what was stored there stays, and is gone on with when it does."

    def __init__(self, message: str, *, repository: Repository) -> None:
        super().__init__(message)
        self.repository = repository


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a bare uid in a container has no name
        return str(os.getuid())


class LockHold:
    """Our lock at several locations; made by `hold_lock`. Each location counts by itself.

    failures: locations where the lock could not be written, with the reason; they are left.
    """

    def __init__(
        self, repositories: Sequence[Repository], *, exclusive: bool, full_too: bool = False, clock: Clock
    ) -> None:
        self.failures: list[tuple[Repository, StoreError]] = []
        self._all = dict(enumerate(repositories))
        self._repositories = dict(self._all)  # without those that were left
        self._exclusive = exclusive
        self._full_too = full_too
        self._clock = clock
        self._own: dict[int, str] = {}  # number of a location -> id of our lock file there
        self._written_at: dict[int, float] = {}
        self._unwritten: set[int] = set()  # full locations, where we are alone without a file
        self._turn = threading.Lock()  # one refresh or release at a time

    @property
    def is_full(self) -> bool:
        """Whether some location had no room for our lock file when we last wrote it."""
        return bool(self._unwritten)

    def acquire(self) -> None:
        """Look for foreign locks and write ours everywhere. Raises LockedBy; exclusive work also StoreError."""
        self._look(decisive=False)
        self._write()
        for number, repository in list(self._repositories.items()):
            if number not in self._written_at:
                self.leave(repository)
        if self._exclusive:
            self.confirm()

    def leave(self, repository: Repository) -> None:
        """Go on without a location: it is looked at and written to no more."""
        for number, known in list(self._repositories.items()):
            if known is repository:
                del self._repositories[number]

    def confirm(self) -> None:
        """Look once more, at least 200 ms after ours was written; call it before publishing anything.

        Raises LockedBy when somebody came first, LockLost when our own lock at a location has become too old; `leave`
        that location and confirm again.
        """
        now, settled = self._clock.monotonic(), 0.0
        for number, repository in self._repositories.items():
            age = now - self._written_at[number]
            if number not in self._unwritten and age > STALE_SECONDS - REFRESH_SECONDS:
                message = f"our own lock was last refreshed {age:.0f} s ago; others may work there already"
                raise LockLost(message, repository=repository)
            settled = max(settled, SETTLE_SECONDS - age)
        if settled > 0:
            self._clock.sleep(settled)
        self._look()

    def refresh(self) -> None:
        """Write new lock files, then remove the old ones, so that there is always one."""
        with self._turn:
            old = dict(self._own)
            self._write()
            self._remove({number: file_id for number, file_id in old.items() if self._own.get(number) != file_id})

    def release(self) -> None:
        """Remove our lock files; what cannot be removed is stale in 30 minutes."""
        with self._turn:
            self._remove(self._own)
            self._own = {}

    def _look(self, *, decisive: bool = True) -> None:
        own = frozenset(self._own.values())

        def look(_: int, repository: Repository) -> None:
            refuse_foreign(repository, exclusive=self._exclusive, decisive=decisive, clock=self._clock, own=own)

        self._everywhere(look)

    def _write(self) -> None:
        began, now = self._clock.monotonic(), self._clock.utcnow().astimezone(UTC)
        document = {
            "time": format_time(int(now.timestamp() * 1_000_000) * 1000),
            "exclusive": self._exclusive,
            "hostname": socket.gethostname(),
            "username": _user_name(),
            "pid": os.getpid(),
            "uid": os.getuid(),
            "gid": os.getgid(),
        }

        def write(number: int, repository: Repository) -> None:
            try:
                self._own[number] = file_id = repository.save_document(FileKind.LOCKS, document)
                note_ours(file_id)
                self._unwritten.discard(number)
            except LocationFull:
                if not self._full_too:
                    raise
                self._unwritten.add(number)
            self._written_at[number] = began

        self._everywhere(write)

    def _remove(self, locks: dict[int, str]) -> None:
        def remove(number: int, repository: Repository) -> None:
            if number in locks:
                with contextlib.suppress(StoreError):
                    repository.store.delete(repository.name(FileKind.LOCKS, locks[number]))

        self._everywhere(remove, self._all)
        unnote_ours(set(locks.values()))

    def _everywhere(
        self, work: Callable[[int, Repository], None], repositories: dict[int, Repository] | None = None
    ) -> None:
        """Do `work` at all locations at once; exclusive work needs them all, and raises."""
        places = dict(self._repositories if repositories is None else repositories)
        limit = None if self._exclusive else ANSWER_SECONDS
        answers = each(places, lambda number: work(number, places[number]), lambda: None, seconds=limit)
        failures: list[tuple[Repository, StoreError]] = []
        for number, answer in answers.items():
            if isinstance(answer, StoreError):
                failures.append((places[number], answer))
            elif isinstance(answer, Exception):
                raise answer
        if failures and self._exclusive:
            raise failures[0][1]
        known = [repository for repository, _ in self.failures]
        self.failures += [failure for failure in failures if failure[0] not in known]


@contextlib.contextmanager
def hold_lock(
    repositories: Sequence[Repository],
    *,
    exclusive: bool = False,
    full_too: bool = False,
    clock: Clock,
    refresh_seconds: float = REFRESH_SECONDS,
) -> Iterator[LockHold]:
    """Hold a restic lock at every location while the body runs, refreshed from a thread of its own.

    exclusive:       nobody else may hold any lock (prune, forget, key removal); then every location must answer.
    full_too:        a location without room for our lock file is held without one. The body may only delete there: no
                     other program can begin to write there either, for the same want of room.
    refresh_seconds: pause between two refreshes [s].

    Without `exclusive` the body calls `confirm()` before it publishes; a location that does not answer is noted in
    `failures` and left to the caller. Raises LockedBy, or StoreError for exclusive work.
    """
    hold = LockHold(repositories, exclusive=exclusive, full_too=full_too, clock=clock)
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
