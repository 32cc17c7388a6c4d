"""Unfinished files: they grow piece by piece beside the vaults' folders, and know the digest of each piece they hold.

A piece is compared with the digest that the browser made of it before it is written, and its digest is written down
only when it is durable. So a part never claims bytes that it does not hold, whatever is killed; and a browser goes on
with a part only if all of its digests are its own file's: name and size say nothing, cameras use both again
(tus-php #444 and tus-js-client #112 met files made of two).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from backups.models import Vault
from backups.services.uploads.names import UploadRefused
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

PIECE_BYTES = 8 * 1024 * 1024  # of every piece but the last
FILE_BYTES_MAX = 5 * 1024**4
UNFINISHED_KEPT = timedelta(days=7)  # after its last piece
_DIGEST_BYTES = 32
_DIGESTS = ".digests"


class WrongOffset(Exception):
    """The piece does not continue what is here. offset: where to go on [bytes]."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"go on at byte {offset}")
        self.offset = offset


class PieceDamaged(Exception):
    """The piece that arrived is not the piece that was sent; sending it again helps."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a browser says of a file before it sends it.

    name:     as `names.safe_name` returns it.   size_bytes: of the whole file.
    modified: when it was last changed [ms since 1970], as the browser tells.
    first:    SHA-256 of the first piece, hex.
    branch:   "" at first; a digest that sets the file apart from a part whose later pieces are another file's.
    """

    name: str
    size_bytes: int
    modified: int
    first: str
    branch: str = ""

    @property
    def key(self) -> str:
        words = (self.name, str(self.size_bytes), str(self.modified), self.first, self.branch)
        return hashlib.sha256("\n".join(words).encode()).hexdigest()

    @property
    def pieces(self) -> int:
        return -(-self.size_bytes // PIECE_BYTES)


def whole_digest(digests: list[bytes]) -> str:
    """Return the digest of a file from those of its pieces, hex: SHA-256 over the SHA-256s, in order.

    Browsers hash no stream, only what they hold in memory; a digest over digests needs one piece at a time.
    """
    return hashlib.sha256(b"".join(digests)).hexdigest()


class Part:
    """One unfinished file, locked: two tabs may send it at once. Made by `part_locked`."""

    def __init__(self, claim: Claim, path: Path, content: BinaryIO, digests: BinaryIO) -> None:
        self.claim = claim
        self.path = path
        self._content = content
        self._digests = digests
        self.digests = self._proved()

    @property
    def offset(self) -> int:
        """How much of the file is here for certain [bytes]."""
        return min(len(self.digests) * PIECE_BYTES, self.claim.size_bytes)

    def append(self, offset: int, piece: bytes, digest: str) -> None:
        """Add the next piece. Raises WrongOffset, PieceDamaged, UploadRefused, OSError."""
        if offset != self.offset:
            raise WrongOffset(self.offset)
        if len(piece) != min(PIECE_BYTES, self.claim.size_bytes - offset):
            raise UploadRefused("This piece does not fit the file. Choose the file again.")
        found = hashlib.sha256(piece).digest()
        if not hmac.compare_digest(found.hex(), digest):
            raise PieceDamaged
        self._content.seek(offset)
        self._content.write(piece)
        self._content.truncate(offset + len(piece))
        self._content.flush()
        os.fdatasync(self._content.fileno())
        self._digests.seek(len(self.digests) * _DIGEST_BYTES)
        self._digests.write(found)
        self._digests.flush()
        os.fdatasync(self._digests.fileno())
        self.digests.append(found)

    def remove(self) -> None:
        """Forget the part: what it holds has its place, or is wanted by nobody."""
        for path in (self.path, _digests_of(self.path)):
            path.unlink(missing_ok=True)

    def _proved(self) -> list[bytes]:
        """Return the digests of the pieces whose bytes are here in full."""
        self._digests.seek(0)
        stored = self._digests.read()
        here = os.fstat(self._content.fileno()).st_size
        whole = self.claim.pieces if here >= self.claim.size_bytes else here // PIECE_BYTES
        count = min(len(stored) // _DIGEST_BYTES, whole)
        return [stored[place * _DIGEST_BYTES : (place + 1) * _DIGEST_BYTES] for place in range(count)]


@contextlib.contextmanager
def part_locked(vault: Vault, claim: Claim) -> Iterator[Part]:
    """Open the part of a file, made if need be, alone until the end of the body. Raises OSError."""
    path = unfinished_folder() / str(vault.id) / claim.key
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        content = stack.enter_context(_open(path))
        fcntl.flock(content, fcntl.LOCK_EX)
        if os.fstat(content.fileno()).st_nlink == 0:  # finished or cleared away while we waited for the lock
            raise WrongOffset(0)
        yield Part(claim, path, content, stack.enter_context(_open(_digests_of(path))))


def _open(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")


def _digests_of(path: Path) -> Path:
    return path.with_name(path.name + _DIGESTS)


def part_digests(vault: Vault, claim: Claim) -> list[bytes]:
    """Return the digests of the pieces that are here; nothing is made on the disk."""
    if not (unfinished_folder() / str(vault.id) / claim.key).exists():
        return []
    with part_locked(vault, claim) as part:
        return part.digests


def unfinished_clear(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Remove the parts of files that got no piece for UNFINISHED_KEPT, and return their number. There are few."""
    before = (clock.utcnow() - UNFINISHED_KEPT).timestamp()
    parts = [path for path in unfinished_folder().glob("*/*") if path.suffix != _DIGESTS]
    return sum(_clear(part, before) for part in parts)


def _clear(part: Path, before: float) -> bool:
    """Remove `part` if it was written last before `before` [s since 1970] and no piece for it arrives just now."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError):  # finished or cleared meanwhile; a piece arrives
        if part.lstat().st_mtime < before:
            with part.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(stream.fileno()).st_mtime < before:
                    part.unlink()
                    _digests_of(part).unlink(missing_ok=True)
                    return True
    return False


def unfinished_folder() -> Path:
    """Return the folder of what is unfinished: beside the vaults' folders, so that no backup sees it."""
    return Path(settings.HOME) / "uploads" / "unfinished"
