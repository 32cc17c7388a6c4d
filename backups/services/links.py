"""Opening a folder of documents to clients: a link that ends, with a password, or an invitation."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from backups.models import DocumentFolder
from providers.services.locations import store_of
from providers.stores.errors import Unsupported
from providers.stores.sharing import Shared
from wedbackup.core import sealing
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User


def folder_can_be_shared(folder: DocumentFolder) -> bool:
    """Say whether the folder's location has links at all."""
    return isinstance(store_of(folder.location), Shared)


def folder_share(
    folder: DocumentFolder, *, expires: datetime, password: str | None, actor: User, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Make the one link to the folder, or give it new settings. Raises StoreError, with advice."""
    link = _shared(folder).share(folder.name, expires=expires, password=password or None)
    with transaction.atomic():
        DocumentFolder.unscoped.filter(pk=folder.pk).update(
            sealed_link=sealing.seal(link.url.encode(), purpose=_purpose(folder)),
            link_expires_at=link.expires,
            link_has_password=link.password_protected,
            linked_by=actor.get_username(),
        )
        _audit(folder, AuditTag.DOCUMENTS_LINKED, actor, clock, expires=link.expires, password=link.password_protected)


def folder_unshare(folder: DocumentFolder, *, actor: User, clock: Clock = SYSTEM_CLOCK) -> None:
    """Make the link stop working. Raises StoreError."""
    _shared(folder).unshare(folder.name)
    with transaction.atomic():
        DocumentFolder.unscoped.filter(pk=folder.pk).update(sealed_link="", link_expires_at=None)
        _audit(folder, AuditTag.DOCUMENTS_UNLINKED, actor, clock)


def folder_invite(folder: DocumentFolder, email: str, *, actor: User, clock: Clock = SYSTEM_CLOCK) -> None:
    """Let the person with this address read the folder; the service writes to them. Raises StoreError."""
    _shared(folder).invite(folder.name, email)
    with transaction.atomic():
        _audit(folder, AuditTag.DOCUMENTS_LINKED, actor, clock, invited=email)


def folder_link(folder: DocumentFolder) -> str:
    """Return the link, "" if there is none."""
    if not folder.sealed_link:
        return ""
    return sealing.unseal(folder.sealed_link, purpose=_purpose(folder)).decode()


def _shared(folder: DocumentFolder) -> Shared:
    store = store_of(folder.location)
    if not isinstance(store, Shared):
        raise Unsupported(f"{folder.location.name} has no links")
    return store


def _purpose(folder: DocumentFolder) -> str:
    return f"link of document folder {folder.pk}"


def _audit(folder: DocumentFolder, tag: AuditTag, actor: User, clock: Clock, **detail: object) -> None:
    record(
        tag,
        actor=actor,
        subject_type="vault",
        subject_id=folder.vault_id,
        organisation_id=folder.vault.organisation_id,
        detail={"location": folder.location.name, "folder": folder.name, **detail},
        clock=clock,
    )
