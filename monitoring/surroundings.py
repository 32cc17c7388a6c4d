"""What a rule has to know around an event: which wedding, in words, and whether it is near. Few queries per event."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from backups.models import Job, Vault, Wedding
from backups.policy.priority import Priority, priority_at
from monitoring.rules import Occurrence
from wedbackup.core.models import Event

NEAR = timedelta(days=8)  # a day more than a critical wedding's, for the zones' sake
_URGENT = frozenset({Priority.WEDDING_DAY, Priority.CRITICAL})


def is_urgent(wedding: Wedding | None, now: datetime) -> bool:
    """Say whether the wedding takes place within a week or did so within the last."""
    return wedding is not None and priority_at(wedding.date, wedding.zone, now) in _URGENT


def urgent_at_location(location_id: Any, now: datetime) -> bool:
    """Say whether a wedding within a week has copies at a location."""
    near = Wedding.unscoped.filter(
        vaults__copies__location=location_id, date__range=(now.date() - NEAR, now.date() + NEAR)
    ).distinct()
    return any(is_urgent(wedding, now) for wedding in near)


def occurrence_of(event: Event, now: datetime) -> Occurrence:
    """Return `event` as the rules take it."""
    about, urgent = "", False
    if event.payload.get("vault"):
        about, urgent = _vault_in_words(event.payload["vault"], now)
    elif event.subject_type == "location":
        urgent = urgent_at_location(event.subject_id, now)
    elif event.subject_type == "job":
        about, urgent = _job_in_words(event.subject_id, now)
    return Occurrence(
        tag=event.tag,
        subject_id=event.subject_id,
        payload=event.payload,
        organisation_id=event.organisation_id,
        about=about,
        urgent=urgent,
    )


def _vault_in_words(vault_id: str, now: datetime) -> tuple[str, bool]:
    vault = Vault.unscoped.select_related("wedding", "organisation").filter(pk=UUID(vault_id)).first()
    return (str(vault), is_urgent(vault.wedding, now)) if vault else ("a vault that is gone", False)


def _job_in_words(job_id: str, now: datetime) -> tuple[str, bool]:
    job = Job.unscoped.select_related("wedding", "organisation").filter(pk=UUID(job_id)).first()
    if job is None:
        return "a job that is gone", False
    return job.subject, is_urgent(job.wedding, now)
