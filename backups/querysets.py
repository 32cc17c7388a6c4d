"""Reads that several places need, each with its scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models

from wedbackup.core.scoping import ScopedQuerySet

if TYPE_CHECKING:
    from backups.models import (  # noqa: F401
        Copy,
        DamagedFile,
        DocumentFolder,
        ForgottenSnapshot,
        Job,
        Membership,
        Organisation,
        Snapshot,
        Source,
        SourceExtent,
        UploadedFile,
        Vault,
        Wedding,
    )

T = TypeVar("T", bound=models.Model)


class OrganisationQuerySet(ScopedQuerySet["Organisation"]):
    def visible_to(self, user: Any) -> OrganisationQuerySet:
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.sees_everything else self.filter(memberships__user=user)

    def of(self, organisation: Any) -> OrganisationQuerySet:
        return self.filter(pk=organisation.pk)


class MembershipQuerySet(ScopedQuerySet["Membership"]):
    pass


class WeddingQuerySet(ScopedQuerySet["Wedding"]):
    """A wedding is seen by every vendor that works on it."""

    scope_lookup = "vendors__organisation"


class VaultQuerySet(ScopedQuerySet["Vault"]):
    """A vault is seen by its own organisation only, also when others work on the same wedding."""


class SourceQuerySet(ScopedQuerySet["Source"]):
    scope_lookup = "vault__organisation"


class SourceExtentQuerySet(ScopedQuerySet["SourceExtent"]):
    scope_lookup = "snapshot__vault__organisation"


class CopyQuerySet(ScopedQuerySet["Copy"]):
    scope_lookup = "vault__organisation"


class DamagedFileQuerySet(ScopedQuerySet["DamagedFile"]):
    scope_lookup = "copy__vault__organisation"


class DocumentFolderQuerySet(ScopedQuerySet["DocumentFolder"]):
    scope_lookup = "vault__organisation"


class ForgottenSnapshotQuerySet(ScopedQuerySet["ForgottenSnapshot"]):
    scope_lookup = "vault__organisation"


class UploadedFileQuerySet(ScopedQuerySet["UploadedFile"]):
    scope_lookup = "vault__organisation"


class SnapshotQuerySet(ScopedQuerySet["Snapshot"]):
    scope_lookup = "vault__organisation"


class JobQuerySet(ScopedQuerySet["Job"]):
    pass
