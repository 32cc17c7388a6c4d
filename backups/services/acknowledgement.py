"""When a snapshot may be called safe: enough complete copies, in enough places that are not lost together."""

from __future__ import annotations

from dataclasses import dataclass

from backups.models import Policy, Snapshot
from backups.policy.redundancy import DOMAINS_ASKED, Place, Redundancy, judge
from backups.states import CopyState
from providers.models import Location
from providers.registry import kind_named
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.events import Tag, emit


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What was found. acknowledged: the rule holds. redundancy: the judgement of the places by the 3-2-1 rule."""

    acknowledged: bool
    redundancy: Redundancy


def snapshot_acknowledge(snapshot: Snapshot, *, clock: Clock = SYSTEM_CLOCK) -> Acknowledgement:
    """Acknowledge `snapshot` if its confirmed copies satisfy its vault's policy; this is never taken back.

    A confirmation row stands for config, key, index, packs and snapshot file at that place, each proved; that of a copy
    in which damage is known counts for nothing. Call it in the transaction that wrote the confirmations; repeating it
    is harmless.
    """
    policy = snapshot.vault.policy
    proved = snapshot.confirmations.exclude(copy__state=CopyState.DAMAGED).select_related("copy__location")
    locations = [confirmation.copy.location for confirmation in proved]
    redundancy = judge([place_of(location) for location in locations])
    enough = redundancy.copies >= policy.copies_needed and redundancy.domains >= domains_needed(policy)
    if enough and snapshot.acknowledged_at is None:
        now = clock.utcnow()
        Snapshot.unscoped.filter(pk=snapshot.pk, acknowledged_at=None).update(acknowledged_at=now)
        snapshot.acknowledged_at = now
        emit(
            Tag.SNAPSHOT_ACKNOWLEDGED,
            subject_type="snapshot",
            subject_id=snapshot.pk,
            organisation_id=snapshot.vault.organisation_id,
            payload={
                "vault": str(snapshot.vault_id),
                "vault_name": str(snapshot.vault),
                "wedding": str(snapshot.vault.wedding_id or ""),
                "copies": redundancy.copies,
                "failure_domains": redundancy.domains,
            },
            clock=clock,
        )
    return Acknowledgement(enough, redundancy)


def domains_needed(policy: Policy) -> int:
    """How many failure domains: a policy may ask for more than two, never for fewer; one loss would take all copies."""
    return max(policy.failure_domains_needed, DOMAINS_ASKED)


def place_of(location: Location) -> Place:
    """Return what the redundancy judgement needs to know of a location."""
    account, region, medium = location.failure_domain
    return Place(location.name, account, region, medium, countable=_countable(location))


def _countable(location: Location) -> bool:
    """Whether the provider can prove what it holds, and gives it back within the promises: archive classes do not."""
    store_class = kind_named(location.kind).store_class()
    return bool(store_class.capabilities.countable) and store_class.reads_at_once(location.options)
