"""Vaults: made, given sources and places, and opened with secrets that never leave this module unsealed in a log."""

from __future__ import annotations

import os
import secrets
import uuid
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from backups.engine.errors import EngineError
from backups.engine.format.crypto import MasterKey
from backups.engine.format.key import FOR_SECRETS
from backups.engine.format.repository import Config, new_vault, read_config
from backups.models import Copy, Job, Organisation, Policy, Snapshot, Source, Vault, Wedding
from backups.services.sources import patterns_check
from providers import registry
from providers.models import Location
from providers.stores.base import Holds
from wedbackup.core.audit import SYSTEM, AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User
from wedbackup.core.sealing import SealingError, seal, unseal

SECRET_BYTES = 32
_ENCRYPT_BYTES, _MAC_BYTES = 32, 16


def vault_create(
    *,
    organisation: Organisation,
    wedding: Wedding | None,
    protection_class: str,
    policy: Policy,
    locations: Sequence[Location],
    actor: User | str = SYSTEM,
    clock: Clock = SYSTEM_CLOCK,
) -> Vault:
    """Make a vault with a fresh secret and master key, and its (still empty) copies at `locations`.

    The first `policy.copies_needed` places are required: a backup waits for them. Nothing is written to the places
    before the first backup. Raises SealingError when the key file is missing, ValidationError when no place is given or
    one of them may not hold a vault.
    """
    if not locations:
        raise ValidationError("A vault needs at least one location; add one first, and validate it.")
    for location in locations:
        location_check_fit(location)
    vault_id = uuid.uuid4()
    secret = secrets.token_hex(SECRET_BYTES).encode()
    now = clock.utcnow()
    made = new_vault(secret, now=int(now.timestamp() * 1_000_000_000), cost=FOR_SECRETS)
    vault = Vault(
        id=vault_id,
        organisation=organisation,
        wedding=wedding,
        protection_class=protection_class,
        policy=policy,
        sealed_secret=seal(secret, purpose=_secret_purpose(vault_id)),
        sealed_master=seal(_master_bytes(made.master), purpose=_master_purpose(vault_id)),
        config_file=made.config_file,
        key_file=made.key_file,
        created_at=now,
        next_due_at=now,
    )
    with transaction.atomic():
        vault.full_clean()
        vault.save(force_insert=True)
        for place, location in enumerate(locations):
            Copy.unscoped.create(vault=vault, location=location, required=place < policy.copies_needed)
        places = [location.name for location in locations]
        _audit(AuditTag.VAULT_CREATED, vault, actor, clock, policy=policy.name, locations=places)
    return vault


def vault_locations() -> list[Location]:
    """Return the locations that may hold vaults: switched on, not for documents only, and validated."""
    rows = Location.objects.filter(enabled=True, validated_at__isnull=False).order_by("created_at")
    return [row for row in rows if _holds_vaults(row)]


def _holds_vaults(location: Location) -> bool:
    holds: Holds = registry.kind_named(location.kind).store_class().capabilities.holds
    return holds is Holds.VAULTS


def location_check_fit(location: Location) -> None:
    """Raise ValidationError, with what to do, unless `location` may hold vaults."""
    if not _holds_vaults(location):
        raise ValidationError(
            f"{location.name} holds documents that clients open, not vaults; choose another location for the copies."
        )
    if location.validated_at is None:
        raise ValidationError(
            f"{location.name} was not validated yet, so nobody knows whether it keeps what it is given: "
            "open its page and press Validate first."
        )


def source_add(
    vault: Vault,
    path: str,
    excludes: Sequence[str] = (),
    *,
    actor: User | str = SYSTEM,
    clock: Clock = SYSTEM_CLOCK,
) -> Source:
    """Add a folder to what goes into `vault`; adding it twice returns the first.

    Raises ValidationError when the path is no absolute path of a folder that is there now, or a pattern cannot be used.
    """
    patterns_check(excludes)
    if not os.path.isabs(path):
        raise ValidationError(f"{path} is not an absolute path.")
    if not os.path.isdir(path):
        raise ValidationError(f"{path} is not a folder on this machine. Check the path, or connect its disk.")
    _check_holds_no_copies(path)
    with transaction.atomic():
        source, is_new = Source.unscoped.get_or_create(
            vault=vault, path=os.path.normpath(path), defaults={"excludes": list(excludes)}
        )
        if is_new:
            _audit(AuditTag.SOURCE_ADDED, vault, actor, clock, path=source.path, excludes=list(excludes))
    return source


def _check_holds_no_copies(path: str) -> None:
    """Raise ValidationError when a folder contains what backups write: then each one would store the last one again."""
    folder = os.path.realpath(path)
    written = [(str(settings.CACHE_DIR), "wedbackup's own working files")]
    for location in Location.objects.all():
        if root := str(location.options.get("root", "")):
            written.append((root, f"the location {location.name}"))
    for inside, what in written:
        if os.path.isabs(inside) and os.path.commonpath([folder, os.path.realpath(inside)]) == folder:
            raise ValidationError(
                f"{path} contains {what} ({inside}), so each backup would store the backup before it once more. "
                "Add the folders with your files one by one instead."
            )


def vault_trust(vault: Vault, *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Let a person say that the newest state of a suspicious vault is as it should be; False if nothing was suspected.

    It is the measure for the next backups from now on, and old snapshots may expire again.
    """
    newest = Snapshot.unscoped.filter(vault=vault).first()
    with transaction.atomic():
        suspicion = Vault.unscoped.filter(pk=vault.pk).values_list("suspicion", flat=True).get()
        if not suspicion:
            return False
        Vault.unscoped.filter(pk=vault.pk).update(suspicion="")
        if newest is not None and newest.suspicion:
            Snapshot.unscoped.filter(pk=newest.pk).update(suspicion="", trusted_at=clock.utcnow())
        _audit(AuditTag.VAULT_TRUSTED, vault, actor, clock, suspicion=suspicion)
    vault.suspicion = ""
    return True


def _audit(tag: AuditTag, vault: Vault, actor: User | str, clock: Clock, **detail: Any) -> None:
    record(
        tag,
        actor=actor,
        subject_type="vault",
        subject_id=vault.pk,
        organisation_id=vault.organisation_id,
        detail={"vault": str(vault), **detail},
        clock=clock,
    )


def vault_of(job: Job) -> Vault:
    """Return the vault that a job works on, with what its services need of it."""
    assert job.vault_id is not None, "a job of this kind always has a vault"
    return Vault.unscoped.select_related("organisation", "wedding", "policy").get(pk=job.vault_id)


class VaultSealed(EngineError):
    """The key file that opens the vaults of this installation is missing, or is another one."""

    advice = (
        "Put the key file back from your safe copy, then start the work again; a recovery kit opens a vault without it."
    )


def vault_secret(vault: Vault) -> bytes:
    """Return the repository password, as stock restic takes it. Raises VaultSealed."""
    return _unseal(vault.sealed_secret, _secret_purpose(vault.id))


def vault_master(vault: Vault) -> MasterKey:
    """Return the repository's master key. Raises VaultSealed."""
    raw = _unseal(vault.sealed_master, _master_purpose(vault.id))
    mac = _ENCRYPT_BYTES + _MAC_BYTES
    return MasterKey(raw[:_ENCRYPT_BYTES], raw[_ENCRYPT_BYTES:mac], raw[mac:])


def vault_config(vault: Vault, master: MasterKey) -> Config:
    """Return the repository's identity. Raises Damaged."""
    return read_config(master, bytes(vault.config_file))


def _unseal(sealed: str, purpose: str) -> bytes:
    try:
        return unseal(sealed, purpose=purpose)
    except SealingError as exc:
        raise VaultSealed(str(exc)) from exc


def _master_bytes(master: MasterKey) -> bytes:
    return master.encrypt + master.mac_k + master.mac_r


def _secret_purpose(vault_id: uuid.UUID) -> str:
    return f"vault {vault_id} secret"


def _master_purpose(vault_id: uuid.UUID) -> str:
    return f"vault {vault_id} master"
