"""Is a copy of a vault whole? Checks its structure, or every byte, with the key; `verify` does what goes without.

Nothing is changed. What is found says what it means and what to do; a name from `CheckResult.damaged` goes straight
into `replicate(..., damaged=...)`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from backups.engine.errors import Damaged, EngineError
from backups.engine.format import CONFIG_NAME, BlobType, FileKind, file_name, hash_hex
from backups.engine.format.crypto import MasterKey
from backups.engine.format.gonames import quote_name
from backups.engine.format.index import Index, PackRecord, decode_records
from backups.engine.format.pack import PackedBlob, open_blob, pack_bytes, read_header
from backups.engine.format.repository import read_config, unpack_document
from backups.engine.format.snapshot import Snapshot, decode_snapshot
from backups.engine.format.tree import Node
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.restore.browse import join, open_once
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.streams import in_streams
from backups.engine.upkeep.copies import Copy, fetch_config, list_copy, object_name
from backups.engine.upkeep.findings import CheckResult, Finding, Kind, Verdict
from backups.engine.upkeep.sample import sample
from providers.stores.errors import ChecksumMismatch, ObjectNotFound, StoreError

__all__ = ["CheckResult", "Finding", "Kind", "Verdict", "check"]

STREAMS = 4  # each holds one pack in memory
_OF_THE_INDEX = frozenset({Kind.INDEX_DAMAGED, Kind.BLOB_MISSING, Kind.TREE_UNREADABLE})


def check(
    copy: Copy,
    master: MasterKey,
    *,
    read_data: bool = False,
    part: tuple[int, int] | None = None,
    sample_bytes: int = 0,
    streams: int = STREAMS,
    listener: Listener = ignore,
    cancel: CancelToken | None = None,
) -> CheckResult:
    """Check one copy with the vault's key.

    read_data:    also read every pack: hash, header, every blob.   streams: packs read at once.
    part:         (number from 0 on, of how many): read only these packs; all parts together are all packs.
    sample_bytes: if not everything is read, read random blobs of so many bytes [bytes].

    Raises StoreError when the location cannot be listed at all, Cancelled.
    """
    return _Check(copy, master, streams, listener, cancel or CancelToken()).run(read_data, part or (0, 1), sample_bytes)


class _Check:
    def __init__(self, copy: Copy, master: MasterKey, streams: int, listener: Listener, cancel: CancelToken) -> None:
        self._copy = copy
        self._master = master
        self._streams = streams
        self._listener = listener
        self._cancel = cancel
        self._result = CheckResult()
        self._progress = Progress(step="structure")
        self._packs: dict[str, dict[int, tuple[BlobType, PackedBlob]]] = {}  # pack -> offset -> blob
        self._index = Index()
        self._guard = threading.Lock()

    def run(self, read_data: bool, part: tuple[int, int], sample_bytes: int) -> CheckResult:
        listing = list_copy(self._copy)
        self._check_config()
        self._check_keys(listing[FileKind.KEYS])
        snapshots = self._load_snapshots(listing[FileKind.SNAPSHOTS])
        self._load_index(listing[FileKind.INDEX])
        self._compare_packs(listing[FileKind.DATA])
        self._walk(snapshots)
        if read_data:
            self._read_packs(self._to_read(listing[FileKind.DATA], *part))
        elif sample_bytes:
            self._read_sample(sample_bytes)
        return self._result

    def _find(self, kind: Kind, name: str, detail: str) -> None:
        with self._guard:
            self._result.findings.append(Finding(kind, name, detail))

    # --- structure ---------------------------------------------------------------------------------------------

    def _check_config(self) -> None:
        try:
            config = fetch_config(self._copy)
            if config is None:
                self._find(Kind.CONFIG_MISSING, CONFIG_NAME, "without it no program takes this for a vault")
            else:
                read_config(self._master, config)
        except Damaged as exc:
            self._find(Kind.CONFIG_DAMAGED, CONFIG_NAME, str(exc))
        except StoreError as exc:
            self._find(Kind.NOT_READ, CONFIG_NAME, str(exc))

    def _check_keys(self, keys: Iterable[str]) -> None:
        present = list(keys)
        if not present:
            self._find(Kind.KEY_MISSING, "keys", "nobody can open this copy without a key file")
        for file_id in present:
            self._fetch(FileKind.KEYS, file_id, Kind.KEY_DAMAGED)

    def _fetch(self, kind: FileKind, file_id: str, damaged: Kind) -> bytes | None:
        """Return a file whose bytes fit its name; otherwise note a finding and return None."""
        name = file_name(kind, file_id)
        try:
            stored = self._copy.store.get(object_name(self._copy, kind, file_id))
        except (ObjectNotFound, ChecksumMismatch) as exc:
            self._find(damaged, name, str(exc))
            return None
        except StoreError as exc:
            self._find(Kind.NOT_READ, name, str(exc))
            return None
        if hash_hex(stored) != file_id:
            self._find(damaged, name, "its bytes do not hash to its name")
            return None
        return stored

    def _load_snapshots(self, snapshots: Iterable[str]) -> list[Snapshot]:
        found = []
        for file_id in snapshots:
            stored = self._fetch(FileKind.SNAPSHOTS, file_id, Kind.SNAPSHOT_DAMAGED)
            if stored is None:
                continue
            try:
                found.append(decode_snapshot(file_id, unpack_document(self._master, file_id, stored)))
            except Damaged as exc:
                self._find(Kind.SNAPSHOT_DAMAGED, file_name(FileKind.SNAPSHOTS, file_id), str(exc))
        self._result.snapshots = len(found)
        return found

    def _load_index(self, files: Iterable[str]) -> None:
        for file_id in files:
            self._cancel.check()
            stored = self._fetch(FileKind.INDEX, file_id, Kind.INDEX_DAMAGED)
            if stored is None:
                continue
            try:
                for record in decode_records(unpack_document(self._master, file_id, stored)):
                    self._add_record(record)
            except Damaged as exc:
                self._find(Kind.INDEX_DAMAGED, file_name(FileKind.INDEX, file_id), str(exc))
        self._result.blobs = len(self._index)

    def _add_record(self, record: PackRecord) -> None:
        self._index.add(record)
        blobs = self._packs.setdefault(record.pack_id, {})
        for blob in record.blobs:
            blobs[blob.offset] = (record.blob_type, blob)

    def _compare_packs(self, listed: Mapping[str, int]) -> None:
        for pack_id, blobs in self._packs.items():
            name = file_name(FileKind.DATA, pack_id)
            expected = pack_bytes(blob for _, blob in blobs.values())
            if pack_id not in listed:
                self._find(Kind.PACK_MISSING, name, f"the index counts on its {len(blobs)} blobs")
            elif listed[pack_id] != expected:
                self._find(Kind.PACK_SIZE, name, f"{listed[pack_id]} bytes instead of {expected}")
        for pack_id in listed.keys() - self._packs.keys():
            self._find(Kind.PACK_UNINDEXED, file_name(FileKind.DATA, pack_id), f"{listed[pack_id]} bytes")

    # --- what the snapshots need -------------------------------------------------------------------------------

    def _walk(self, snapshots: Iterable[Snapshot]) -> None:
        """Look at every tree once, however many snapshots share it, and at every blob that a file needs."""
        self._progress.step = "trees"
        reader = VaultReader({"copy": self._copy}, self._master)
        reader.index = self._index
        missing: set[bytes] = set()
        roots = {snapshot.tree: f"{snapshot.snapshot_id[:8]}:".encode() for snapshot in snapshots}
        for _, (path, nodes, refused) in open_once(reader, roots):
            self._cancel.check()
            self._result.trees += 1
            for name, reason in refused:
                self._find(Kind.ENTRY_WRONG, quote_name(join(path, name)), reason)
            if isinstance(nodes, EngineError):
                self._find(Kind.TREE_UNREADABLE, quote_name(path), str(nodes))
                continue
            for node in nodes:
                self._check_content(join(path, node.name), node, missing)
            self._progress.files_done = self._result.trees
            self._listener(self._progress)

    def _check_content(self, path: bytes, node: Node, missing: set[bytes]) -> None:
        entries = self._index.entries(BlobType.DATA)
        size = 0
        for blob_id in node.content:
            entry = entries.get(blob_id)
            if entry is not None:
                size += entry.size_bytes
                continue
            size = -1
            if blob_id not in missing:
                missing.add(blob_id)
                self._find(Kind.BLOB_MISSING, quote_name(path), f"blob {blob_id.hex()[:12]} is in no index")
            break
        if node.type == "file" and size not in (-1, node.size):
            self._find(Kind.ENTRY_WRONG, quote_name(path), f"{node.size} bytes claimed, its pieces have {size}")

    # --- every byte --------------------------------------------------------------------------------------------

    def _to_read(self, listed: Mapping[str, int], part: int, parts: int) -> dict[str, int]:
        """Return the packs to read. What no index names is read only where it may be the index that is wrong."""
        index_is_wrong = any(finding.kind in _OF_THE_INDEX for finding in self._result.findings)
        return {
            pack_id: size
            for pack_id, size in listed.items()
            if int(pack_id[:8], 16) % parts == part and (index_is_wrong or pack_id in self._packs)
        }

    def _read_packs(self, chosen: Mapping[str, int]) -> None:
        self._progress = Progress(step="read", files_total=len(chosen), total_known=True)
        self._progress.bytes_total = sum(chosen.values())
        in_streams(chosen, self._read_pack, self._streams)

    def _read_sample(self, sample_bytes: int) -> None:
        """Read random blobs; what is known to be missing already is not told twice."""
        self._result.sample, found = sample(
            self._copy,
            self._master,
            self._index,
            bytes_max=sample_bytes,
            listener=self._listener,
            cancel=self._cancel,
        )
        known = {finding.name for finding in self._result.findings}
        self._result.findings += [finding for finding in found if finding.name not in known]

    def _read_pack(self, pack_id: str) -> None:
        self._cancel.check()
        stored = self._fetch(FileKind.DATA, pack_id, Kind.PACK_DAMAGED)
        if stored is not None and pack_id in self._packs:
            try:
                self._open_pack(pack_id, stored)
            except Damaged as exc:  # the hash fits, so it was sealed like this: other copies are the same
                self._find(Kind.PACK_WRONG, file_name(FileKind.DATA, pack_id), str(exc))
        with self._guard:
            self._result.packs += 1
            self._result.bytes_read += len(stored or b"")
            self._progress.files_done += 1
            self._progress.bytes_done += len(stored or b"")
        self._listener(self._progress)

    def _open_pack(self, pack_id: str, stored: bytes) -> None:
        view = memoryview(stored)
        _, blobs = read_header(self._master, stored, len(stored))
        indexed = [blob for _, (_, blob) in sorted(self._packs[pack_id].items())]
        if blobs != indexed:
            raise Damaged("its header and the index tell different things")
        for blob in blobs:
            open_blob(self._master, view[blob.offset : blob.offset + blob.length], blob.plain_length, blob.blob_id)
