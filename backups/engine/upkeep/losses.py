"""Which files are lost: those of which a piece can be had from no copy at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from backups.engine.errors import EngineError
from backups.engine.format import BlobType, FileKind, file_name
from backups.engine.format.crypto import MasterKey
from backups.engine.format.gonames import quote_name
from backups.engine.format.index import Index
from backups.engine.progress import CancelToken
from backups.engine.restore.browse import join, open_once
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Copy


@dataclass(frozen=True, slots=True)
class Losses:
    """What no copy gives whole.

    by_snapshot: paths of files, and of folders (with a "/" at the end), sorted; snapshots without a loss are absent.
    readable:    ids of the snapshots whose own file some copy gives.
    certain:     every copy answered whatever it was asked; otherwise one that was silent may have what seems lost.
    """

    by_snapshot: dict[str, list[str]]
    readable: frozenset[str]
    certain: bool

    @property
    def paths(self) -> list[str]:
        """All of them once, sorted."""
        return sorted({path for paths in self.by_snapshot.values() for path in paths})


def find_losses(
    copies: Mapping[str, Copy], master: MasterKey, suspects: Collection[str], *, cancel: CancelToken | None = None
) -> Losses:
    """Look through all snapshots for what no copy gives whole.

    suspects: names of the packs that are known to be damaged or missing anywhere; the others are taken to be whole.

    Raises StoreError when no copy answers, Cancelled.
    """
    cancel = cancel or CancelToken()
    reader = VaultReader(copies, master)
    snapshots = reader.snapshots()
    index = reader.load_index()
    unreadable = frozenset(_unreadable(reader, index, frozenset(suspects), cancel))
    holes = _Holes()
    for tree, (_, nodes, _refused) in open_once(reader, {snapshot.tree: b"" for snapshot in snapshots}):
        cancel.check()
        if isinstance(nodes, EngineError):
            holes.gone.add(tree)
            continue
        for node in nodes:
            if node.subtree is not None:
                holes.below.setdefault(tree, []).append((node.name, node.subtree))
            elif any(not index.has(BlobType.DATA, blob) or blob in unreadable for blob in node.content):
                holes.files.setdefault(tree, []).append(node.name)
    found = {snapshot.snapshot_id: sorted(map(quote_name, holes.under(snapshot.tree))) for snapshot in snapshots}
    certain = not any(problem.unanswered for problem in reader.problems)
    lost = {snapshot_id: paths for snapshot_id, paths in found.items() if paths}
    return Losses(lost, frozenset(found), certain)


@dataclass
class _Holes:
    """Where something is missing, tree by tree: many snapshots share a tree, and it is looked at once."""

    files: dict[bytes, list[bytes]] = field(default_factory=dict)
    below: dict[bytes, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    known: dict[bytes, list[bytes]] = field(default_factory=dict)

    def under(self, tree: bytes) -> list[bytes]:
        """Return the paths below `tree` that are lost."""
        if tree not in self.known:
            lost = [b"/"] if tree in self.gone else list(self.files.get(tree, ()))
            for name, subtree in self.below.get(tree, ()):
                lost += [join(name, path) if path != b"/" else name + b"/" for path in self.under(subtree)]
            self.known[tree] = lost
        return self.known[tree]


def _unreadable(reader: VaultReader, index: Index, suspects: frozenset[str], cancel: CancelToken) -> Iterator[bytes]:
    entries = index.entries(BlobType.DATA)
    asked = [blob for blob, entry in entries.items() if file_name(FileKind.DATA, entry.pack_id) in suspects]
    for blob_id, plain in reader.read_blobs(BlobType.DATA, asked):
        cancel.check()
        if plain is None:
            yield blob_id
