"""Writes snapshots with exactly the nodes a test wants, also ones that an honest writer never makes."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Union

from backups.engine.format import BlobType, FileKind
from backups.engine.format.compression import compress
from backups.engine.format.index import PackRecord, encode_records
from backups.engine.format.pack import PackBuilder, header_room
from backups.engine.format.repository import Repository, pack_document
from backups.engine.format.snapshot import encode_snapshot
from backups.engine.format.tree import encode_node, encode_tree
from tests.backups.engine.places import NOW

BLOB_BYTES = 1000  # tiny, so that small files have several
PACK_BYTES = 16 * 1024


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: bytes


Folder = Mapping[bytes, Union[bytes, Link, "Folder"]]


class SnapshotWriter:
    """Puts blobs into small packs of each given copy of one vault."""

    def __init__(self, copies: Sequence[Repository]) -> None:
        self._copies = copies
        self._key = copies[0].master
        self._known: set[bytes] = set()
        self._records: list[PackRecord] = []
        self._open: dict[BlobType, PackBuilder] = {}

    def write(self, folder: Folder, *, time: int = NOW) -> str:
        """Write `folder` as the root of a snapshot and return the snapshot's id."""
        tree = self.tree(folder)
        for kind in list(self._open):
            self._flush(kind)
        for index in encode_records(self._records):
            self._publish(FileKind.INDEX, index)
        self._records = []
        document = encode_snapshot(time=time, tree=tree, paths=("/",), hostname="studio", username="ana")
        return self._publish(FileKind.SNAPSHOTS, document)

    def _publish(self, kind: FileKind, document: dict[str, Any]) -> str:
        file_id, stored = pack_document(self._key, document)
        for copy in self._copies:
            copy.store.put(copy.name(kind, file_id), stored, sha256=file_id)
        return file_id

    def tree(self, folder: Folder) -> bytes:
        """Write a folder and all below it; return its tree's id."""
        nodes = []
        for name, entry in sorted(folder.items()):
            if isinstance(entry, Link):
                nodes.append(encode_node(name, status(stat.S_IFLNK | 0o777), link_target=entry.target))
            elif isinstance(entry, bytes):
                blobs = [entry[i : i + BLOB_BYTES] for i in range(0, len(entry), BLOB_BYTES)]
                ids = [self.blob(BlobType.DATA, blob) for blob in blobs]
                nodes.append(encode_node(name, status(stat.S_IFREG | 0o640, len(entry)), content=ids))
            else:
                nodes.append(encode_node(name, status(stat.S_IFDIR | 0o750), subtree=self.tree(entry)))
        return self.blob(BlobType.TREE, encode_tree(nodes))

    def blob(self, kind: BlobType, plain: bytes) -> bytes:
        """Put one blob into an open pack, once, and return its id."""
        blob_id = sha256(plain).digest()
        if blob_id in self._known:
            return blob_id
        self._known.add(blob_id)
        if kind not in self._open:
            self._open[kind] = PackBuilder(self._key, kind, bytearray(PACK_BYTES * 4 + header_room(500)))
        packed = compress(plain)
        if len(packed) < len(plain):
            self._open[kind].add(blob_id, packed, len(plain))
        else:
            self._open[kind].add(blob_id, plain, 0)
        if self._open[kind].length > PACK_BYTES:
            self._flush(kind)
        return blob_id

    def _flush(self, kind: BlobType) -> None:
        builder = self._open.pop(kind)
        pack = bytes(builder.finish())
        pack_id = sha256(pack).hexdigest()
        for copy in self._copies:
            copy.store.put(copy.name(FileKind.DATA, pack_id), pack, sha256=pack_id)
        self._records.append(PackRecord(pack_id, kind, builder.blobs))


def status(mode: int, size: int = 0) -> os.stat_result:
    """Return the stat of an imaginary entry of ours, last changed at NOW."""
    seconds = NOW // 1_000_000_000
    fields = (mode, 4711, 1, 1, os.getuid(), os.getgid(), size, seconds, seconds, seconds)
    times = {"st_mtime_ns": NOW, "st_atime_ns": NOW, "st_ctime_ns": NOW}
    return os.stat_result(fields, times)


def write_snapshot(copies: Sequence[Repository], folder: Folder, *, time: int = NOW) -> str:
    """Write one snapshot to all `copies` of one vault, the same packs to each; return its id."""
    return SnapshotWriter(copies).write(folder, time=time)
