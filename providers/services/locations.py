"""Locations: making one, opening its store, telling how it fared, proving that it keeps the promises."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, transaction

from providers import registry
from providers.models import Credential, Location
from providers.services.addresses import address_check
from providers.services.breakers import breaker_of
from providers.services.credentials import (
    PRUNER,
    WRITER,
    connection_given_back,
    credential_in_use,
    credential_set,
    has_credential,
    parts_among,
    secrets_for,
)
from providers.services.machine import machine_name, medium_of
from providers.services.purposes import PRUNE, RECOVERY, VALIDATION
from providers.services.traffic import refuse_if_paused, wrappers_for
from providers.stores.base import ObjectStore
from providers.stores.errors import UNTRIED, AccessDenied, BreakerOpen, Rejected, StoreError, StoreUnavailable
from providers.stores.local import LocalStore
from providers.stores.options import InvalidOptions, build_options, secret_names
from providers.wrappers.rotating import RotatingStore
from providers.wrappers.stack import wrap_store
from providers.wrappers.watched import WatchedStore
from wedbackup.core import audit
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.sealing import SealingError


class LocationDisabled(Rejected):
    advice = "Enable the location on its page if it shall be used again."


class CredentialUnreadable(AccessDenied):
    advice = "Put the key file back from your safe copy, or enter the credential of this location again."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a location is, for its failure domain, residency and the map.

    account: provider account; empty means this machine, which is right for folders only.
    medium:  what it lies on; empty means the disk of the folder.
    """

    account: str = ""
    medium: str = ""
    region: str = ""
    city: str = ""
    country: str = ""
    jurisdiction: str = ""
    latitude: float | None = None
    longitude: float | None = None


def location_create(
    *,
    name: str,
    kind: str,
    options: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    private_address_allowed: bool = False,
    actor: str,
    clock: Clock = SYSTEM_CLOCK,
    **where: Any,
) -> Location:
    """Make a location; for a folder also the folder and its marker. Nothing is connected otherwise.

    options: what is not secret, by name, as the kind's `Options` describe it.
    secrets: the secret options; they are sealed and never shown again.
    private_address_allowed: its address may be inside our own network; an admin has said so.
    where:   the fields of `Place`.
    actor:   who does it, for the audit trail.

    A folder that was a location before keeps its id, so that a lost database can be built again from it.
    Raises InvalidOptions for options that make no sense or lead to where they must not (AddressRefused), StoreError
    when a folder cannot be set up, SealingError.
    """
    place = Place(**where)
    build_options(registry.options_class(kind), {**options, **(secrets or {})})
    if misplaced := sorted(secret_names(registry.options_class(kind)) & set(options)):
        raise InvalidOptions(f"{', '.join(misplaced)} is secret: give it as a secret, not as an option")
    address_check(kind, options, private_allowed=private_address_allowed)
    if Location.objects.filter(name=name).exists():
        raise InvalidOptions(f"there is a location named {name} already; choose another name")
    options = {key: value for key, value in options.items() if value not in (None, "")}
    identity, account, medium = uuid.uuid4(), place.account, place.medium
    if registry.kind_named(kind).folder:
        identity, account, medium = _set_up_folder(options, place)
        options["location_id"] = str(identity)
    elif not account:
        raise InvalidOptions("missing account: places in one account can be lost together, so it has to be known")
    with transaction.atomic():
        location = Location.objects.create(
            id=identity,
            name=name,
            kind=kind,
            options=options,
            account=account,
            medium=medium,
            created_at=clock.utcnow(),
            private_address_allowed=private_address_allowed,
            **{field: getattr(place, field) for field in _PLACE_FIELDS},
        )
        if secrets:
            credential_set(location, {**parts_among(kind, options), **secrets}, actor=actor, clock=clock)
        _record(audit.AuditTag.LOCATION_CREATED, location, actor, {"kind": kind}, clock)
    return location


_PLACE_FIELDS = ("region", "city", "country", "jurisdiction", "latitude", "longitude")


def _set_up_folder(options: Mapping[str, Any], place: Place) -> tuple[uuid.UUID, str, str]:
    """Make the folder and its marker; return its id, its machine and its disk."""
    root = str(options["root"])
    identity = uuid.UUID(LocalStore.create(root, location_id=options.get("location_id") or None))
    if existing := Location.objects.filter(pk=identity).first():
        raise InvalidOptions(f"the folder {root} is the location {existing.name} already; choose another folder")
    return identity, place.account or machine_name(), place.medium or medium_of(root)


def location_open(location: Location, *, purpose: str, clock: Clock = SYSTEM_CLOCK) -> ObjectStore:
    """Return the store of `location`, with its wrappers around it, picklable: engine processes open their own clients.

    purpose: what for, in one word. `VALIDATION` opens disabled locations too; `VALIDATION` and `RECOVERY` also one
             that is being left alone: a person waits, and an unlikely copy is better than none. `PRUNE` opens it with
             the pruner's credential, if there is one.

    A new credential is taken over by the open store within a second; by its copies in other processes it is not.

    When the breaker is open and its pause is over, the caller becomes the probe and must `location_report` the outcome.
    Raises a StoreError whose advice says what to do: LocationDisabled, Paused, BreakerOpen, CredentialUnreadable or
    Rejected.
    """
    if not location.enabled and purpose != VALIDATION:
        raise LocationDisabled(f"{location.name} is disabled")
    store = _rotating(location, PRUNER if purpose == PRUNE else WRITER, clock)
    if purpose not in {VALIDATION, RECOVERY}:
        refuse_if_paused(location)
        try:
            breaker_of(location, clock).enter()
        except BreakerOpen as exc:
            raise BreakerOpen(f"{location.name}: {exc}", retry_after=exc.retry_after) from exc
    return wrap_store(store, watched=False, **wrappers_for(location, purpose, clock))


def store_of(location: Location) -> ObjectStore:
    """Return the bare store of `location` with the credential in use; raises CredentialUnreadable or Rejected."""
    return store_with(location, credential_in_use(location))


def store_with(location: Location, credential: Credential | None) -> ObjectStore:
    """Return the bare store of `location` opened by this very credential; raises CredentialUnreadable or Rejected."""
    try:
        return registry.open_store(location.kind, {**location.options, **secrets_for(location, credential)})
    except SealingError as exc:
        raise CredentialUnreadable(f"the credential of {location.name} cannot be read: {exc}") from exc
    except InvalidOptions as exc:
        raise Rejected(f"the settings of {location.name} make no sense: {exc}") from exc


def _rotating(location: Location, role: str, clock: Clock) -> ObjectStore:
    """Return the bare store of `location` that follows the changes of its credential, if it has any."""
    try:
        changes = has_credential(location.kind)
    except InvalidOptions as exc:
        raise Rejected(f"the settings of {location.name} make no sense: {exc}") from exc

    def current() -> tuple[int, Callable[[], ObjectStore]]:
        try:
            with connection_given_back():
                credential = credential_in_use(location, role)
        except DatabaseError as exc:
            raise StoreUnavailable("the database does not say which credential is in use") from exc
        return credential.version if credential else 0, lambda: WatchedStore(store_with(location, credential))

    return RotatingStore(current, clock=clock) if changes else WatchedStore(store_of(location))


def location_report(
    location: Location, *, ok: bool, error: BaseException | str | None = None, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Tell how `location` fared in a piece of work; moves the breaker that all workers share.

    error: what went wrong. A cancelled call counts neither way, and an error that is an answer (not found, access
           denied) shows that the location is there.
    """
    outcome = None if ok else error if isinstance(error, BaseException) else StoreUnavailable(error or "no answer")
    if isinstance(outcome, UNTRIED):
        return
    breaker_of(location, clock, error=outcome).report(outcome)
    if ok:
        Location.objects.filter(pk=location.pk).update(last_answer_at=clock.utcnow(), last_error="", last_error_kind="")
    elif isinstance(outcome, StoreError):
        Location.objects.filter(pk=location.pk).update(
            last_error=error_text(outcome), last_error_kind=type(outcome).__name__
        )


def error_text(error: StoreError) -> str:
    """Return what happened and what to do now, as it is kept on the row."""
    return f"{error}. {error.advice}"[:300]


def location_enable(location: Location, enabled: bool, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Use `location` from now on, or leave it alone; return whether that was a change."""
    with transaction.atomic():
        changed = Location.objects.filter(pk=location.pk, enabled=not enabled).update(enabled=enabled) == 1
        if changed:
            _record(audit.AuditTag.LOCATION_CHANGED, location, actor, {"enabled": enabled}, clock)
    location.enabled = enabled
    return changed


def _record(tag: audit.AuditTag, location: Location, actor: str, detail: dict[str, Any], clock: Clock) -> None:
    audit.record(
        tag,
        actor=actor,
        subject_type="location",
        subject_id=str(location.pk),
        detail={"location": location.name, **detail},
        clock=clock,
    )
