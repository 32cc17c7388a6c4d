"""Where a file is cut into blobs: FastCDC, so that an insertion moves one or two cuts and not all that follow.

Any cutting is valid in the format (restic re-assembles blobs by their list). pyfastcdc is fast and frees the GIL; its
seed is weak protection against guessing content from chunk sizes, so the random choice between open packs matters.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyfastcdc import FastCDC

from backups.engine.format import BLOB_AVERAGE_BYTES, BLOB_MAX_BYTES, BLOB_MIN_BYTES


class Chunker:
    """Cuts buffers for one vault. Not safe for several threads at once."""

    def __init__(self, seed: int) -> None:
        """seed: the vault's chunker polynomial, so that two vaults cut differently."""
        self._cdc = FastCDC(BLOB_AVERAGE_BYTES, min_size=BLOB_MIN_BYTES, max_size=BLOB_MAX_BYTES, seed=seed)

    def cut(self, window: memoryview) -> Iterator[memoryview]:
        """Yield consecutive pieces that together are `window`.

        A caller that streams a long file must not use a piece that ends within BLOB_MAX_BYTES of the window's end
        unless that is the file's end: with more bytes behind it the cut might lie elsewhere.
        """
        for chunk in self._cdc.cut_buf(window):
            yield window[chunk.offset : chunk.offset + chunk.length]
