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

    A copy that is known to be damaged stays so: what was seen now are other files. Only `copy_heal` ends that.
    """
    now = clock.utcnow()
    known = set(copy.confirmations.values_list("snapshot_id", flat=True))
    new = [snapshot for snapshot in snapshots if snapshot.pk not in known]
    SnapshotCopy.objects.bulk_create(
        SnapshotCopy(snapshot=snapshot, copy=copy, proof=str(proof), confirmed_at=now) for snapshot in new
    )
    added = sum(snapshot.stored_bytes for snapshot in new)
    Copy.unscoped.filter(pk=copy.pk).update(stored_bytes=F("stored_bytes") + added)
    undamaged = Copy.unscoped.filter(pk=copy.pk).exclude(state=CopyState.DAMAGED)  # it may be found out meanwhile
    if undamaged.update(state=CopyState.CURRENT, confirmed_at=now, last_error=""):
        if copy.state not in _WHOLE:
            _announce(Tag.COPY_RECOVERED, copy, CopyState.CURRENT, "", clock)
        copy.state = CopyState.CURRENT
    else:
        copy.state = CopyState.DAMAGED


def copy_heal(copy: Copy, *, clock: Clock) -> None:
    """Let a copy be damaged no more, in the caller's transaction: all that was damaged was proved again.

    Whether it is current is another question, for `copy_confirm` to answer.
    """
    healed = Copy.unscoped.filter(pk=copy.pk, state=CopyState.DAMAGED).update(state=CopyState.BEHIND, last_error="")
    if healed:
        _announce(Tag.COPY_RECOVERED, copy, CopyState.BEHIND, "", clock)
        copy.state = CopyState.BEHIND


def copy_degrade(copy: Copy, state: str, reason: str, *, clock: Clock) -> None:
    """Record, in the caller's transaction, that a copy is behind, does not answer or is damaged, and why.

    A copy that is known to be damaged stays so until a repair says otherwise.
    """
    rows = Copy.unscoped.filter(pk=copy.pk)
    if state != CopyState.DAMAGED:
        rows = rows.exclude(state=CopyState.DAMAGED)
    if not rows.update(state=state, last_error=reason[:ERROR_MAX]):
        state = CopyState.DAMAGED
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
