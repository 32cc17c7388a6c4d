"""Opens a vault for whoever needs its files now: every copy that can be had, the likeliest first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from backups.engine.errors import EngineError
from backups.engine.format.snapshot import Snapshot as VaultSnapshot
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Place
from backups.models import Copy, Snapshot, Vault
from backups.services.damage import damage_met
from backups.services.opening import OpenCopies, copies_of, copies_open
from backups.services.vaults import vault_master
from backups.states import CopyState
from providers.services.locations import RECOVERY
from providers.services.online import answers_at_once
from wedbackup.core.clock import SYSTEM_CLOCK, Clock


class NothingOpens(EngineError):
    """No copy of the vault can be opened, whichever state is wanted."""

    advice = "Check the locations; when one of them answers, try again."


class VaultOnHand:
    """A vault opened from its copies, with its index and the list of its snapshots."""

    def __init__(self, reader: VaultReader) -> None:
        """Raises StoreError if no copy answers."""
        self.reader = reader
        self._stored = {stored.snapshot_id: stored for stored in reader.snapshots()}
        reader.load_index()

    def find(self, snapshot: Snapshot) -> VaultSnapshot:
        """Return the snapshot as the vault has it. Raises EngineError when no copy gives it."""
        found = self._stored.get(snapshot.restic_id)
        if found is None:
            reasons = "; ".join(f"{problem.label}: {problem.reason}" for problem in self.reader.problems[:3])
            raise EngineError(f"its snapshot is readable in no copy ({reasons or 'it is listed nowhere'})")
        return found


@contextlib.contextmanager
def vault_on_hand(vault: Vault, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[VaultOnHand]:
    """Open the copies of a vault, the healthiest first.

    What is found damaged until the end is noted, and a check of that copy is queued.
    Raises VaultSealed, StoreError, NothingOpens.
    """
    with copies_open(healthiest_first(copies_of(vault)), purpose=RECOVERY, clock=clock) as opened:
        reader = _reader(vault, opened)
        try:
            yield VaultOnHand(reader)
        finally:
            damage_met(opened.copies.values(), reader.problems, clock=clock)


@contextlib.contextmanager
def open_for_recovery(
    snapshot: Snapshot, *, clock: Clock = SYSTEM_CLOCK
) -> Iterator[tuple[VaultReader, VaultSnapshot]]:
    """Open a snapshot's vault and find the snapshot in it. Raises as `vault_on_hand` and `VaultOnHand.find` do."""
    with vault_on_hand(snapshot.vault, clock=clock) as vault:
        yield vault.reader, vault.find(snapshot)


def healthiest_first(copies: Sequence[Copy]) -> list[Copy]:
    """Order copies by how likely and how soon they answer.

    Archives that must be thawed come last; whole before behind, answering before silent, fast before slow.
    """

    def rank(copy: Copy) -> tuple[bool, bool, bool, float]:
        location = copy.location
        latency = location.last_latency_ms if location.last_latency_ms is not None else float("inf")
        silent = location.breaker != location.Breaker.CLOSED
        return (not answers_at_once(location), copy.state != CopyState.CURRENT, silent, latency)

    return sorted(copies, key=rank)


def _reader(vault: Vault, opened: OpenCopies) -> VaultReader:
    if not opened.stores:
        reasons = "; ".join(f"{opened.copies[key].location.name}: {exc}" for key, exc in opened.errors.items())
        raise NothingOpens(f"no copy can be opened ({reasons})")
    places = {opened.copies[key].location.name: Place(store, vault.prefix) for key, store in opened.stores.items()}
    return VaultReader(places, vault_master(vault))
