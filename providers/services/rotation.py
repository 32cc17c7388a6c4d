"""A new credential takes over from an old one while transfers run.

    entered -> proved -> current                     the new one
                         current -> draining -> retired     the old one

What has been entered is a row, and `rotations_continue`, called with each tick, takes it further: so a process may die
between any two steps. The old credential stays in use, untouched, until the new one was proved and has taken over; then
it drains: jobs that began before the switch may still hold it in their processes. Only when the last of them has ended
is it retired, and may be deleted at the provider.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from providers.models import Credential, Location
from providers.services.credential_proof import prove
from providers.services.credentials import (
    WRITER,
    announce,
    audit_credential,
    check_secrets,
    credential_enter,
    has_credential,
    secrets_in,
    switch,
)
from providers.stores.errors import Rejected, StoreError
from providers.stores.options import InvalidOptions
from wedbackup.core import audit, events
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.sealing import SealingError

log = logging.getLogger(__name__)

UNFINISHED_FOR = timedelta(hours=1)  # what could not be proved by then is refused
CALLS_END = timedelta(minutes=1)  # calls outside any job (probes, pages) are over by then
REPORT_CHARACTERS = 500
SYSTEM = "rotation"
State = Credential.State
UNDER_WAY = (State.ENTERED, State.PROVED)


class RotationRefused(Rejected):
    """A new credential cannot be entered now."""

    advice = "Wait for the outcome on the location's page, then enter it again if it is still needed."


class LeftAlone(RotationRefused):
    advice = "Nothing can be proved while it does not answer. Enter the credential when the location answers again."


def rotation_begin(
    location: Location, secrets: Mapping[str, str], *, role: str = WRITER, actor: str, clock: Clock = SYSTEM_CLOCK
) -> Credential:
    """Take a new credential in; it is proved and takes over within the next ticks. Nothing is connected here.

    secrets: all secret options, by name, and what changes with them.
    actor:   who entered them, for the audit trail.

    Raises InvalidOptions when they make no sense, RotationRefused while another one is being proved or the location is
    left alone by its breaker, SealingError.
    """
    if not has_credential(location.kind):
        raise InvalidOptions(f"{location.name} needs no credential")
    check_secrets(location.kind, location.options, secrets)
    with transaction.atomic():
        locked = Location.objects.select_for_update().get(pk=location.pk)
        if locked.breaker != Location.Breaker.CLOSED:
            raise LeftAlone(f"{location.name} does not answer and is being left alone")
        other = location.credentials.filter(role=role, state__in=UNDER_WAY).first()
        if other is not None:
            raise RotationRefused(f"{other.entered_by} has entered version {other.version}, which is being proved")
        credential = credential_enter(location, secrets, actor=actor, role=role, clock=clock)
        audit_credential(audit.AuditTag.CREDENTIAL_ENTERED, credential, actor, clock)
        announce(events.Tag.CREDENTIAL_ENTERED, credential, clock)
    return credential


def rotations_continue(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Prove what was entered, let take over what was proved; return how many credentials took over."""
    under_way = Credential.objects.filter(state__in=UNDER_WAY).select_related("location")
    return sum(rotation_continue(credential, clock=clock) for credential in under_way)


def rotation_continue(credential: Credential, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Take one rotation as far as it goes now; say whether the new credential took over by this call.

    Of several that do this at once, one moves the row.
    """
    if clock.utcnow() - credential.created_at > UNFINISHED_FOR:
        _refuse(credential, "It was not proved within an hour. Is the scheduler running? Enter it again.", clock)
        return False
    if credential.state == State.ENTERED and not _proved(credential, clock):
        return False
    with transaction.atomic():
        took_over = switch(credential, clock)
        if took_over:
            audit_credential(audit.AuditTag.CREDENTIAL_SWITCHED, credential, SYSTEM, clock)
    return took_over


def credentials_retire(oldest_running_started_at: datetime | None, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Retire the draining credentials that nobody can hold any more; return how many.

    oldest_running_started_at: when the running job that began first did so; None if none is running. A job may hold
                               every credential that was in use when it began or later.
    """
    unheld = Q(switched_at__lte=clock.utcnow() - CALLS_END)
    if oldest_running_started_at is not None:
        unheld &= Q(switched_at__lt=oldest_running_started_at)
    retired = 0
    for credential in Credential.objects.filter(unheld, state=State.DRAINING).select_related("location"):
        with transaction.atomic():
            if not _move(credential, State.DRAINING, State.RETIRED, retired_at=clock.utcnow()):
                continue
            audit_credential(audit.AuditTag.CREDENTIAL_RETIRED, credential, SYSTEM, clock)
            announce(events.Tag.CREDENTIAL_RETIRED, credential, clock)
            retired += 1
    return retired


def _proved(credential: Credential, clock: Clock) -> bool:
    """Prove an entered credential and note the outcome; say whether it is proved by us."""
    try:
        report = prove(credential, clock)
    except StoreError as error:
        _refuse(credential, f"{error}. {error.advice}", clock)
        return False
    except Exception as error:  # a bug in a store must not leave a credential in doubt for ever
        log.exception("the proof of %s failed by itself", credential)
        _refuse(credential, f"The proof itself failed ({type(error).__name__}). Tell the makers; see the log.", clock)
        return False
    credential.proved_at = clock.utcnow()
    fields = {"proved_at": credential.proved_at, "report": report[:REPORT_CHARACTERS]}
    return _move(credential, State.ENTERED, State.PROVED, **fields)


def _refuse(credential: Credential, report: str, clock: Clock) -> None:
    """Give a credential up; the one in use stays in use."""
    report = _without_secrets(report, credential)[:REPORT_CHARACTERS]
    with transaction.atomic():
        if _move(credential, credential.state, State.REFUSED, report=report):
            audit_credential(audit.AuditTag.CREDENTIAL_REFUSED, credential, SYSTEM, clock, report=report)
            announce(events.Tag.CREDENTIAL_REFUSED, credential, clock, reason=report)


def _move(credential: Credential, old: str, new: str, **fields: object) -> bool:
    """Move a row by compare-and-set; say whether it was us."""
    moved = Credential.objects.filter(pk=credential.pk, state=old).update(state=new, **fields)
    if moved:
        credential.state = new
    return bool(moved)


def _without_secrets(text: str, credential: Credential) -> str:
    """Some providers repeat in their refusals what they were given."""
    try:
        secrets = secrets_in(credential)
    except SealingError:
        return text
    for value in secrets.values():
        text = text.replace(str(value), "[removed]")
    return text
