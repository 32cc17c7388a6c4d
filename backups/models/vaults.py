"""Vaults, what goes into them, where their copies are, and which snapshots each copy is proved to hold."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models, transaction

from backups.models.organisations import Organisation
from backups.models.policies import Policy
from backups.models.weddings import Wedding
from backups.querysets import (
    CopyQuerySet,
    ForgottenSnapshotQuerySet,
    SnapshotQuerySet,
    SourceQuerySet,
    VaultQuerySet,
)
from backups.states import CopyState
from providers.models import Location
from wedbackup.core.scoping import ScopedManager


class Vault(models.Model):
    """One restic repository per organisation, wedding and protection class, copied to several locations.

    sealed_secret: the repository password (256 random bits as hex), sealed; the recovery kit prints it.
    sealed_master: the repository's master key, sealed, so that opening a copy needs no scrypt.
    config_file, key_file: the stored bytes every copy starts with; both are ciphertext.
    """

    class ProtectionClass(models.TextChoices):
        DOCUMENTS = "documents", "Documents and timeline"
        GUESTS = "guests", "Guest data"
        MEDIA = "media", "Photos and video"
        BUSINESS = "business", "Business data"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="vaults")
    wedding = models.ForeignKey(Wedding, on_delete=models.PROTECT, related_name="vaults", null=True, blank=True)
    protection_class = models.CharField(max_length=12, choices=ProtectionClass.choices)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT)
    sealed_secret = models.TextField(editable=False)
    sealed_master = models.TextField(editable=False)
    config_file = models.BinaryField(editable=False)
    key_file = models.BinaryField(editable=False)
    created_at = models.DateTimeField()
    next_due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    last_number = models.PositiveBigIntegerField(default=0, editable=False, help_text="of its newest snapshot, ever")
    suspicion = models.CharField(max_length=300, blank=True, help_text="why the newest state must not be trusted yet")
    hold = models.CharField(max_length=300, blank=True, help_text="why nothing of it may go, by law; empty: no hold")
    held_by = models.CharField(max_length=150, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)

    objects = ScopedManager(VaultQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["protection_class"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organisation", "wedding", "protection_class"], name="one_vault_per_class"),
            models.UniqueConstraint(
                fields=["organisation", "protection_class"],
                condition=models.Q(wedding=None),
                name="one_vault_per_class_without_wedding",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.wedding or self.organisation}: {self.get_protection_class_display()}"

    @property
    def prefix(self) -> str:
        """Where the vault lies in each of its locations."""
        return f"{self.id}/"


class Source(models.Model):
    """A folder whose files go into a vault."""

    vault = models.ForeignKey(Vault, on_delete=models.CASCADE, related_name="sources")
    path = models.CharField(max_length=1000, help_text="absolute path of a folder on this machine")
    excludes = models.JSONField(default=list, blank=True, help_text="glob patterns left out")

    objects = ScopedManager(SourceQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["path"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["vault", "path"], name="one_source_per_path"),
        ]

    def __str__(self) -> str:
        return self.path


class Copy(models.Model):
    """A vault's copy at one location.

    required:  the backup waits for it; other copies may lag and are caught up.
    verified_at: since then every byte of what it held was read and right: the beginning of the last whole reading.
    reading_began_at, parts_read: of the whole reading that is under way, part by part; None, 0: none is.
    rid_of:    the newest tombstone (its key grows) of whose snapshot nothing lies here any more; of what was forgotten
               after it something may, and then the copy gives nothing to others.
    """

    vault = models.ForeignKey(Vault, on_delete=models.CASCADE, related_name="copies")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="copies")
    required = models.BooleanField(default=True)
    state = models.CharField(max_length=12, choices=CopyState.choices, default=CopyState.EMPTY)
    confirmed_at = models.DateTimeField(null=True, blank=True, help_text="when its newest snapshot was proved")
    verified_at = models.DateTimeField(null=True, blank=True, help_text="when every byte was last read back")
    sampled_at = models.DateTimeField(null=True, blank=True, help_text="when pieces of it were last read at random")
    reading_began_at = models.DateTimeField(null=True, blank=True, editable=False)
    parts_read = models.PositiveSmallIntegerField(default=0, editable=False)
    rid_of = models.PositiveBigIntegerField(default=0, editable=False)
    stored_bytes = models.BigIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)

    objects = ScopedManager(CopyQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["location__name"]
        verbose_name_plural = "copies"
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["vault", "location"], name="one_copy_per_location"),
        ]

    def __str__(self) -> str:
        return f"{self.vault} at {self.location}"


class Snapshot(models.Model):
    """One state of a vault's sources, as recorded in the repository.

    acknowledged_at is set only by the rule of docs/architecture.md: enough copies, in enough failure domains, each with
    config, key, index, packs and snapshot file confirmed. Everything that shows green asks for it.
    number counts the vault's snapshots in the order in which they were recorded: a clock that was wrong for an hour
    changes `taken_at`, which is what the clock said, and not which one is the newest.
    expired_at is the first of two phases of going: days later a prune takes it, unless a rule keeps it again by then.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    vault = models.ForeignKey(Vault, on_delete=models.CASCADE, related_name="snapshots")
    restic_id = models.CharField(max_length=64)
    tree = models.CharField(max_length=64)
    number = models.PositiveBigIntegerField(default=0, editable=False)
    taken_at = models.DateTimeField()
    file_count = models.BigIntegerField()
    source_bytes = models.BigIntegerField()
    stored_bytes = models.BigIntegerField(help_text="new bytes this snapshot added to each copy")
    lost_count = models.PositiveIntegerField(default=0, db_index=True, help_text="files that no copy can give any more")
    lost_files = models.JSONField(default=list, blank=True, help_text="the paths of the first of them")
    problem_files = models.JSONField(default=list, help_text="[path, reason] of unstable and unreadable files")
    suspicion = models.CharField(max_length=300, blank=True, help_text="why its sources looked wrong")
    trusted_at = models.DateTimeField(
        null=True, blank=True, help_text="when a person said that what looked wrong is as it should be"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    expired_at = models.DateTimeField(null=True, blank=True, help_text="since when no rule keeps it any more")
    hold = models.CharField(max_length=300, blank=True, help_text="why it may not go, by law; empty: no hold")
    held_by = models.CharField(max_length=150, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)

    objects = ScopedManager(SnapshotQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["vault", "restic_id"], name="one_row_per_snapshot"),
            models.UniqueConstraint(fields=["vault", "number"], name="one_number_per_snapshot"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["vault", "-number"], name="snapshot_by_vault"),
        ]

    def __str__(self) -> str:
        return f"{self.vault} {self.taken_at:%Y-%m-%d %H:%M}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Give a new snapshot its number; a number is never used twice, also when the newest snapshot was forgotten."""
        if not self.number:
            with transaction.atomic():
                counting = Vault.unscoped.filter(pk=self.vault_id)
                counting.update(last_number=models.F("last_number") + 1)
                self.number = counting.values_list("last_number", flat=True).get()
                super().save(*args, **kwargs)
            return
        super().save(*args, **kwargs)


class SnapshotCopy(models.Model):
    """Proof that one copy holds one snapshot completely."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="confirmations")
    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="confirmations")
    proof = models.CharField(max_length=20, help_text="how: providers.stores.base.Proof")
    confirmed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["snapshot", "copy"], name="one_confirmation_per_copy"),
        ]

    def __str__(self) -> str:
        return f"{self.snapshot} at {self.copy.location}"


class ForgottenSnapshot(models.Model):
    """What was forgotten, for good: a copy that was away meanwhile must not bring it back.

    reason: why it went, in words.
    """

    vault = models.ForeignKey(Vault, on_delete=models.CASCADE, related_name="forgotten")
    restic_id = models.CharField(max_length=64)
    forgotten_at = models.DateTimeField()
    reason = models.CharField(max_length=300, blank=True)

    objects = ScopedManager(ForgottenSnapshotQuerySet)
    unscoped = models.Manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-forgotten_at"]
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["vault", "restic_id"], name="one_tombstone_per_snapshot"),
        ]

    def __str__(self) -> str:
        return f"{self.vault}: {self.restic_id[:8]}"
