"""The audit trail: who did or tried what, append-only, each line holding the hash of the line before it.

The database itself refuses to change or delete a line (see `audit_guard`); the hashes show it when somebody gets round
that. `AuditHead` is the row that serialises the writers, and it remembers how many lines there are, so that lines cut
off at the end are noticed too.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import AuditEntry, AuditHead, User
from wedbackup.core.storable import storable

SYSTEM = "system"  # the actor when no person acted
GENESIS = "0" * 64  # what the first line holds as the hash of the line before it


class AuditTag(StrEnum):
    """Everything that is recorded: "subject.action"."""

    SIGNED_IN = "user.signed_in"
    SIGNED_OUT = "user.signed_out"
    SIGN_IN_FAILED = "user.sign_in_failed"
    ACCESS_REFUSED = "user.access_refused"
    ORGANISATION_CREATED = "organisation.created"
    WEDDING_CREATED = "wedding.created"
    VAULT_CREATED = "vault.created"
    COPY_ADDED = "copy.added"
    VAULT_TRUSTED = "vault.trusted"
    SOURCE_ADDED = "source.added"
    SOURCE_CHANGED = "source.changed"
    SOURCE_REMOVED = "source.removed"
    POLICY_CHANGED = "policy.changed"
    BACKUP_REQUESTED = "backup.requested"
    RECOVERY_REQUESTED = "recovery.requested"
    RECOVERY_FETCHED = "recovery.fetched"
    RECOVERY_KIT_SHOWN = "recovery_kit.shown"
    SNAPSHOTS_FORGOTTEN = "snapshots.forgotten"
    HOLD_SET = "hold.set"
    HOLD_LIFTED = "hold.lifted"
    LOCKS_REMOVED = "locks.removed"
    JOB_CANCELLED = "job.cancelled"
    JOB_RETRIED = "job.retried"
    LOCATION_CREATED = "location.created"
    LOCATION_CHANGED = "location.changed"
    LOCATION_VALIDATED = "location.validated"
    LOCATION_PAUSED = "location.paused"
    LOCATION_RESUMED = "location.resumed"
    TRAFFIC_PAUSED = "traffic.paused"
    TRAFFIC_RESUMED = "traffic.resumed"
    TRAFFIC_CHANGED = "traffic.changed"
    BREAKER_RESET = "breaker.reset"
    CREDENTIAL_SET = "credential.set"
    CREDENTIAL_ENTERED = "credential.entered"
    CREDENTIAL_REFUSED = "credential.refused"
    CREDENTIAL_SWITCHED = "credential.switched"
    CREDENTIAL_RETIRED = "credential.retired"
    DOCUMENTS_SHARED = "documents.shared"
    DOCUMENTS_LINKED = "documents.linked"
    DOCUMENTS_UNLINKED = "documents.unlinked"
    NOTIFICATIONS_OPENED = "location.notifications_opened"
    NOTIFICATION_REFUSED = "location.notification_refused"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_REMOVED = "webhook.removed"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    ADMIN_CHANGED = "admin.changed"


def actor_name(actor: User | str) -> str:
    """Return how a person or a part of the system is named in moves and in the audit trail."""
    return actor.get_username() if isinstance(actor, User) else actor


def record(
    tag: AuditTag,
    *,
    actor: User | str,
    subject_type: str,
    subject_id: object,
    organisation_id: uuid.UUID | None = None,
    detail: Mapping[str, Any] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> AuditEntry:
    """Append one line in the caller's transaction and return it.

    actor:  the person, or the name of the part of the system that acted.
    detail: plain JSON values; never a secret.
    """
    with transaction.atomic():
        AuditHead.objects.get_or_create(pk=1, defaults={"entries": 0, "hash": GENESIS})
        head = AuditHead.objects.select_for_update().get(pk=1)
        entry = AuditEntry(
            at=clock.utcnow(),
            actor=storable(actor_name(actor)),
            tag=tag.value,
            organisation_id=organisation_id,
            subject_type=subject_type,
            subject_id=str(subject_id),
            detail=storable(json.loads(json.dumps(dict(detail or {}), cls=DjangoJSONEncoder))),
            previous_hash=head.hash,
        )
        entry.hash = entry_hash(entry)
        entry.save(force_insert=True)
        head.entries += 1
        head.last_id = entry.pk
        head.hash = entry.hash
        head.save()
    return entry


def entry_hash(entry: AuditEntry) -> str:
    """Return the SHA-256 (hex) over everything in a line, the hash of the line before it included."""
    content = [
        entry.at.isoformat(),
        entry.actor,
        entry.tag,
        str(entry.organisation_id) if entry.organisation_id else None,
        entry.subject_type,
        entry.subject_id,
        entry.detail,
        entry.previous_hash,
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def verify_chain() -> int | None:
    """Return the id of the first line that was changed or follows a missing one, None if the whole trail is intact.

    When lines are missing at the end, the id of the last line that was ever written is returned.
    """
    previous, last_id, count = GENESIS, 0, 0
    for entry in AuditEntry.objects.order_by("id").iterator():
        if entry.previous_hash != previous or entry.hash != entry_hash(entry):
            return entry.pk
        previous, last_id, count = entry.hash, entry.pk, count + 1
    head = AuditHead.objects.filter(pk=1).first()
    if head is None:
        return last_id if count else None
    return None if (head.entries, head.hash) == (count, previous) else head.last_id
