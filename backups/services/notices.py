"""Judges what providers told: did we remove that object ourselves, or did somebody else?

A copy whose objects vanish by another hand is checked at once, which also repairs it from the other copies.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from backups.models import Copy, Job
from backups.services.checks import check_request
from backups.services.damage import objects_announce
from providers.models import Notification
from providers.notices import Happened
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

AROUND = timedelta(minutes=5)  # between our call, the provider's clock and what it tells
BATCH = 1000
_OF_A_VAULT = {"data", "index", "snapshots", "keys", "config"}  # locks come and go by themselves


def notices_judge(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Judge every notification that nobody has judged yet; return the checks that were queued."""
    unjudged = list(Notification.objects.filter(judged_at=None).select_related("location")[:BATCH])
    removed: dict[tuple[uuid.UUID, uuid.UUID], list[Notification]] = defaultdict(list)
    for notification in unjudged:
        vault_id = _vault_of(notification)
        if vault_id is not None and notification.happened == Happened.REMOVED and not _ours(notification, vault_id):
            removed[(vault_id, notification.location_id)].append(notification)
    jobs: list[Job] = []
    with transaction.atomic():
        for (vault_id, location_id), notifications in removed.items():
            jobs += _raise(vault_id, location_id, notifications, clock)
        Notification.objects.filter(pk__in=[each.pk for each in unjudged]).update(judged_at=clock.utcnow())
    return jobs


def _vault_of(notification: Notification) -> uuid.UUID | None:
    """Return the vault whose file the notification is about; None for probes, locks and what is not ours."""
    prefix = str(notification.location.options.get("prefix") or "").strip("/")
    name = notification.object_name
    if prefix:
        if not name.startswith(f"{prefix}/"):
            return None
        name = name.removeprefix(f"{prefix}/")
    vault, _, rest = name.partition("/")
    if rest.partition("/")[0] not in _OF_A_VAULT:
        return None
    try:
        return uuid.UUID(vault)
    except ValueError:
        return None


def _ours(notification: Notification, vault_id: uuid.UUID) -> bool:
    """Say whether a job of the vault was at work when it happened: prunes, repairs and forgetting remove files."""
    at = notification.sent_at or notification.received_at
    return (
        Job.unscoped.filter(vault=vault_id, started_at__lte=at + AROUND)
        .filter(Q(finished_at=None) | Q(finished_at__gte=at - AROUND))
        .exists()
    )


def _raise(
    vault_id: uuid.UUID, location_id: uuid.UUID, notifications: Sequence[Notification], clock: Clock
) -> list[Job]:
    copies = list(
        Copy.unscoped.filter(vault=vault_id, location=location_id).select_related(
            "location", "vault__organisation", "vault__wedding"
        )
    )
    if not copies:
        return []
    objects_announce(copies[0], [each.object_name for each in notifications], clock=clock)
    return check_request(copies, read_data=False, clock=clock)
