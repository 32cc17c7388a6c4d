"""Events: what happened, written in the transaction in which it happened, read in order by monitoring.

An event row is the outbox: it exists exactly when the change that it reports was committed. Providers and backups
write events and know nothing of who reads them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.logs import integration_event
from wedbackup.core.models import Event


class Tag(StrEnum):
    """Everything that can be reported: "subject.action". Rules and templates read the same list."""

    JOB_MOVED = "job.moved"
    SNAPSHOT_ACKNOWLEDGED = "snapshot.acknowledged"
    SNAPSHOT_SUSPICIOUS = "snapshot.suspicious"
    COPY_DEGRADED = "copy.degraded"
    COPY_RECOVERED = "copy.recovered"
    VAULT_OVERDUE = "vault.overdue"
    VAULT_ON_TIME = "vault.on_time"
    RECOVERY_FINISHED = "recovery.finished"
    LOCATION_DOWN = "location.down"
    LOCATION_RECOVERED = "location.recovered"
    LOCATION_VALIDATED = "location.validated"
    LOCATION_PAUSED = "location.paused"
    LOCATION_RESUMED = "location.resumed"
    LOCATION_FILLING = "location.filling"
    LOCATION_FULL = "location.full"
    LOCATION_ROOMY = "location.roomy"
    TRAFFIC_PAUSED = "traffic.paused"
    TRAFFIC_RESUMED = "traffic.resumed"
    CREDENTIAL_ENTERED = "credential.entered"
    CREDENTIAL_CHANGED = "credential.changed"
    CREDENTIAL_REFUSED = "credential.refused"
    CREDENTIAL_RETIRED = "credential.retired"
    OBJECTS_CHANGED = "location.objects_changed"
    WEBHOOK_FAILING = "webhook.failing"
    WEBHOOK_RECOVERED = "webhook.recovered"
    ALERT_RAISED = "alert.raised"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    ALERT_RESOLVED = "alert.resolved"


_INTEGRATION = {"location", "credential", "traffic", "webhook"}


def emit(
    tag: Tag,
    *,
    subject_type: str,
    subject_id: object,
    organisation_id: uuid.UUID | None = None,
    payload: Mapping[str, Any] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Event:
    """Write one event in the caller's transaction and return it.

    subject_type, subject_id: what it is about, e.g. "job" and the job's id.
    organisation_id:          the tenant it concerns, None for the platform itself.
    payload:                  plain JSON values for rules and templates; never a secret.

    What concerns a provider is a line in the log as well, once it is committed.
    """
    if tag.partition(".")[0] in _INTEGRATION:
        fields = {"subject": str(subject_id), **(payload or {})}
        transaction.on_commit(lambda: integration_event(tag.value, detail=fields))
    return Event.objects.create(
        tag=tag.value,
        at=clock.utcnow(),
        organisation_id=organisation_id,
        subject_type=subject_type,
        subject_id=str(subject_id),
        payload=dict(payload or {}),
    )


def events_after(last_id: int, *, limit: int = 500) -> list[Event]:
    """Return up to `limit` events with an id above `last_id`, oldest first, none of which can be overtaken.

    PostgreSQL hands out ids before the commit: a reader that trusted the highest id it sees would skip an event whose
    transaction commits a moment later. So the end of what may be read is found while no writer is under way.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {Event._meta.db_table} IN SHARE MODE")
        newest = Event.objects.aggregate(newest=Max("id"))["newest"] or 0
    return list(Event.objects.filter(id__gt=last_id, id__lte=newest).order_by("id")[:limit])
