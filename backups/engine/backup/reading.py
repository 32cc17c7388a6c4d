"""Reads all sources: lists folders, has changed files read, and builds the trees from below as folders are done."""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Sequence
from dataclasses import dataclass, field

from backups.engine.backup.blobwriter import BlobWriter
from backups.engine.backup.crew import BackupCrew
from backups.engine.backup.fileworker import is_long
from backups.engine.backup.foldercache import CachedFolder, FolderCache, pack_nodes, usable_nodes
from backups.engine.backup.ledger import Ledger
from backups.engine.backup.messages import (
    Batch,
    BatchDone,
    FolderPart,
    Message,
    ReadPart,
    SourceRoot,
    Trouble,
    WorkerFinished,
)
from backups.engine.backup.scanner import Entry, FileToRead, Folder, Scan, Scanner, child_path
from backups.engine.backup.selection import Place, Selection
from backups.engine.backup.sources import check_root, open_root, reason_of
from backups.engine.errors import Damaged, EngineError, SourceMissing, SourceUnreadable
from backups.engine.format import MIB
from backups.engine.format.gonames import shown_path
from backups.engine.format.tree import encode_node, encode_tree

BATCH_FILES = 64
BATCH_BYTES = 4 * MIB
_BESIDE = b'{"beside":true,'
_WAIT_SECONDS = 0.1
LONGEST_PATH = 4095 - 255  # [bytes] of a folder whose every file Linux can name from the root
TOO_DEEP = (
    "it lies so deep that stock restic alone cannot restore what is in it, which wedbackup can; move it further up"
)


@dataclass
class Counts:
    """What was found and done. files_*: regular files, without those that vanished meanwhile.

    files_unread: of files_total, those that could not be read and are not stored.
    unstable, unreadable, partly: (path, reason).
    """

    files_total: int = 0
    files_unread: int = 0
    files_new: int = 0
    files_changed: int = 0
    files_unchanged: int = 0
    folders_total: int = 0
    bytes_total: int = 0
    bytes_read: int = 0
    unstable: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    partly: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: Trouble) -> list[tuple[str, str]]:
        return (self.unreadable, self.unstable, self.partly)[kind]


class SourceReading:
    """One pass over the sources. Belongs to one thread."""

    def __init__(
        self,
        roots: Sequence[SourceRoot],
        selection: Selection,
        scanner: Scanner,
        crew: BackupCrew,
        trees: BlobWriter,
        cache: FolderCache,
        ledger: Ledger,
    ) -> None:
        self.counts = Counts()
        self._roots = roots
        self._selection = selection
        self._scanner = scanner
        self._crew = crew
        self._trees = trees
        self._cache = cache
        self._ledger = ledger
        self._stack: list[Folder] = []
        self._open: dict[int, Folder] = {}
        self._root_fds: list[int] = []
        self._done: dict[int, Folder] = {}
        self._tree_ids: dict[int, bytes] = {}
        self._missed: set[int] = set()
        self._batch: Batch = []
        self._batch_files = 0
        self._batch_bytes = 0

    def run(self) -> bytes:
        """Read everything and return the id of the root tree.

        A source that cannot be listed, or that went away meanwhile, is marked as missing and is not in the tree, as
        long as another is left.

        Raises SourceMissing, SourceUnreadable, Cancelled, TooFewCopies, WorkerDied or Damaged.
        """
        with contextlib.ExitStack() as stack:
            self._root_fds = [stack.enter_context(open_root(root)) for root in self._roots]
            for number, root in reversed(list(enumerate(self._roots))):
                sources = self._selection.at(root.path)
                self._stack.append(Folder(number, number, (), root.path, sources=sources))
            self._read_all()
        for number, root in enumerate(self._roots):
            if number in self._tree_ids:
                try:
                    check_root(root)
                except (SourceMissing, SourceUnreadable) as exc:
                    self._miss(number, exc)
        return self._join(b"/", [(self._roots[number].path[1:], number) for number in sorted(self._tree_ids)])

    def _miss(self, number: int, reason: SourceMissing | SourceUnreadable) -> None:
        """Leave a source out of the snapshot; raises `reason` when it is the last."""
        self._missed.add(number)
        self._tree_ids.pop(number, None)
        if len(self._missed) == len(self._roots):
            raise reason
        root = self._roots[number].path
        for source in self._selection.sources:
            if source.path == root or source.path.startswith(root.rstrip(b"/") + b"/"):
                source.missing = str(reason)

    def _read_all(self) -> None:
        closed = False
        self._ledger.pulse("scan")
        while not (closed and self._crew.finished and not self._open):
            if self._stack:
                self._scan(self._stack.pop())
            elif not closed:
                self._submit_batch()
                self._crew.close()
                closed = self._ledger.progress.total_known = True
                self._ledger.pulse("read")
            worked = self._crew.work()
            self._take_messages(wait=closed and not worked and bool(self._open or not self._crew.finished))
            self._ledger.pulse()

    def _take_messages(self, *, wait: bool) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._ledger.events.get(block=wait, timeout=_WAIT_SECONDS)
                wait = False
                self._take(message)

    def _take(self, message: Message) -> None:
        self._ledger.note(message)
        if isinstance(message, BatchDone):
            for part in message.parts:
                self._take_part(part)
        elif isinstance(message, WorkerFinished):
            self._crew.note_finished(message)

    def _take_part(self, part: ReadPart) -> None:
        folder = self._open[part.number]
        self.counts.bytes_read += part.size
        for problem in part.problems:
            folder.whole = False
            path = shown_path(child_path(folder.path, problem.name))
            self.counts.of(problem.kind).append((path, problem.reason))
            self.counts.files_unread += problem.kind is Trouble.UNREAD
        folder.doubtful.update(part.doubtful)
        if part.vanished:
            self._note_vanished(folder, part.vanished)
        if part.moved or part.spoiled or part.noisy:
            _note_heads(folder, part)
        for slot, node in zip(part.slots, part.nodes, strict=True):
            folder.nodes[slot] = node if node != b"" else _beside_node(folder.sides[slot])
            if node is None:
                folder.whole = False
        folder.content.append(part.content)
        folder.waiting -= len(part.slots)
        if not folder.waiting:
            self._complete(folder)

    def _note_vanished(self, folder: Folder, names: Sequence[bytes]) -> None:
        """Files that were gone before they were opened, as temporary ones are, are not counted and no alarm."""
        older = len(folder.older.intersection(names))
        self.counts.files_total -= len(names)
        self.counts.files_changed -= older
        self.counts.files_new -= len(names) - older
        for source in folder.sources:
            source.add(-len(names), 0)
            source.changes.new -= len(names) - older
        for place in folder.mounts:
            place.add(-len(names), 0)

    def _scan(self, folder: Folder) -> None:
        counts, progress = self.counts, self._ledger.progress
        try:
            scan = self._scanner.scan(folder, self._root_fds[folder.root])
        except EngineError:
            raise
        except Exception as exc:
            self._give_up(folder, exc)
            return
        self._measure(folder, scan)
        counts.folders_total += 1
        counts.files_total += (found := scan.files_new + scan.files_changed + scan.files_unchanged)
        counts.files_new += scan.files_new
        counts.files_changed += scan.files_changed
        counts.files_unchanged += scan.files_unchanged
        counts.bytes_total += scan.bytes_total
        counts.unreadable.extend((shown_path(path), reason) for path, reason in scan.problems)
        counts.partly.extend((shown_path(path), reason) for path, reason in scan.partly)
        if len(folder.path) > LONGEST_PATH and folder.parent and len(folder.parent.path) <= LONGEST_PATH:
            counts.partly.append((shown_path(folder.path), TOO_DEEP))
        progress.files_total += found
        progress.bytes_total += scan.bytes_total
        progress.files_done += scan.files_unchanged
        progress.bytes_done += scan.bytes_unchanged
        progress.current = shown_path(folder.path)
        self._open[folder.number] = folder
        self._stack.extend(reversed(scan.folders))
        self._submit(folder, scan.files)
        if not folder.waiting:
            self._complete(folder)

    def _measure(self, folder: Folder, scan: Scan) -> None:
        """Count what a folder holds for its sources and for the disks that it lies on."""
        assert folder.status is not None
        parent, device = folder.parent, folder.status.st_dev
        if parent is not None:
            assert parent.status is not None
            folder.mounts = parent.mounts
            mounted = device != parent.status.st_dev
            if mounted or self._selection.was_mount(folder.path):
                place = Place(folder.path, device, mounted)
                folder.mounts = (*folder.mounts, place)
                for source in folder.sources:
                    if source.path != folder.path:
                        source.mounts.append(place)
        files = scan.files_new + scan.files_changed + scan.files_unchanged
        for source in folder.sources:
            source.add(files, scan.bytes_total)
            source.changes.new += scan.files_new
            source.changes.changed += scan.files_changed
            source.changes.relabelled += scan.relabelled
            if source.path == folder.path:
                source.device = device
        for place in folder.mounts:
            place.add(files, scan.bytes_total)

    def _give_up(self, folder: Folder, exc: Exception) -> None:
        reason = reason_of(exc)
        parent = folder.parent
        if parent is None:
            self._miss(folder.root, SourceUnreadable(f"the folder {shown_path(folder.path)} cannot be read: {reason}"))
            return
        if not isinstance(exc, FileNotFoundError):  # else it was removed meanwhile
            self.counts.unreadable.append((shown_path(folder.path), reason))
        self._fill_in(parent)
        parent.whole = False
        parent.nodes[folder.slot] = None
        parent.waiting -= 1
        if not parent.waiting:
            self._complete(parent)

    def _submit(self, folder: Folder, files: list[FileToRead]) -> None:
        part: list[tuple[int, bytes]] | None = None
        for slot, name, size in files:
            if is_long(size):
                self._crew.submit([FolderPart(folder.number, folder.root, folder.parts, [(slot, name)])], size)
                continue
            if part is None:
                part = []
                self._batch.append(FolderPart(folder.number, folder.root, folder.parts, part))
            part.append((slot, name))
            self._batch_files += 1
            self._batch_bytes += size
            if self._batch_files >= BATCH_FILES or self._batch_bytes >= BATCH_BYTES:
                self._submit_batch()
                part = None

    def _submit_batch(self) -> None:
        if self._batch:
            self._crew.submit(self._batch, self._batch_bytes)
        self._batch, self._batch_files, self._batch_bytes = [], 0, 0

    def _complete(self, folder: Folder) -> None:
        """Build the trees of `folder` and of every parent that waited for nothing else."""
        while True:
            del self._open[folder.number]
            odd = len(folder.odd) if folder.cached is None else len(folder.cached.odd_names)
            for source in folder.sources:
                source.odd += odd
            tree_id = self._build_tree(folder)
            parent = folder.parent
            if parent is None:
                self._done[folder.root], self._tree_ids[folder.root] = folder, tree_id
                return
            if parent.cached is None or tree_id != folder.previous_tree:
                self._fill_in(parent)
                parent.nodes[folder.slot] = self._node_of(folder, tree_id)
                parent.whole = parent.whole and parent.nodes[folder.slot] is not None
            parent.waiting -= 1
            if parent.waiting:
                return
            folder = parent

    def _node_of(self, folder: Folder, tree_id: bytes) -> bytes | None:
        try:
            return _folder_node(folder.parts[-1], folder, tree_id)
        except Exception as exc:
            self.counts.unreadable.append((shown_path(folder.path), reason_of(exc)))
            return None

    def _fill_in(self, folder: Folder) -> None:
        """Give an unchanged folder its remembered nodes, because one of its subfolders has changed."""
        if folder.cached is None or folder.nodes:
            return
        folder.nodes = list(usable_nodes(folder.cached))
        if not folder.nodes:
            self._cache.clear()
            raise Damaged("the cache of folders is damaged and was emptied; start the backup again")

    def _build_tree(self, folder: Folder) -> bytes:
        cached = folder.cached
        if cached is not None and not folder.nodes:
            return cached.tree_id
        tree_id = self._trees.store(
            encode_tree([node for node in folder.nodes if node and not node.startswith(_BESIDE)])
        )
        content = cached.content if cached is not None else b"".join(folder.content)
        settled = folder.whole and (cached is not None or folder.settled)
        odd = cached.odd if cached is not None else b"/".join(sorted(folder.odd))
        nodes = [node or b"" for node in folder.nodes]
        for slot in folder.doubtful:  # without its node it is read again, and told again
            nodes[slot] = b""
        row = CachedFolder(folder.signature, tree_id, content, pack_nodes(nodes), folder.settled_before, settled, odd)
        self._cache.put(folder.path, row)
        return tree_id

    def _join(self, path: bytes, sources: list[tuple[bytes, int]]) -> bytes:
        """Return the tree of the folder `path` that holds nothing but the sources, given by (path below it, number)."""
        if sources[0][0] == b"":
            return self._tree_ids[sources[0][1]]
        groups: dict[bytes, list[tuple[bytes, int]]] = {}
        for below, number in sources:
            name, _, rest = below.partition(b"/")
            groups.setdefault(name, []).append((rest, number))
        nodes = []
        for name, group in sorted(groups.items()):
            child = child_path(path, name)
            tree_id = self._join(child, group)
            if group[0][0] == b"":
                nodes.append(_folder_node(name, self._done[group[0][1]], tree_id))
                continue
            try:
                nodes.append(encode_node(name, os.stat(child), subtree=tree_id))
            except OSError as exc:
                raise SourceMissing(f"the folder {shown_path(child)} went away: {exc.strerror}") from exc
        return self._trees.store(encode_tree(nodes))


def _beside_node(entry: Entry) -> bytes:
    """Return what the cache remembers of a file whose content is stored with the database beside it.

    Its state is that of the listing, which was before the database was copied. No tree holds such a node.
    """
    name, status = entry
    return _BESIDE + encode_node(name, status, content=[])[1:]


def _note_heads(folder: Folder, part: ReadPart) -> None:
    moved, odd = set(part.moved), {*part.spoiled, *part.noisy}
    folder.odd |= odd
    rewritten = (odd & folder.changed) - moved
    became = rewritten - folder.was_odd
    odd_new = odd - folder.older
    for source in folder.sources:
        changes = source.changes
        changes.moved += len(moved - folder.older)
        changes.rewritten += len(rewritten)
        changes.spoiled += len(became.intersection(part.spoiled))
        changes.noisy += len(became.intersection(part.noisy))
        changes.spoiled_new += len(odd_new - moved)
        changes.copied_odd += len(odd_new & moved)


def _folder_node(name: bytes, folder: Folder, tree_id: bytes) -> bytes:
    assert folder.status is not None
    return encode_node(name, folder.status, subtree=tree_id, xattrs=folder.xattrs)
