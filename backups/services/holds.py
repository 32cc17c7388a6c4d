"""Legal holds: a person says that nothing of a vault, or that one snapshot, may go, and why."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction

from backups.models import Snapshot, Vault
from wedbackup.core.audit import AuditTag, actor_name, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User


def hold_set(held: Vault | Snapshot, reason: str, *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Keep all of a vault, or one snapshot, whatever the policy says, until the hold is lifted.

    A snapshot that was marked as going is marked no more. Raises ValidationError without a reason.
    """
    reason = reason.strip()
    if not reason:
        raise ValidationError("Say why it must be kept, for whoever asks in some years.")
    with transaction.atomic():
        _write(held, reason[:300], actor_name(actor), clock)
        own = {"vault": held} if isinstance(held, Vault) else {"pk": held.pk}
        Snapshot.unscoped.filter(**own).update(expired_at=None)
        _audit(AuditTag.HOLD_SET, held, actor, {"reason": reason}, clock)


def hold_lift(held: Vault | Snapshot, *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Let the policy decide again, with the whole time of grace; False if there was no hold."""
    if not held.hold:
        return False
    with transaction.atomic():
        _audit(AuditTag.HOLD_LIFTED, held, actor, {"reason": held.hold}, clock)
        _write(held, "", "", None)
    return True


def _write(held: Vault | Snapshot, reason: str, by: str, clock: Clock | None) -> None:
    held.hold, held.held_by, held.held_at = reason, by, clock.utcnow() if clock else None
    held.save(update_fields=["hold", "held_by", "held_at"])


def _audit(tag: AuditTag, held: Vault | Snapshot, actor: User | str, detail: dict[str, str], clock: Clock) -> None:
    vault = held if isinstance(held, Vault) else held.vault
    record(
        tag,
        actor=actor,
        subject_type="vault" if held is vault else "snapshot",
        subject_id=held.pk,
        organisation_id=vault.organisation_id,
        detail={"vault": str(vault), **detail},
        clock=clock,
    )
