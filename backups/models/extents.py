"""What each source held when a snapshot was taken: the measure for the next ones."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from backups.models.vaults import Snapshot
from backups.querysets import SourceExtentQuerySet
from wedbackup.core.scoping import ScopedManager


class SourceExtent(models.Model):
    """How much one source held, or one disk that was mounted below it.

    source:   the source's path.   path: the same, or where the disk was mounted, as restic writes names.
    device:   number of the file system, 0 when it was not met.
    left_out: (pattern, files, folders) for each pattern of the source.   patterns: a mark of them all.
    spoiled, noisy, relabelled: files that changed badly in this backup (backups.policy.suspicion.Churn).
    alarm:    why such changes, of this backup and those before, look like an attack, until a person has looked.
    """

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="extents")
    source = models.CharField(max_length=1000)
    path = models.CharField(max_length=5000)
    files = models.BigIntegerField()
    size_bytes = models.BigIntegerField()
    device = models.BigIntegerField(default=0)
    mounted = models.BooleanField(default=False)
    missing = models.CharField(max_length=300, blank=True, help_text="why it could not be read; empty: it was")
    left_out = models.JSONField(default=list, blank=True)
    patterns = models.CharField(max_length=16, blank=True)
    spoiled = models.IntegerField(default=0)
    noisy = models.IntegerField(default=0)
    relabelled = models.IntegerField(default=0)
    odd = models.BigIntegerField(null=True, help_text="files that are noise or zeros; empty: nobody looked")
    alarm = models.CharField(max_length=300, blank=True)

    objects = ScopedManager(SourceExtentQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["path"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"

    def __str__(self) -> str:
        return f"{self.path}: {self.files} files"
