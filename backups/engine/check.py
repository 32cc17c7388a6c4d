"""Is a copy of a vault whole? With the key: structure, or every byte. Without it: names, sizes and hashes.

Nothing is changed. What is found says what it means and what to do; a name from `CheckResult.damaged` goes straight
into `replicate(..., damaged=...)`.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from backups.engine.browse import join, open_once
from backups.engine.copies import Copy, Listing, fetch_config, list_copy, object_name
from backups.engine.crypto import MasterKey
from backups.engine.errors import Damaged, EngineError
from backups.engine.format import CONFIG_NAME, BlobType, FileKind, file_name, hash_hex
from backups.engine.gonames import quote_name
from backups.engine.index import Index, PackRecord, decode_records
from backups.engine.pack import PackedBlob, open_blob, pack_bytes, read_header
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.repository import read_config, unpack_document
from backups.engine.snapshot import Snapshot, decode_snapshot
from backups.engine.streams import in_streams
from backups.engine.tree import Node
from backups.engine.vault_reader import VaultReader
from providers.stores.base import ChecksumMismatch, ObjectNotFound, StoreError

STREAMS = 4  # each holds one pack in memory

_REPAIR = "Repair this copy from another location."
_ASK = "Keep all other copies; restore what is needed from an older snapshot, and back the source up again."


class Kind(enum.Enum):
    """What can be wrong. advice: what a person should do. harmless: nothing is lost by it."""

    CONFIG_MISSING = ("config missing", _REPAIR)
    CONFIG_DAMAGED = ("config damaged", _REPAIR)
    KEY_MISSING = ("no key file", _REPAIR)
    KEY_DAMAGED = ("key file damaged", _REPAIR)
    INDEX_DAMAGED = ("index damaged", _REPAIR)
    SNAPSHOT_DAMAGED = ("snapshot damaged", _REPAIR)
    PACK_MISSING = ("pack missing", _REPAIR)
    PACK_SIZE = ("pack has another size", _REPAIR)
    PACK_DAMAGED = ("pack damaged", _REPAIR)
    PACK_WRONG = ("pack was written wrong", _ASK)
    PACK_UNINDEXED = ("pack in no index", "Nothing to do: the next prune removes it, or a running backup needs it.")
    FILE_MISSING = ("file missing", _REPAIR)
    TREE_UNREADABLE = ("folder list unreadable", _REPAIR)
    BLOB_MISSING = ("piece of a file missing", _REPAIR)
    ENTRY_WRONG = ("entry of a folder wrong", _ASK)
    NOT_READ = ("could not be read", "Check again when the location answers; until then it is not verified.")

    def __init__(self, label: str, advice: str) -> None:
        self.label = label
        self.advice = advice

    @property
    def harmless(self) -> bool:
        return self is Kind.PACK_UNINDEXED


class Finding(NamedTuple):
    """One thing that is wrong. name: the vault's file (or path in a snapshot) it is about. detail: for people."""

    kind: Kind
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind.label}: {self.name}: {self.detail}. {self.kind.advice}"


class Verdict(enum.StrEnum):
    """WHOLE: everything asked for was verified. UNKNOWN: nothing is wrong, but not everything could be read."""

    WHOLE = "whole"
    UNKNOWN = "unknown"
    DAMAGED = "damaged"


@dataclass(slots=True)
class CheckResult:
    """What a check saw. packs, bytes_read: read in full; snapshots, trees, blobs: of the structure."""

    findings: list[Finding] = field(default_factory=list)
    snapshots: int = 0
    trees: int = 0
    blobs: int = 0
    packs: int = 0
    bytes_read: int = 0

    @property
    def verdict(self) -> Verdict:
        kinds = {finding.kind for finding in self.findings if not finding.kind.harmless}
        if not kinds:
            return Verdict.WHOLE
        return Verdict.UNKNOWN if kinds == {Kind.NOT_READ} else Verdict.DAMAGED

    @property
    def damaged(self) -> set[str]:
        """Names of files to be replaced by a repair."""
        repairable = {kind for kind in Kind if kind.advice == _REPAIR}
        return {finding.name for finding in self.findings if finding.kind in repairable and _is_file(finding.name)}


def _is_file(name: str) -> bool:
    return name == CONFIG_NAME or name.split("/")[0] in set(FileKind)


def check(
    copy: Copy,
    master: MasterKey,
    *,
    read_data: bool = False,
    streams: int = STREAMS,
    listener: Listener = ignore,
    cancel: CancelToken | None = None,
) -> CheckResult:
    """Check one copy with the vault's key.

    read_data: also read every pack: hash, header, every blob.   streams: packs read at once.

    Raises StoreError when the location cannot be listed at all, Cancelled.
    """
    return _Check(copy, master, streams, listener, cancel or CancelToken()).run(read_data)


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

    def run(self, read_data: bool) -> CheckResult:
        listing = list_copy(self._copy)
        self._check_config()
        self._check_keys(listing[FileKind.KEYS])
        snapshots = self._load_snapshots(listing[FileKind.SNAPSHOTS])
        self._load_index(listing[FileKind.INDEX])
        self._compare_packs(listing[FileKind.DATA])
        self._walk(snapshots)
        if read_data:
            self._read_packs(listing[FileKind.DATA])
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

    def _read_packs(self, listed: Mapping[str, int]) -> None:
        """Read all packs, also those in no index: it may be the index that is damaged."""
        self._progress = Progress(step="read", files_total=len(listed), total_known=True)
        self._progress.bytes_total = sum(listed.values())
        in_streams(listed, self._read_pack, self._streams)

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


def verify_without_key(
    copy: Copy,
    *,
    expected: Listing | None = None,
    streams: int = STREAMS,
    listener: Listener = ignore,
    cancel: CancelToken | None = None,
) -> CheckResult:
    """Verify that every file of a copy has the content its name says, by the provider's hash or by reading it.

    expected: what the copy shall have, as `list_copy` of a good copy gives it; None means what is there.

    Raises StoreError when the location cannot be listed, Cancelled.
    """
    cancel = cancel or CancelToken()
    listing = list_copy(copy)
    result = CheckResult(findings=list(_compare_listings(listing, expected or listing)))
    if fetch_config(copy) is None:
        result.findings.append(
            Finding(Kind.CONFIG_MISSING, CONFIG_NAME, "without it no program takes this for a vault")
        )
    sizes = {file_name(kind, file_id): size for kind, files in listing.items() for file_id, size in files.items()}
    progress = Progress(step="verify", files_total=len(sizes), bytes_total=sum(sizes.values()), total_known=True)
    guard = threading.Lock()

    def verify(name: str) -> None:
        cancel.check()
        finding: Finding | None = None
        try:
            copy.store.verify(copy.prefix + name, sha256=name.rsplit("/", 1)[1])
        except (ObjectNotFound, ChecksumMismatch) as exc:
            finding = Finding(_damage_of(name), name, str(exc))
        except StoreError as exc:
            finding = Finding(Kind.NOT_READ, name, str(exc))
        with guard:
            result.findings += [finding] if finding else []
            result.packs += name.startswith(FileKind.DATA)
            result.bytes_read += sizes[name]
            progress.files_done += 1
            progress.bytes_done += sizes[name]
        listener(progress)

    in_streams(sizes, verify, streams)
    return result


def _compare_listings(listing: Listing, expected: Listing) -> Iterable[Finding]:
    for kind, files in expected.items():
        for file_id, size in files.items():
            there = listing[kind].get(file_id)
            if there is None:
                missing = Kind.PACK_MISSING if kind is FileKind.DATA else Kind.FILE_MISSING
                yield Finding(missing, file_name(kind, file_id), "other copies have it")
            elif there != size:
                yield Finding(
                    _damage_of(file_name(kind, file_id)), file_name(kind, file_id), f"{there} bytes, not {size}"
                )


def _damage_of(name: str) -> Kind:
    kinds = {
        FileKind.DATA: Kind.PACK_DAMAGED,
        FileKind.INDEX: Kind.INDEX_DAMAGED,
        FileKind.SNAPSHOTS: Kind.SNAPSHOT_DAMAGED,
        FileKind.KEYS: Kind.KEY_DAMAGED,
    }
    return kinds[FileKind(name.split("/")[0])]
