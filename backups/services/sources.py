"""Source folders of a vault: their patterns changed, or taken out, by a person."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import transaction

from backups.engine.backup.excludes import pattern_fault
from backups.models import Source
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User


def patterns_check(patterns: Sequence[str]) -> None:
    """Raise ValidationError, with a sentence for each pattern that cannot be used."""
    faults = [fault for pattern in patterns if (fault := pattern_fault(pattern))]
    if faults:
        raise ValidationError(faults)


def source_change(source: Source, excludes: Sequence[str], *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Let other patterns leave out files of `source` from the next backup on. Raises ValidationError."""
    patterns_check(excludes)
    before = list(source.excludes)
    if before == list(excludes):
        return
    with transaction.atomic():
        source.excludes = list(excludes)
        source.save(update_fields=["excludes"])
        _audit(AuditTag.SOURCE_CHANGED, source, actor, clock, before=before)


def source_remove(source: Source, *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Back this folder up no more. What snapshots hold of it stays as long as they do."""
    with transaction.atomic():
        _audit(AuditTag.SOURCE_REMOVED, source, actor, clock)
        source.delete()


def _audit(tag: AuditTag, source: Source, actor: User | str, clock: Clock, **detail: object) -> None:
    vault = source.vault
    record(
        tag,
        actor=actor,
        subject_type="vault",
        subject_id=vault.pk,
        organisation_id=vault.organisation_id,
        detail={"vault": str(vault), "path": source.path, "excludes": list(source.excludes), **detail},
        clock=clock,
    )
