"""How commands take the name of a thing from the command line; a wrong name says what there is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TypeVar

from django.core.management.base import CommandError
from django.db import models
from django.db.models import Q

from backups.models import Snapshot, Vault, Wedding

M = TypeVar("M", bound=models.Model)
SHORT_ID = 8  # characters of an id that are shown, and enough to name one


def vault_named(text: str) -> Vault:
    """Return the vault with this id, or the start of it. Raises CommandError."""
    vaults = Vault.unscoped.select_related("organisation", "wedding", "policy")
    return _one(_by_id(list(vaults), text), "vault", text, [f"{vault.pk}  {vault}" for vault in vaults])


def vaults_named(text: str) -> list[Vault]:
    """Return the vault with this id, or all vaults of the wedding with this name or id. Raises CommandError."""
    vaults = list(Vault.unscoped.select_related("organisation", "wedding", "policy"))
    return _by_id(vaults, text) or list(
        Vault.unscoped.filter(wedding=wedding_named(text)).select_related("organisation", "wedding", "policy")
    )


def wedding_named(text: str) -> Wedding:
    """Return the wedding with this id, the start of it, or this couple. Raises CommandError."""
    weddings = list(Wedding.unscoped.all())
    found = _by_id(weddings, text) or [wedding for wedding in weddings if text.lower() in wedding.couple.lower()]
    return _one(found, "wedding", text, [f"{wedding.pk}  {wedding}, {wedding.date}" for wedding in weddings])


def snapshot_named(text: str, vault: Vault | None) -> Snapshot:
    """Return the snapshot with this id or the start of it, "latest" for a vault's newest. Raises CommandError."""
    snapshots = Snapshot.unscoped.select_related("vault__organisation", "vault__wedding")
    if vault is not None:
        snapshots = snapshots.filter(vault=vault)
    if text == "latest":
        if vault is None:
            raise CommandError("`latest` of which vault? Say it with --vault ID; `manage.py snapshots` lists them.")
        newest = snapshots.first()
        if newest is None:
            raise CommandError(f"{vault} has no snapshot yet. Run `manage.py backup --vault {vault.pk}` first.")
        return newest
    found = list(snapshots.filter(Q(restic_id__startswith=text.lower())))
    return _one(found, "snapshot", text, [f"{found.restic_id[:SHORT_ID]}  {found}" for found in snapshots[:20]])


def _by_id(rows: Sequence[M], text: str) -> list[M]:
    try:
        wanted = uuid.UUID(text)
    except ValueError:
        return [row for row in rows if len(text) >= SHORT_ID and str(row.pk).startswith(text.lower())]
    return [row for row in rows if row.pk == wanted]


def _one(found: Sequence[M], what: str, text: str, known: Sequence[str]) -> M:
    if len(found) == 1:
        return found[0]
    listed = "\n".join(f"  {line}" for line in known) or "  (none yet)"
    problem = f"There is no {what} {text!r}." if not found else f"{text!r} means more than one {what}."
    raise CommandError(f"{problem} There are:\n{listed}")
