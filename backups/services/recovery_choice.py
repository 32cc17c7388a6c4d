"""Which state of a vault comes back, and what is not proved about it.

The newest that looked right and is whole at a place that can be read; else the next best. Whoever recovers does not ask
for proof first: what exists is offered, and what is not known about it is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice

from django.db.models import QuerySet

from backups.models import Copy, Snapshot, Vault
from backups.policy.redundancy import Place, judge
from backups.services.acknowledgement import place_of
from backups.services.opening import copies_of
from backups.states import CopyState
from providers.services.online import answers_at_once

CANDIDATES = 4  # states that a recovery tries before it gives a vault up
THAW_FIRST = "it must be thawed first, which takes hours"
_WHOLE = frozenset({CopyState.CURRENT, CopyState.BEHIND})


@dataclass(frozen=True, slots=True)
class Choice:
    """What is offered of one vault.

    snapshot: None when nothing of it was ever stored.
    remark:   what is not proved about that state, in one or two sentences; "" when nothing is in doubt.
    """

    vault: Vault
    snapshot: Snapshot | None
    remark: str


def recovery_choice(vault: Vault, picked: Snapshot | None = None) -> Choice:
    """Choose the state of `vault` to recover: `picked` by a person, or the best there is."""
    snapshot = picked or snapshot_to_recover(vault)
    return Choice(vault, snapshot, "" if snapshot is None else snapshot_remark(snapshot))


def snapshot_to_recover(vault: Vault) -> Snapshot | None:
    """Return the newest state that looked right and is whole somewhere, else the next best; None if there is none."""
    return next(iter(snapshots_to_try(vault)), None)


def snapshots_to_try(vault: Vault) -> list[Snapshot]:
    """Return up to CANDIDATES states, the best first: looking right and whole somewhere, held somewhere, the others."""
    rows = Snapshot.unscoped.filter(vault=vault)
    whole = rows.filter(confirmations__copy__in=[copy for copy in copies_of(vault) if _is_whole(copy)])
    held = rows.filter(confirmations__isnull=False)
    ways: list[QuerySet[Snapshot]] = [whole.filter(suspicion=""), held.filter(suspicion=""), whole, held, rows]
    found = chain.from_iterable(way.distinct()[:CANDIDATES] for way in ways)
    return list(islice(dict.fromkeys(found), CANDIDATES))


def snapshot_remark(snapshot: Snapshot) -> str:
    """Say in one or two sentences what is not proved about a state; "" when nothing is in doubt."""
    confirmed = snapshot.confirmations.select_related("copy__location")
    copies = [confirmation.copy for confirmation in confirmed]
    sentences = [_of_places(snapshot, copies), _of_looks(snapshot), _of_newer(snapshot)]
    return " ".join(filter(None, sentences))


def _is_whole(copy: Copy) -> bool:
    return copy.state in _WHOLE and copy.location.enabled and answers_at_once(copy.location)


def _of_places(snapshot: Snapshot, copies: list[Copy]) -> str:
    whole = [copy for copy in copies if _is_whole(copy)]
    if whole:
        return "" if snapshot.acknowledged_at is not None else _too_few([place_of(copy.location) for copy in whole])
    frozen = [copy for copy in copies if copy.state in _WHOLE and not answers_at_once(copy.location)]
    if frozen:
        return f"It lies in an archive class at {_names(frozen)}: {THAW_FIRST}."
    damaged = [copy for copy in copies if copy.state == CopyState.DAMAGED]
    if damaged:
        return f"Damage is known at {_names(damaged)}: what can be read there comes back."
    return "No place that holds it answers at the moment." if copies else "No place is known to hold it whole."


def _too_few(places: list[Place]) -> str:
    found = judge(places)
    if len(places) == 1:
        return "It is in one place only."
    if found.domains == 1:
        return f"It is in {len(places)} places {'on one disk' if places[0].medium else 'in one account and region'}."
    return f"It is in {len(places)} places, fewer than were asked for."


def _of_looks(snapshot: Snapshot) -> str:
    return f"It looks wrong: {snapshot.suspicion.rstrip('.')}." if snapshot.suspicion else ""


def _of_newer(snapshot: Snapshot) -> str:
    newest = Snapshot.unscoped.filter(vault_id=snapshot.vault_id).first()
    if newest is None or newest.number <= snapshot.number:
        return ""
    of_then = f"A newer state, of {moment(newest)},"
    if newest.suspicion:
        return f"{of_then} looks wrong: {newest.suspicion.rstrip('.')}."
    return f"{of_then} is there as well."


def moment(snapshot: Snapshot) -> str:
    """Return when a state was taken, in words."""
    return f"{snapshot.taken_at:%d %B %Y, %H:%M} UTC"


def _names(copies: Iterable[Copy]) -> str:
    return ", ".join(sorted(copy.location.name for copy in copies))
