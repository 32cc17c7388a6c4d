"""The end of a run, per destination and always in this order: older packs that lack, index, snapshot.

A destination that failed anything before gets neither index nor snapshot: what a location shows is always whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from backups.engine.backup.fanout import store_proved
from backups.engine.backup.ledger import Ledger
from backups.engine.backup.messages import Destination
from backups.engine.backup.opening import Opening
from backups.engine.backup.survey import Survey, VaultCopy
from backups.engine.format import FileKind, file_name
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import PackRecord, encode_records
from backups.engine.format.repository import Repository, pack_document
from backups.engine.progress import CancelToken
from backups.engine.upkeep.copies import Forgotten, Place, Trouble
from backups.engine.upkeep.replicate import replicate
from providers.stores.errors import StoreError

Document = tuple[FileKind, str, bytes]


class Publishing:
    """Makes the packs of one run visible."""

    def __init__(
        self,
        destinations: Sequence[Destination],
        opening: Opening,
        copies: Sequence[VaultCopy],
        found: Survey,
        ledger: Ledger,
        copies_needed: int,
        forgotten: Forgotten,
        cancel: CancelToken,
    ) -> None:
        self._destinations = destinations
        self._opening = opening
        self._copies = {copy.number: copy for copy in copies}
        self._found = found
        self._ledger = ledger
        self._copies_needed = copies_needed
        self._forgotten = forgotten
        self._cancel = cancel

    def catch_up(self) -> None:
        """Bring what destinations lack from the others; optional ones that lack packs are only marked as behind.

        Raises TooFewCopies, Cancelled.
        """
        for number, copy in self._copies.items():
            missing = self._found.missing_at(copy)
            if missing and not self._destinations[number].required:
                self._ledger.outcomes[number].behind = missing
        if len(self._live()) < max(1, self._copies_needed):
            raise self._ledger.too_few(len(self._live()))
        lacking = [number for number in self._live() if self._lacks_anything(self._copies[number])]
        if lacking:
            self._ledger.pulse("catch up")
            self._opening.everywhere(lacking, self._replicate_to)

    def publish(self, documents: Sequence[Document], step: str) -> None:
        """Store these documents at every destination that is whole so far. Raises TooFewCopies, Cancelled."""
        self._ledger.pulse(step)

        def put(number: int) -> None:
            repository = self._copies[number].repository
            for kind, file_id, stored in documents:
                store_proved(repository.store, repository.name(kind, file_id), stored, file_id)

        self._opening.everywhere(self._live(), put)

    def mark_complete(self) -> None:
        """Say which destinations hold everything, what each listed, and where packs had vanished."""
        for number in self._live():
            self._ledger.outcomes[number].complete = True
        for number, copy in self._copies.items():
            names = {file_name(FileKind.DATA, pack_id) for pack_id in copy.vanished}
            outcome, known = self._ledger.outcomes[number], self._destinations[number].damaged
            outcome.vanished = frozenset(names - known)
            outcome.snapshots = frozenset(copy.listing[FileKind.SNAPSHOTS])
            outcome.damaged |= dict.fromkeys(copy.damaged - known, "its bytes do not hash to its name")

    def remove_what_was_given_up(self) -> None:
        """Remove index files that name lost packs or are damaged, then the packs that are whole nowhere.

        Whole ones have taken their place. Without the right to delete they stay, for a prune to remove.
        """
        found = self._found
        names = [file_name(FileKind.INDEX, index_id) for index_id in (*found.shrunk, *found.broken)]
        names += [file_name(FileKind.DATA, pack_id) for pack_id in found.given_up]

        def remove(number: int) -> None:
            repository = self._copies[number].repository
            for name in names:
                with contextlib.suppress(StoreError):
                    repository.store.delete(repository.prefix + name)

        if names:
            self._opening.everywhere(self._live(), remove)
        needless = {*names, *(file_name(FileKind.DATA, pack_id) for pack_id in found.lost)} if found.shrunk else names
        for number in self._live():
            self._ledger.outcomes[number].mended |= self._copies[number].damaged.intersection(needless)

    def _live(self) -> list[int]:
        return [
            number
            for number in self._copies
            if self._ledger.board.is_in(number) and not self._ledger.outcomes[number].behind
        ]

    def _lacks_anything(self, copy: VaultCopy) -> bool:
        if copy.damaged or self._found.missing_at(copy):
            return True
        others = [other for other in self._copies.values() if other is not copy]
        kinds = (FileKind.INDEX, FileKind.SNAPSHOTS)
        return any(other.listing[kind].keys() - copy.listing[kind].keys() for other in others for kind in kinds)

    def _sources_for(self, number: int) -> dict[str, Place]:
        """Return the copies to take from; one that fell out of this run only if it alone has what is needed.

        It could not be written to, which says little about reading.
        """
        others = [other for other in self._copies if other != number]
        live = [other for other in others if self._ledger.board.is_in(other)]
        copy, held = self._copies[number], [self._copies[other] for other in live]
        packs = self._found.missing_packs(copy)
        enough = all(any(other.holds(FileKind.DATA, pack_id, packs[pack_id]) for other in held) for pack_id in packs)
        enough &= all(any(other.holds(FileKind.INDEX, each) for other in held) for each in self._missing_indexes(copy))
        chosen = live if enough else others
        return {self._destinations[other].key: _place(self._copies[other].repository) for other in chosen}

    def _replicate_to(self, number: int) -> None:
        sources, copy = self._sources_for(number), self._copies[number]
        needed = self._needed_at(copy)
        if not sources:
            if needed:
                raise StoreError(f"{len(needed)} older files are in no other copy that takes part")
            return
        given_up = {file_name(FileKind.DATA, pack_id) for pack_id in self._found.given_up}
        damaged = copy.damaged - given_up  # nobody can give those
        result = replicate(
            sources, _place(copy.repository), damaged=damaged, forgotten=self._forgotten, cancel=self._cancel
        )
        self._ledger.outcomes[number].mended |= result.copied.keys()
        numbers = {place.key: other for other, place in enumerate(self._destinations)}
        for problem in result.source_problems:
            if problem.trouble is Trouble.DAMAGED:
                self._ledger.outcomes[numbers[problem.label]].damaged[problem.name] = problem.reason
        # What is there is asked, not what the others were found to lack: a copy that could not be listed lacks nothing.
        if lacking := needed.difference(result.copied):
            raise StoreError(f"{len(lacking)} older files could not be brought from another copy")

    def _needed_at(self, copy: VaultCopy) -> set[str]:
        """Return the names of older packs and indexes without which the new snapshot could not be read there."""
        packs = {file_name(FileKind.DATA, pack_id) for pack_id in self._found.missing_packs(copy)}
        return packs | {file_name(FileKind.INDEX, index_id) for index_id in self._missing_indexes(copy)}

    def _missing_indexes(self, copy: VaultCopy) -> set[str]:
        listed = {index_id for other in self._copies.values() for index_id in other.listing[FileKind.INDEX]}
        useful = listed.difference(self._found.shrunk, self._found.broken)
        return {index_id for index_id in useful if not copy.holds(FileKind.INDEX, index_id)}


def index_documents(master: MasterKey, records: Sequence[PackRecord]) -> list[Document]:
    """Return the index files for these packs."""
    return [(FileKind.INDEX, *pack_document(master, fields)) for fields in encode_records(records)]


def snapshot_document(master: MasterKey, fields: dict[str, Any]) -> Document:
    return (FileKind.SNAPSHOTS, *pack_document(master, fields))


def _place(repository: Repository) -> Place:
    return Place(repository.store, repository.prefix)
