"""What a browser sends, from its first question to the file in its place.

The folder HOME/uploads/<vault id> is a source of the vault like any other. A file gets its name there only when every
byte is durable and its digest is the browser's own, so a backup never sees half a file and "arrived" is never said of
other bytes. The row is written before the name: killed between the two, the next request ends what was begun.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from backups.models import Source, UploadedFile, Vault
from backups.services.uploads.names import UploadRefused, free_names
from backups.services.uploads.parts import (
    FILE_BYTES_MAX,
    Claim,
    Part,
    WrongOffset,
    part_digests,
    part_locked,
    whole_digest,
)
from backups.services.vaults import source_add
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.templatetags.words import size

RESERVE_BYTES = 2 * 1000**3  # of the disk, kept for the database beside the uploads and for the backups' caches


@dataclass(frozen=True, slots=True)
class Alike:
    """A file that is here and may be the same one: size and first piece are equal. digest: of the whole, hex."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is here of a file. digests: of the pieces of its part, hex.   alike: whole files that it may be."""

    digests: list[str]
    alike: list[Alike]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A whole file in its place. name: what it is called there.   already: the same bytes were here before."""

    name: str
    already: bool


def upload_folder(vault: Vault) -> Path:
    """Return the folder that holds what was uploaded into `vault`."""
    return Path(settings.HOME) / "uploads" / str(vault.id)


def upload_standing(vault: Vault, claim: Claim) -> Standing:
    """Return what is here of the file that a browser is about to send. Raises UploadRefused."""
    _check(claim)
    alike = [Alike(row.name, row.digest) for row in uploads_here(vault, size_bytes=claim.size_bytes, first=claim.first)]
    return Standing([digest.hex() for digest in part_digests(vault, claim)], alike)


def upload_piece(vault: Vault, claim: Claim, *, offset: int, piece: bytes, digest: str) -> int:
    """Append a piece to the file and return how much of it is here now [bytes].

    offset: where the piece belongs [bytes].   digest: its SHA-256 as the browser made it, hex.

    Raises WrongOffset when it does not continue what is here, PieceDamaged when it arrived as something else,
    UploadRefused for what cannot be taken.
    """
    _check(claim)
    _check_reserve(len(piece))
    try:
        with part_locked(vault, claim) as part:
            part.append(offset, piece, digest)
            return part.offset
    except OSError as error:
        _refuse_full(error)
        raise


def upload_finish(vault: Vault, claim: Claim, *, digest: str, clock: Clock = SYSTEM_CLOCK) -> Arrival:
    """Give a complete file its name, beside any other of that name, and return where it is.

    digest: of the whole as the browser made it from its own file. The same bytes are kept once: then the part goes.

    Raises WrongOffset when pieces are missing, UploadRefused when what is here is not the browser's file.
    """
    _check(claim)
    try:
        with part_locked(vault, claim) as part:
            if part.offset != claim.size_bytes:
                raise WrongOffset(part.offset)
            if whole_digest(part.digests) != digest:
                part.remove()
                raise UploadRefused("This file changed while it was sent. Choose it again.")
            with _alone(vault):
                arrival = _keep(vault, part, digest, clock)
            part.remove()
    except OSError as error:
        _refuse_full(error)
        raise
    root = str(upload_folder(vault))
    if not Source.unscoped.filter(vault=vault, path=root).exists():
        source_add(vault, root)
    return arrival


def _check(claim: Claim) -> None:
    if not 0 <= claim.size_bytes <= FILE_BYTES_MAX:
        raise UploadRefused("This file has no usable size. Choose the file again.")


def _check_reserve(piece_bytes: int) -> None:
    """Raise UploadRefused when the disk would have less than RESERVE_BYTES left: a full disk stops the database too."""
    if shutil.disk_usage(settings.HOME).free - piece_bytes < RESERVE_BYTES:
        raise UploadRefused(
            f"The disk for uploads is nearly full: the last {size(RESERVE_BYTES)} are kept free. "
            "Tell an admin; the upload goes on from here later."
        )


def _refuse_full(error: OSError) -> None:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        raise UploadRefused(
            "The disk for uploads is full. Tell an admin; the upload goes on from here later."
        ) from error
    if error.errno in {errno.EEXIST, errno.ENOTDIR}:
        raise UploadRefused(
            "A file that was uploaded before has the name of this file's folder. Rename the folder and try again."
        ) from error


def uploads_here(vault: Vault, **of: object) -> Iterator[UploadedFile]:
    """Yield the arrived files of these fields that are still as they arrived."""
    for row in UploadedFile.unscoped.filter(vault=vault, arrived_at__isnull=False, **of):
        if _identity(upload_folder(vault) / row.name) == (row.size_bytes, row.inode, row.mtime_ns):
            yield row


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size, status.st_ino, status.st_mtime_ns


@contextlib.contextmanager
def _alone(vault: Vault) -> Iterator[Path]:
    """Yield the vault's folder while nobody else gives files their names there."""
    root = upload_folder(vault)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield root
    finally:
        os.close(descriptor)


def _keep(vault: Vault, part: Part, digest: str, clock: Clock) -> Arrival:
    """Find the part's bytes in the vault's folder, or put them there. Call it alone."""
    same = next(uploads_here(vault, size_bytes=part.claim.size_bytes, digest=digest), None)
    if same is not None:
        return Arrival(same.name, already=True)
    for name in free_names(part.claim.name):
        row = _reserve(vault, name, part.claim, digest)
        if row is not None and _place(upload_folder(vault), part.path, name):
            _, row.inode, row.mtime_ns = _identity(upload_folder(vault) / name) or (0, 0, 0)
            row.arrived_at = clock.utcnow()
            row.save()
            return Arrival(name, already=False)
        if row is not None:
            row.delete()
    raise AssertionError("names never end")


def _reserve(vault: Vault, name: str, claim: Claim, digest: str) -> UploadedFile | None:
    """Write the row of a file that is about to get `name`; None when another file has the name.

    A row is taken over when its file is gone, or when a request that was killed left it for the same bytes.
    """
    key = hashlib.sha256(name.encode()).hexdigest()
    row = UploadedFile(
        vault=vault, name=name, name_key=key, size_bytes=claim.size_bytes, digest=digest, first=claim.first
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        known = UploadedFile.unscoped.filter(vault=vault, name_key=key).first()
        gone = known is not None and not os.path.lexists(upload_folder(vault) / name)
        if known is None or not (gone or (known.arrived_at is None and known.digest == digest)):
            return None
        row.pk = known.pk
        row.save(force_update=True)
    return row


def _place(root: Path, part: Path, name: str) -> bool:
    """Give the part's bytes their name as well, durably; say whether the name was free or already theirs."""
    target = root / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(part, target, follow_symlinks=False)
    except FileExistsError:
        if not target.exists() or not os.path.samefile(part, target):
            return False
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}:
            raise
        if not _place_without_links(part, target):
            return False
    for folder in [target.parent, *target.parent.parents]:
        _sync(folder)
        if folder == root.parent:
            break
    return True


def _place_without_links(part: Path, target: Path) -> bool:
    """As `_place`, where the file system has no hard links: an empty file keeps the name free for a moment."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    os.replace(part, target)
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
