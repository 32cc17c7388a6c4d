"""Which uploaded files a backup has: "arrived" is not "safe", and people format cards after reading it.

Evidence, not clocks: a file counts as stored by a backup whose job began when the file lay in its place already.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from backups.engine.backup.excludes import Excludes
from backups.models import Job, Snapshot, Source, UploadedFile, Vault
from backups.services.uploads.arrivals import upload_folder, uploads_here


@dataclass(frozen=True, slots=True)
class Kept:
    """How many files were uploaded, how many of them wait for a backup, and how many are in one that is not safe yet.

    safe: the rest: in a snapshot with all the copies that the policy asks for, and nothing speaks against it.
    """

    total: int
    waiting: int
    unproved: int

    @property
    def safe(self) -> int:
        return self.total - self.waiting - self.unproved


def uploads_listed(vault: Vault, job: Job) -> None:
    """Note, before a backup lists its sources, which files it will find there: those that still lie in their place."""
    here = [row.pk for row in uploads_here(vault, snapshot_number=None)]
    UploadedFile.unscoped.filter(pk__in=here).update(listing=job.pk)


def uploads_stored(snapshot: Snapshot, job: Job, *, unread: Collection[str], altered: Collection[str]) -> None:
    """Note, in the transaction that records `snapshot`, that it holds what the job found, but for what it left out.

    unread:  the paths of all files and folders that it does not hold, not only of those that a person is told of.
    altered: those of all that it holds, but not as they are.
    """
    vault = snapshot.vault
    listed = UploadedFile.unscoped.filter(vault=vault, listing=job.pk)
    if not listed.exists():
        return
    folder = str(upload_folder(vault))
    source = Source.unscoped.filter(vault=vault, path=folder).first()
    excludes = Excludes(source.excludes if source is not None else [])
    missing = [
        row.pk
        for row in listed
        if (path := f"{folder}/{row.name}") in altered
        or _is_within(unread, path)
        or _is_excluded(excludes, folder, row.name)
        or source is None
    ]
    listed.filter(pk__in=missing).update(listing=None)
    listed.exclude(pk__in=missing).update(snapshot_number=snapshot.number, listing=None)


def uploads_kept(vault: Vault) -> Kept:
    """Return how safe the files are that were uploaded into `vault`."""
    arrived = UploadedFile.unscoped.filter(vault=vault, arrived_at__isnull=False)
    trusted = Snapshot.unscoped.filter(vault=vault, acknowledged_at__isnull=False, suspicion="").first()
    proved = 0 if trusted is None else trusted.number
    return Kept(
        total=arrived.count(),
        waiting=arrived.filter(snapshot_number=None).count(),
        unproved=arrived.filter(snapshot_number__gt=proved).count(),
    )


def _is_within(paths: Collection[str], path: str) -> bool:
    """Whether the file or a folder above it is among `paths`."""
    return path in paths or any(str(above) in paths for above in PurePosixPath(path).parents)


def _is_excluded(excludes: Excludes, folder: str, name: str) -> bool:
    """Whether the file or a folder above it is left out."""
    parts = name.split("/")
    above = ("/".join([folder, *parts[:end]]) for end in range(1, len(parts) + 1))
    return any(excludes.which(path.encode()) is not None for path in above)
