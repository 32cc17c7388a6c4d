"""Opening all destinations of a run at once: the vault's config and key, a lock, and what lies there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from backups.engine.backup.fanout import blame, describe
from backups.engine.backup.ledger import Ledger
from backups.engine.backup.messages import Destination
from backups.engine.backup.survey import VaultCopy
from backups.engine.errors import RepositoryExists
from backups.engine.format import FileKind, hash_hex
from backups.engine.format.crypto import MasterKey
from backups.engine.format.lock import LockedBy, LockHold, LockLost, hold_lock
from backups.engine.format.repository import Config, NewVault, Repository
from backups.engine.parallel import each
from backups.engine.upkeep.copies import fetch_config, list_copy, list_kind
from wedbackup.core.clock import Clock

T = TypeVar("T")
OPEN_SECONDS = 30.0  # for all that is asked of a place before it is known to hold the vault


class Opening:
    """Opens destinations; what fails is dropped from the run and noted in the ledger."""

    def __init__(self, destinations: Sequence[Destination], prefix: str, vault: NewVault, ledger: Ledger) -> None:
        """vault: what a place that holds nothing yet is given."""
        self._destinations = destinations
        self._prefix = prefix
        self._vault = vault
        self._ledger = ledger
        self.repositories: dict[int, Repository] = {}

    def open(self) -> None:
        """Open the vault everywhere, or begin it where there is none. Raises TooFewCopies, Cancelled."""
        self.repositories = self.everywhere(range(len(self._destinations)), self._open, seconds=OPEN_SECONDS)

    def lock(self, stack: contextlib.ExitStack, clock: Clock) -> LockHold:
        """Hold our lock wherever nobody else's forbids it, until `stack` ends. Raises TooFewCopies."""
        while True:
            try:
                hold = stack.enter_context(hold_lock(list(self.repositories.values()), clock=clock))
            except LockedBy as exc:
                self._leave_out(exc.repository, f"another program is at work there: {exc}")
                continue
            for repository, error in hold.failures:
                self._leave_out(repository, describe(error), **blame(error))
            return hold

    def confirm(self, hold: LockHold) -> None:
        """Look for foreign locks once more, before publishing. Raises TooFewCopies."""
        while True:
            try:
                hold.confirm()
                return
            except LockedBy as exc:
                hold.leave(exc.repository)
                self._leave_out(exc.repository, f"another program is at work there: {exc}")
            except LockLost as exc:  # a place that died under way takes no other place down with it
                hold.leave(exc.repository)
                self._leave_out(exc.repository, str(exc), unanswered=True)

    def list(self) -> list[VaultCopy]:
        """Return what lies where. Raises TooFewCopies, Cancelled."""
        listings = self.everywhere(self.repositories, lambda number: list_copy(self.repositories[number]))
        copies = [
            VaultCopy(number, self.repositories[number], listing, set(self._destinations[number].damaged))
            for number, listing in listings.items()
        ]
        return sorted(copies, key=lambda copy: copy.number)

    def everywhere(
        self,
        numbers: Sequence[int] | dict[int, Repository],
        work: Callable[[int], T],
        *,
        seconds: float | None = None,
    ) -> dict[int, T]:
        """Return what `work` gave for each destination that did not fail, nor took longer than `seconds` [s]."""
        answers = each(numbers, work, self._ledger.pulse, seconds=seconds)
        for number, answer in answers.items():
            if isinstance(answer, Exception):
                self.repositories.pop(number, None)
                self._ledger.drop(number, describe(answer), **blame(answer))
        self._ledger.check_enough()
        return {number: answer for number, answer in answers.items() if not isinstance(answer, Exception)}

    def _open(self, number: int) -> Repository:
        store = self._destinations[number].store
        here = Repository(store, self._prefix, self._vault.master, self._vault.config)
        if fetch_config(here) is None:
            return Repository.create(store, self._prefix, self._vault)
        found = Repository.open_with_master(store, self._prefix, self._vault.master)
        if found.config.repository_id != self._vault.config.repository_id:
            raise RepositoryExists("another vault is stored at this place already")
        self._give_key(found)
        return found

    def _give_key(self, found: Repository) -> None:
        """Store the vault's own key file where there is no key, or where that one was cut off."""
        keys, key_file = list_kind(found, FileKind.KEYS), self._vault.key_file
        key_id = hash_hex(key_file)
        if not keys or keys.get(key_id, len(key_file)) != len(key_file):
            found.store.put(found.name(FileKind.KEYS, key_id), key_file, sha256=key_id)

    def _leave_out(self, repository: Repository, error: str, **blamed: bool) -> None:
        for number, known in list(self.repositories.items()):
            if known is repository:
                del self.repositories[number]
                self._ledger.drop(number, error, **blamed)
        self._ledger.check_enough()


def vault_of(master: MasterKey, config: Config, vault_files: tuple[bytes, bytes]) -> NewVault:
    """Return the vault's beginnings from its stored (config file, key file)."""
    return NewVault(vault_files[0], vault_files[1], config, master)
