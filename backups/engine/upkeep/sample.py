"""A look into a copy at random: between two full reads, where the provider itself proves nothing.

A sample finds what is widespread soon and what is rare late; it never says more than what was read.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from backups.engine.errors import Damaged
from backups.engine.format import BlobType, FileKind, file_name
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import Entry, Index
from backups.engine.format.pack import open_blob
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.streams import in_streams
from backups.engine.upkeep.copies import Copy, object_name
from backups.engine.upkeep.findings import Finding, Kind, Sample
from providers.stores.errors import ChecksumMismatch, ObjectNotFound, StoreError

STREAMS = 4
_SYSTEM_RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class _Blob:
    blob_id: bytes
    entry: Entry


def sample(
    copy: Copy,
    master: MasterKey,
    index: Index,
    *,
    bytes_max: int,
    rng: random.Random = _SYSTEM_RANDOM,
    listener: Listener = ignore,
    cancel: CancelToken | None = None,
) -> tuple[Sample, list[Finding]]:
    """Read random blobs of `copy` by ranges, decrypt them and compare their hashes.

    index:     of the copy.
    bytes_max: how much may be read [bytes]; one blob is read in any case, if there is any.
    rng:       source of the choice; nobody should be able to guess which blobs are looked at.

    Returns what was read, and what is wrong with the packs that were looked into. Raises Cancelled.
    """
    return _Sampling(copy, master, listener, cancel or CancelToken()).run(_blobs(index), bytes_max, rng)


def _blobs(index: Index) -> list[_Blob]:
    return [_Blob(blob_id, entry) for kind in BlobType for blob_id, entry in index.entries(kind).items()]


def _chosen(blobs: list[_Blob], bytes_max: int, rng: random.Random) -> list[_Blob]:
    """Return as many of the `blobs`, in random order, as `bytes_max` allows."""
    rng.shuffle(blobs)
    chosen: list[_Blob] = []
    left = bytes_max
    for blob in blobs:
        if blob.entry.length > left and chosen:
            break  # going on to smaller ones would look at small ones more often
        chosen.append(blob)
        left -= blob.entry.length
    return chosen


class _Sampling:
    def __init__(self, copy: Copy, master: MasterKey, listener: Listener, cancel: CancelToken) -> None:
        self._copy = copy
        self._master = master
        self._listener = listener
        self._cancel = cancel
        self._findings: dict[str, Finding] = {}
        self._progress = Progress(step="sample", total_known=True)
        self._guard = threading.Lock()

    def run(self, blobs: list[_Blob], bytes_max: int, rng: random.Random) -> tuple[Sample, list[Finding]]:
        total = len(blobs)
        chosen = _chosen(blobs, bytes_max, rng)
        self._progress.files_total = len(chosen)
        self._progress.bytes_total = sum(blob.entry.length for blob in chosen)
        in_streams(chosen, self._look, STREAMS)
        read = Sample(self._progress.files_done, total, self._progress.bytes_done)
        return read, list(self._findings.values())

    def _look(self, blob: _Blob) -> None:
        self._cancel.check()
        entry = blob.entry
        try:
            name = object_name(self._copy, FileKind.DATA, entry.pack_id)
            stored = self._copy.store.get(name, offset=entry.offset, length=entry.length)
            open_blob(self._master, stored, entry.plain_length, blob.blob_id)
        except ObjectNotFound as exc:
            self._find(Kind.PACK_MISSING, entry.pack_id, str(exc))
        except (Damaged, ChecksumMismatch) as exc:
            self._find(Kind.PACK_DAMAGED, entry.pack_id, f"found by a sample: {exc}")
        except StoreError as exc:
            self._find(Kind.NOT_READ, entry.pack_id, str(exc))
            return
        with self._guard:
            self._progress.files_done += 1
            self._progress.bytes_done += entry.length
        self._listener(self._progress)

    def _find(self, kind: Kind, pack_id: str, detail: str) -> None:
        name = file_name(FileKind.DATA, pack_id)
        with self._guard:
            self._findings.setdefault(name, Finding(kind, name, detail))
