"""Putting a location to the test: every promise of a store, finding by finding in a row that pages can follow.

A location may hold copies only after it passed (`Location.validated_at`).
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

from django.db import transaction

from providers.models import Location, Validation
from providers.services.credentials import PRUNER, credential_in_use
from providers.services.locations import error_text, store_of, store_with
from providers.stores.base import ObjectStore
from providers.stores.errors import StoreError
from providers.validation import Finding, validate_store
from providers.wrappers.stack import wrap_store
from wedbackup.core import audit, events, live
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

STOPPED = "Stopped before its end; start it again."
Hold = Callable[[], AbstractContextManager[None]]


def location_validate(
    location: Location,
    *,
    large: bool = False,
    actor: str = "command line",
    run_id: uuid.UUID | None = None,
    hold: Hold = transaction.atomic,
    clock: Clock = SYSTEM_CLOCK,
) -> Generator[Finding, None, None]:
    """Check every promise of a store against `location`, one by one; afterwards it counts as validated if none broke.

    large:  also what moves more than a few MiB, or thousands of objects.
    run_id: of the row that is written; a run that is begun again under its id starts from nothing.
    hold:   opens the transaction in which the row is written.

    Raises a StoreError if the store cannot even be opened. Whoever closes the iterator half-way leaves the location
    as it was, and nothing in it.
    """
    row = _begin(location, actor, run_id, hold, clock)
    passed: bool | None = None
    try:
        try:
            bare = store_of(location)
        except StoreError as exc:
            row.error, passed = error_text(exc), False
            raise
        kept = True
        store = wrap_store(bare, clock=clock)
        with contextlib.ExitStack() as opened:
            opened.callback(store.close)
            remover = _remover(location, opened)
            findings = validate_store(store, bare=bare, remover=remover, large=large, clock=clock)
            opened.callback(findings.close)
            for finding in findings:
                kept = kept and finding.ok
                _note(row, finding, hold)
                yield finding
        passed = kept
    finally:
        _end(row, passed, hold, clock)
    _conclude(location, row, actor, hold, clock)


def _remover(location: Location, opened: contextlib.ExitStack) -> ObjectStore | None:
    """Open the place by the pruner's own credential, which deletes in daily work; None where there is none.

    What was validated is what will be used: storing is tried with the writer, deleting with whoever will delete.
    """
    pruner = credential_in_use(location, PRUNER)
    if pruner is None or pruner.role != PRUNER:
        return None
    store = wrap_store(store_with(location, pruner))
    opened.callback(store.close)
    return store


def _begin(location: Location, actor: str, run_id: uuid.UUID | None, hold: Hold, clock: Clock) -> Validation:
    begun = {
        "location": location,
        "requested_by": actor,
        "started_at": clock.utcnow(),
        "finished_at": None,
        "passed": None,
        "findings": [],
        "error": "",
    }
    with hold():
        row, _ = Validation.objects.update_or_create(pk=run_id or uuid.uuid4(), defaults=begun)
    _tell(location)
    return row


def _note(row: Validation, finding: Finding, hold: Hold) -> None:
    row.findings.append(
        {
            "promise": finding.promise,
            "state": str(finding.state),
            "detail": finding.detail,
            "seconds": round(finding.seconds, 3),
        }
    )
    with hold():
        row.save(update_fields=["findings"])
    _tell(row.location)


def _end(row: Validation, passed: bool | None, hold: Hold, clock: Clock) -> None:
    row.finished_at, row.passed = clock.utcnow(), passed
    if passed is None:
        row.error = STOPPED
    with hold():
        row.save(update_fields=["finished_at", "passed", "error"])
    _tell(row.location)


def _conclude(location: Location, row: Validation, actor: str, hold: Hold, clock: Clock) -> None:
    """Let the location count as validated, or not any more; in the audit trail and as an event."""
    kept = bool(row.passed)
    location.validated_at = row.finished_at if kept else None
    with hold():
        Location.objects.filter(pk=location.pk).update(validated_at=location.validated_at)
        audit.record(
            audit.AuditTag.LOCATION_VALIDATED,
            actor=actor,
            subject_type="location",
            subject_id=str(location.pk),
            detail={"location": location.name, "all_kept": kept},
            clock=clock,
        )
        events.emit(
            events.Tag.LOCATION_VALIDATED,
            subject_type="location",
            subject_id=location.pk,
            payload={"name": location.name, "all_kept": kept},
            clock=clock,
        )
    _tell(location)


def _tell(location: Location) -> None:
    live.publish(live.PLATFORM, {"type": "location.changed", "location": location.pk})
