"""The state of a copy on its row: current, behind, not answering, damaged. Each change writes its event."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F

from backups.models import Copy, Snapshot, SnapshotCopy
from backups.states import CopyState
from wedbackup.core.clock import Clock
from wedbackup.core.events import Tag, emit

ERROR_MAX = 300  # length of the column
_WHOLE = frozenset({CopyState.CURRENT, CopyState.EMPTY})


def copy_confirm(copy: Copy, snapshots: Sequence[Snapshot], *, proof: str, clock: Clock) -> None:
    """Record, in the caller's transaction, that a copy holds these snapshots completely, the newest one among them.

    proof: how the bytes were confirmed, a `providers.stores.base.Proof`.
    """
    now = clock.utcnow()
    known = set(copy.confirmations.values_list("snapshot_id", flat=True))
    new = [snapshot for snapshot in snapshots if snapshot.pk not in known]
    SnapshotCopy.objects.bulk_create(
        SnapshotCopy(snapshot=snapshot, copy=copy, proof=str(proof), confirmed_at=now) for snapshot in new
    )
    if copy.state not in _WHOLE:
        _announce(Tag.COPY_RECOVERED, copy, CopyState.CURRENT, "", clock)
    added = sum(snapshot.stored_bytes for snapshot in new)
    Copy.unscoped.filter(pk=copy.pk).update(
        state=CopyState.CURRENT, confirmed_at=now, stored_bytes=F("stored_bytes") + added, last_error=""
    )
    copy.state = CopyState.CURRENT


def copy_degrade(copy: Copy, state: str, reason: str, *, clock: Clock) -> None:
    """Record, in the caller's transaction, that a copy is behind, does not answer or is damaged, and why.

    A copy that is known to be damaged stays so until a repair says otherwise.
    """
    if copy.state == CopyState.DAMAGED:
        state = CopyState.DAMAGED
    Copy.unscoped.filter(pk=copy.pk).update(state=state, last_error=reason[:ERROR_MAX])
    if copy.state != state:
        _announce(Tag.COPY_DEGRADED, copy, state, reason, clock)
        copy.state = state


def _announce(tag: Tag, copy: Copy, state: str, reason: str, clock: Clock) -> None:
    emit(
        tag,
        subject_type="copy",
        subject_id=copy.pk,
        organisation_id=copy.vault.organisation_id,
        payload={
            "vault": str(copy.vault_id),
            "vault_name": str(copy.vault),
            "wedding": str(copy.vault.wedding_id or ""),
            "location": str(copy.location_id),
            "location_name": copy.location.name,
            "state": str(state),
            "reason": reason,
        },
        clock=clock,
    )
