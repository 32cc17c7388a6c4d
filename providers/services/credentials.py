"""What opens a location: its secrets and what changes with them. Sealed when they come in, opened for the store only.

Nothing here hands a secret to a page, a log or a message. There are two roles: the writer does the daily work, and the
pruner, where one was entered, deletes. A new version is proved before it is used (`providers.services.rotation`);
`credential_set` is for the first one, and for the emergency in which nothing can be proved.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from providers import registry
from providers.models import Credential, Location
from providers.stores.options import InvalidOptions, build_options, credential_fields, is_required, secret_names
from wedbackup.core import audit, events, live, logs, sealing
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

CREDENTIAL_AGE_MAX = timedelta(days=90)
CREDENTIAL_AGE_NOTICE = timedelta(days=80)

WRITER, PRUNER = Credential.Role.WRITER, Credential.Role.PRUNER
State = Credential.State


def credential_set(
    location: Location,
    secrets: Mapping[str, str],
    *,
    actor: str,
    role: str = WRITER,
    clock: Clock = SYSTEM_CLOCK,
) -> Credential:
    """Seal `secrets` and use them from now on, unproved; running transfers keep the version that they began with.

    secrets: the secret options of the location's kind, by name, and what changes with them (see `option`).
    actor:   who entered them, for the audit trail.

    Raises InvalidOptions when a name is no such option of this kind, one is missing, or they make no sense together;
    SealingError when the key file cannot be used.
    """
    check_secrets(location.kind, location.options, secrets)
    sealed = _seal(location, secrets)
    with transaction.atomic():
        credential = _add(location, sealed, role, State.PROVED, actor, clock)
        audit_credential(audit.AuditTag.CREDENTIAL_SET, credential, actor, clock)
        switch(credential, clock)
    return credential


def credential_enter(
    location: Location, secrets: Mapping[str, str], *, actor: str, role: str, clock: Clock
) -> Credential:
    """Seal `secrets` as the newest version of `role`, entered and not used yet. To be called in a transaction that has
    locked the location's row; `secrets` have been checked by `check_secrets`.
    """
    return _add(location, _seal(location, secrets), role, State.ENTERED, actor, clock)


def check_secrets(kind: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Raise InvalidOptions, in words that repeat no value, unless `secrets` complete the options of this kind."""
    described = registry.options_class(kind)
    fields = {field.name: field for field in credential_fields(described)}
    if unknown := sorted(set(secrets) - set(fields)):
        raise InvalidOptions(f"{', '.join(unknown)}: no secret option of this kind of location")
    secret = secret_names(described)
    required = {name for name, field in fields.items() if name in secret and is_required(field)}
    if missing := sorted(name for name in required if not secrets.get(name)):
        raise InvalidOptions(f"missing secret: {', '.join(missing)}")
    build_options(described, {**options, **given(secrets)})


def given(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return those of `secrets` that are not empty."""
    return {name: value for name, value in secrets.items() if value}


def switch(credential: Credential, clock: Clock) -> bool:
    """Make a proved credential the one in use and let the one before drain; False if somebody else did it already.

    What is not secret of it is written into the location's options, where people see which key is in use.
    """
    with transaction.atomic():
        location = Location.objects.select_for_update().get(pk=credential.location_id)
        same_role = location.credentials.filter(role=credential.role)
        if not same_role.filter(pk=credential.pk, state=State.PROVED).exists():
            return False
        same_role.filter(state=State.CURRENT).update(state=State.DRAINING, switched_at=clock.utcnow())
        same_role.filter(pk=credential.pk).update(state=State.CURRENT)
        credential.state = State.CURRENT
        if credential.role == WRITER and (shown := shown_parts(credential)):
            location.options |= shown
            location.save(update_fields=["options"])
            credential.location.options = location.options
        announce(events.Tag.CREDENTIAL_CHANGED, credential, clock)
    return True


def shown_parts(credential: Credential) -> dict[str, Any]:
    """Return what is not secret of a credential: a key's id, a user's name. Raises SealingError."""
    secret = secret_names(registry.options_class(credential.location.kind))
    return {name: value for name, value in secrets_in(credential).items() if name not in secret}


def parts_among(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a location's `options` changes with its secrets, such as a key's id."""
    names = [field.name for field in credential_fields(registry.options_class(kind))]
    return {name: options[name] for name in names if name in options}


def credential_in_use(location: Location, role: str = WRITER) -> Credential | None:
    """Return the credential for `role`; the writer's where there is no pruner; None if there is none at all."""
    current = location.credentials.filter(state=State.CURRENT)
    found = {credential.role: credential for credential in current}
    return found.get(role) or found.get(WRITER)


def secrets_of(location: Location, role: str = WRITER) -> dict[str, Any]:
    """Return the options of `location` that are in its credential, for opening its store.

    Raises SealingError when the credential does not open, InvalidOptions when one is needed and none was entered yet.
    """
    return secrets_for(location, credential_in_use(location, role))


def secrets_for(location: Location, credential: Credential | None) -> dict[str, Any]:
    """Return what is in `credential`; without one an empty dict if the location's kind can do without.

    Raises SealingError and InvalidOptions.
    """
    if credential is not None:
        return secrets_in(credential)
    described = registry.options_class(location.kind)
    secret = secret_names(described)
    if any(is_required(field) for field in credential_fields(described) if field.name in secret):
        raise InvalidOptions(f"{location.name} has no credential yet")
    return {}


def secrets_in(credential: Credential) -> dict[str, Any]:
    """Return what was entered as this version; raises SealingError."""
    secrets: dict[str, Any] = json.loads(sealing.unseal(credential.sealed, purpose=_purpose(credential.location_id)))
    for value in secrets.values():
        logs.remember_secret(value)  # from here on it may be in anybody's error message
    return secrets


def has_credential(kind: str) -> bool:
    """Say whether a location of this kind is opened by a credential at all; folders are not."""
    return bool(credential_fields(registry.options_class(kind)))


def due_at(credential: Credential) -> datetime:
    """Return when this credential should have been replaced."""
    return credential.created_at + CREDENTIAL_AGE_MAX


def age_words(credential: Credential, now: datetime) -> str:
    """Return how old a credential is and when it should be replaced, in words."""
    days = (now - credential.created_at).days
    left = math.ceil((due_at(credential) - now) / timedelta(days=1))
    old = "entered today" if days == 0 else f"{days} {'day' if days == 1 else 'days'} old"
    if left > 0:
        return f"{old}, to be replaced within {left} {'day' if left == 1 else 'days'}"
    return f"{old} and should have been replaced after {CREDENTIAL_AGE_MAX.days} days"


def audit_credential(tag: audit.AuditTag, credential: Credential, actor: str, clock: Clock, **more: Any) -> None:
    """Write a line about `credential` into the audit trail."""
    detail = {"location": credential.location.name, "version": credential.version, **more}
    if credential.role != WRITER:
        detail["role"] = str(credential.role)
    audit.record(
        tag, actor=actor, subject_type="location", subject_id=str(credential.location_id), detail=detail, clock=clock
    )


def announce(tag: events.Tag, credential: Credential, clock: Clock, **more: Any) -> None:
    """Write an event about `credential`, and tell the open pages after the commit."""
    location = credential.location
    events.emit(
        tag,
        subject_type="location",
        subject_id=location.pk,
        payload={"name": location.name, "version": credential.version, "role": str(credential.role), **more},
        clock=clock,
    )
    message = {"type": "location.changed", "location": location.pk}
    transaction.on_commit(lambda: live.publish(live.PLATFORM, message))


@contextlib.contextmanager
def connection_given_back() -> Iterator[None]:
    """For a question to the database from a thread that has nothing else to do with it, and so closes nothing."""
    was_closed = connection.connection is None
    try:
        yield
    finally:
        if was_closed:
            connection.close()


def _add(location: Location, sealed: str, role: str, state: str, actor: str, clock: Clock) -> Credential:
    Location.objects.select_for_update().get(pk=location.pk)  # two people at once get two versions
    newest = location.credentials.aggregate(newest=Max("version"))["newest"] or 0
    return Credential.objects.create(
        location=location,
        version=newest + 1,
        role=role,
        state=state,
        sealed=sealed,
        entered_by=actor,
        created_at=clock.utcnow(),
    )


def _seal(location: Location, secrets: Mapping[str, str]) -> str:
    return sealing.seal(json.dumps(given(secrets)).encode(), purpose=_purpose(location.pk))


def _purpose(location_id: object) -> str:
    return f"credential of location {location_id}"
