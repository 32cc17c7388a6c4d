"""Folders of plain documents at a location that clients can open: Dropbox, Box, a folder that Carbonite protects."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from backups.models.vaults import Snapshot, Vault
from backups.querysets import DocumentFolderQuerySet
from providers.models import Location
from wedbackup.core.scoping import ScopedManager


class DocumentFolder(models.Model):
    """The documents of one vault as plain files in one folder of one location; a convenience, never a copy.

    name:     the folder at the location, readable by people.
    manifest: what was put there: {name in the folder: fingerprint of its content}.
    left_out: [path in the snapshot, reason] of documents that the location cannot take.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    vault = models.ForeignKey(Vault, on_delete=models.CASCADE, related_name="document_folders")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="document_folders")
    name = models.CharField(max_length=200)
    manifest = models.JSONField(default=dict, blank=True)
    left_out = models.JSONField(default=list, blank=True)
    snapshot = models.ForeignKey(Snapshot, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    filled_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    sealed_link = models.TextField(blank=True, editable=False)
    link_expires_at = models.DateTimeField(null=True, blank=True)
    link_has_password = models.BooleanField(default=False)
    linked_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField()

    objects = ScopedManager(DocumentFolderQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["location__name"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["vault", "location"], name="one_document_folder_per_location"),
            models.UniqueConstraint(fields=["location", "name"], name="one_owner_per_document_folder"),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.location}"
