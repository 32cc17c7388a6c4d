"""What is known to be damaged at a copy, file by file."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from backups.models.vaults import Copy
from backups.querysets import DamagedFileQuerySet
from wedbackup.core.scoping import ScopedManager


class DamagedFile(models.Model):
    """One file of a copy that is missing there or is not what it should be.

    The row goes when that very file was put and verified again, was found whole by reading it, or is needed by nothing
    any more. name: relative to the vault, such as "data/3f/3f1a..." or "config".
    """

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="damaged_files")
    name = models.CharField(max_length=100)
    reason = models.CharField(max_length=300)
    found_at = models.DateTimeField()

    objects = ScopedManager(DamagedFileQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["copy", "name"], name="one_row_per_damaged_file"),
        ]

    def __str__(self) -> str:
        return f"{self.copy}: {self.name}"
