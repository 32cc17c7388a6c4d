"""How bytes go up to Azure: hashes that the server checks and keeps, and blocks that can be resumed.

Functions here raise the SDK's own exceptions; `providers.stores.azure` is their only caller and maps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, ContentSettings, StandardBlobTier

from providers.stores.errors import ChecksumMismatch
from providers.stores.transfer import Body, Pace
from wedbackup.core.clock import Clock

BLOCKS_MAX = 50_000
STAGED_AT_ONCE = 4
SHA256_KEY = "sha256"


@dataclass(frozen=True)
class Content:
    """An object's bytes with both of its hashes."""

    view: memoryview
    sha256: str
    md5: bytes

    @classmethod
    def of(cls, view: memoryview, sha256: str | None) -> Content:
        """Hash `view`. Raises ChecksumMismatch if it is not what `sha256` says: Azure would keep the wrong promise."""
        found = hashlib.sha256(view).hexdigest()
        if sha256 not in (None, found):
            raise ChecksumMismatch("the content is not what its SHA-256 says; nothing was sent")
        return cls(view, found, _md5(view))

    def properties(self, tier: StandardBlobTier | None) -> dict[str, Any]:
        """Return the arguments by which both hashes are stored in the request that makes the blob."""
        settings = ContentSettings(content_type="application/octet-stream", content_md5=bytearray(self.md5))
        return {"metadata": {SHA256_KEY: self.sha256}, "content_settings": settings, "standard_blob_tier": tier}

    def is_in(self, found: Any) -> bool:
        """Say whether the blob with the properties `found` was made of this content."""
        return bool(
            found.size == len(self.view)
            and stored_sha256(found) == self.sha256
            and bytes(found.content_settings.content_md5 or b"") == self.md5
        )


def stored_sha256(found: Any) -> str | None:
    """Return the SHA-256 that was recorded when the blob with the properties `found` was made."""
    recorded = {name.lower(): value for name, value in (found.metadata or {}).items()}
    return recorded.get(SHA256_KEY)


def put_at_once(blob: BlobClient, content: Content, tier: StandardBlobTier | None) -> None:
    """Make the blob by one Put Blob, which the server refuses if the MD5 of what arrives is another."""
    blob.upload_blob(
        bytes(content.view),
        length=len(content.view),
        overwrite=True,
        transactional_content_md5=bytearray(content.md5),
        **content.properties(tier),
    )


@dataclass(frozen=True)
class BlockUpload:
    """One blob going up in blocks of `block_bytes` [bytes], every block checked by the server.

    A block's id is its position and its SHA-256, so a block that an earlier attempt left is known to hold these bytes.
    """

    blob: BlobClient
    content: Content
    block_bytes: int
    clock: Clock

    def stage(self) -> list[str]:
        """Send the blocks that the server does not have yet; return the ids of all, in order.

        The first goes alone: if it is refused, no other was sent in vain, and none is left there.
        """
        kept = self._kept()
        first, *rest = self._pieces()
        ids = [self._stage(0, first, kept)]
        with ThreadPoolExecutor(STAGED_AT_ONCE, thread_name_prefix="azure-blocks") as pool:
            futures = [pool.submit(self._stage, number, piece, kept) for number, piece in enumerate(rest, start=1)]
            done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
            if waiting:  # one has failed: do not begin the others
                pool.shutdown(cancel_futures=True)
        failed = next((error for future in done if (error := future.exception())), None)
        if failed:
            raise failed
        return ids + [future.result() for future in futures]

    def commit(self, ids: list[str], tier: StandardBlobTier | None) -> None:
        """Make the blob out of its blocks."""
        blocks = [BlobBlock(block_id) for block_id in ids]
        self.blob.commit_block_list(blocks, validate_content=True, **self.content.properties(tier))

    def _stage(self, number: int, piece: memoryview, kept: frozenset[tuple[str, int]]) -> str:
        block_id = f"{number:05d}-{hashlib.sha256(piece).hexdigest()[:40]}"
        if (block_id, len(piece)) not in kept:
            body: Any = Body(piece, Pace(self.clock))
            md5 = bytearray(_md5(piece))
            self.blob.stage_block(block_id, body, length=len(piece), transactional_content_md5=md5)
        return block_id

    def _pieces(self) -> Iterator[memoryview]:
        view = self.content.view
        block_bytes = max(self.block_bytes, -(-len(view) // BLOCKS_MAX))
        for start in range(0, len(view), block_bytes):
            yield view[start : start + block_bytes]

    def _kept(self) -> frozenset[tuple[str, int]]:
        """Return id and size of the blocks that an earlier attempt left; none if we may not look."""
        try:
            _, uncommitted = self.blob.get_block_list("uncommitted")
        except ResourceNotFoundError as exc:
            if "ContainerNotFound" in str(exc):
                raise
            return frozenset()
        except HttpResponseError as exc:
            if exc.status_code == 403:  # a write-only token: staging will tell if it is more than that
                return frozenset()
            raise
        return frozenset((str(block.id), int(block.size or 0)) for block in uncommitted)


def _md5(view: memoryview) -> bytes:
    return hashlib.md5(view, usedforsecurity=False).digest()
