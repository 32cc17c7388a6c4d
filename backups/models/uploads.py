"""Files that browsers sent: which bytes arrived under which name, and which backup has them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from backups.models.vaults import Vault
from backups.querysets import UploadedFileQuerySet
from wedbackup.core.scoping import ScopedManager


class UploadedFile(models.Model):
    """One file in a vault's folder of uploads. The row is written before the file gets its name: none is used twice.

    name, name_key:  path below the folder, and its SHA-256: names are too long for an index.
    digest, first:   of the whole (services.uploads.parts.whole_digest) and of its first piece, hex.
    arrived_at:      when it lay durable under its name; None while it is being put there.
    inode, mtime_ns: of the file then; whoever changes it later makes another file of it.
    listing:         the backup job that began when the file was there already, until that job ends.
    snapshot_number: of the first snapshot that holds it, by its vault's numbers; None: in no backup yet.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    vault = models.ForeignKey(Vault, on_delete=models.CASCADE, related_name="uploads")
    name = models.TextField()
    name_key = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    first = models.CharField(max_length=64)
    arrived_at = models.DateTimeField(null=True)
    inode = models.BigIntegerField(default=0)
    mtime_ns = models.BigIntegerField(default=0)
    listing = models.UUIDField(null=True)
    snapshot_number = models.PositiveBigIntegerField(null=True)

    objects = ScopedManager(UploadedFileQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["vault", "name_key"], name="one_upload_per_name"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["vault", "size_bytes", "first"], name="upload_by_content"),
        ]

    def __str__(self) -> str:
        return self.name
