"""Organisations, weddings, vaults with their copies and snapshots, jobs."""

from backups.models.damage import DamagedFile
from backups.models.documents import DocumentFolder
from backups.models.extents import SourceExtent
from backups.models.jobs import Job, JobMove
from backups.models.organisations import Membership, Organisation
from backups.models.policies import Policy
from backups.models.uploads import UploadedFile
from backups.models.vaults import Copy, ForgottenSnapshot, Snapshot, SnapshotCopy, Source, Vault
from backups.models.weddings import Wedding, WeddingVendor

__all__ = [
    "Copy",
    "DamagedFile",
    "DocumentFolder",
    "ForgottenSnapshot",
    "Job",
    "JobMove",
    "Membership",
    "Organisation",
    "Policy",
    "Snapshot",
    "SnapshotCopy",
    "Source",
    "SourceExtent",
    "UploadedFile",
    "Vault",
    "Wedding",
    "WeddingVendor",
]
