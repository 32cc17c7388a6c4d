"""Files sent by a browser: in pieces of at most 8 MiB, resumed where they stopped, kept in a folder of the vault.

The folder HOME/uploads/<vault id> is a source of the vault like any other. A file grows as a part beside it and gets
its name only when it is complete and on the disk, so that a backup never sees half a file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import unicodedata
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from backups.models import Source, Vault
from backups.services.vaults import source_add
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.templatetags.words import size

PIECE_BYTES_MAX = 8 * 1024 * 1024
NAME_BYTES_MAX = 240  # file systems take 255; room for " (2)"
FILE_BYTES_MAX = 5 * 1024**4
RESERVE_BYTES = 2 * 1000**3  # of the disk, kept for the database beside the uploads and for the backups' caches
UNFINISHED_KEPT = timedelta(days=7)  # after its last piece
_RESERVED = {"", ".", ".."}


class UploadRefused(Exception):
    """The piece was not taken; the message says why and what to do."""


class WrongOffset(Exception):
    """The piece does not continue what is here. offset: where to go on [bytes]."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"go on at byte {offset}")
        self.offset = offset


def safe_name(path: str) -> str:
    """Return a relative path of a file as it may be stored. Raises UploadRefused for a hostile one.

    path: as the browser gives it, "/" between folders.
    """
    if len(path) > 2000:
        raise UploadRefused("The name of this file with its folders is too long. Shorten it and try again.")
    parts = [part for part in unicodedata.normalize("NFC", path).split("/") if part]
    if not parts or len(parts) > 20:
        raise UploadRefused("This file has no usable name. Rename it and try again.")
    for part in parts:
        _check_part(part)
    return "/".join(parts)


def _check_part(part: str) -> None:
    if part in _RESERVED or "\\" in part or part.startswith("."):
        raise UploadRefused(
            f"The name {_shown(part)} leads out of its folder or is hidden. Rename it without a dot or slash in front."
        )
    # Cc: control characters and line ends; Cf: marks that turn the direction of writing; Cs: broken characters.
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in part):
        raise UploadRefused(f"The name {_shown(part)} holds invisible characters. Rename the file and try again.")
    if len(part.encode()) > NAME_BYTES_MAX:
        raise UploadRefused(f"The name {_shown(part[:30])}… is too long. Shorten it and try again.")


def _shown(part: str) -> str:
    """Return a name as it can be shown without doing harm."""
    return "“" + "".join(letter if letter.isprintable() else "�" for letter in part[:60]) + "”"


def upload_folder(vault: Vault) -> Path:
    """Return the folder that holds what was uploaded into `vault`."""
    return Path(settings.HOME) / "uploads" / str(vault.id)


def upload_offset(vault: Vault, name: str, size_bytes: int) -> int:
    """Return how much of the file is here already [bytes]; `size_bytes` when it is complete. Raises UploadRefused."""
    name = safe_name(name)
    finished = upload_folder(vault) / name
    if finished.is_file() and finished.stat().st_size == size_bytes:
        return size_bytes
    part = _part(vault, name, size_bytes)
    return part.stat().st_size if part.exists() else 0


def upload_piece(vault: Vault, name: str, *, size_bytes: int, offset: int, piece: bytes) -> int:
    """Append `piece` to the file `name` and return how much of it is here now [bytes].

    size_bytes: of the whole file.   offset: where the piece belongs.

    Raises WrongOffset when the piece does not continue what is here, UploadRefused for what cannot be taken.
    """
    name = safe_name(name)
    if not 0 <= size_bytes <= FILE_BYTES_MAX or len(piece) > PIECE_BYTES_MAX or offset + len(piece) > size_bytes:
        raise UploadRefused("This piece does not fit the file. Choose the file again.")
    _check_reserve(len(piece))
    part = _part(vault, name, size_bytes)
    try:
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        here = _append(part, offset, piece, whole=size_bytes)
        if here == size_bytes:
            _finish(vault, part, name)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise UploadRefused(
                "The disk for uploads is full. Tell an admin; the upload goes on from here later."
            ) from error
        raise
    return here


def _check_reserve(piece_bytes: int) -> None:
    """Raise UploadRefused when the disk would have less than RESERVE_BYTES left: a full disk stops the database too."""
    if shutil.disk_usage(settings.HOME).free - piece_bytes < RESERVE_BYTES:
        raise UploadRefused(
            f"The disk for uploads is nearly full: the last {size(RESERVE_BYTES)} are kept free. "
            "Tell an admin; the upload goes on from here later."
        )


def _append(part: Path, offset: int, piece: bytes, *, whole: int) -> int:
    """Write `piece` at the end of the part under a lock: two tabs may send the same file."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        status = os.fstat(stream.fileno())
        if status.st_nlink == 0:  # cleared away while we waited for the lock
            raise WrongOffset(0)
        here = status.st_size
        if here != offset:
            raise WrongOffset(here)
        stream.seek(offset)
        stream.write(piece)
        stream.flush()
        if offset + len(piece) == whole:
            os.fsync(stream.fileno())
    return offset + len(piece)


def _finish(vault: Vault, part: Path, name: str) -> None:
    """Give the complete file its name, never another file's, and make sure that the folder is a source."""
    root = upload_folder(vault)
    target = root / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = _free(target)
    os.rename(part, target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    if not Source.unscoped.filter(vault=vault, path=str(root)).exists():
        source_add(vault, str(root))


def _free(target: Path) -> Path:
    """Return `target`, or "name (2).ext" and so on when a file of that name is there: nothing is overwritten."""
    free, number = target, 2
    while os.path.lexists(free):
        free = target.with_name(f"{target.stem} ({number}){target.suffix}")
        number += 1
    return free


def unfinished_clear(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Remove the parts of files that got no piece for UNFINISHED_KEPT, and return their number. There are few."""
    before = (clock.utcnow() - UNFINISHED_KEPT).timestamp()
    return sum(_clear(part, before) for part in _unfinished().glob("*/*"))


def _clear(part: Path, before: float) -> bool:
    """Remove `part` if it was written last before `before` [s since 1970] and no piece for it arrives just now."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError):  # finished or cleared meanwhile; a piece arrives
        if part.lstat().st_mtime < before:
            with part.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(stream.fileno()).st_mtime < before:
                    part.unlink()
                    return True
    return False


def _unfinished() -> Path:
    """Return the folder of what is unfinished: beside the vaults' folders, so that no backup sees it."""
    return Path(settings.HOME) / "uploads" / "unfinished"


def _part(vault: Vault, name: str, size_bytes: int) -> Path:
    """Return where the unfinished file grows."""
    key = hashlib.sha256(f"{name}\n{size_bytes}".encode()).hexdigest()
    return _unfinished() / str(vault.id) / key
