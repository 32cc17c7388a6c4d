"""Looking into a snapshot without restoring it: walk, find, read files or parts of them."""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from backups.engine.errors import Damaged, EngineError
from backups.engine.format import BLOB_MAX_BYTES, BlobType
from backups.engine.format.tree import Node
from backups.engine.restore.vault_reader import Plain, VaultReader

NEAR = 5  # names in a message
FOLDERS_AT_ONCE = 512  # trees asked for together
ENTRIES_MAX = 5_000_000  # a few small trees can claim billions of entries by naming each other twice


class NotInSnapshot(EngineError):
    """The snapshot has no such file or folder."""

    advice = "Look the path up in the snapshot's list of files; it may be in an older or newer snapshot."


class Opened(NamedTuple):
    """One folder of a snapshot.

    path:    from the root, b"" for the root itself.
    nodes:   its entries, or why they cannot be had.
    refused: (name, reason) of entries that no honest writer makes.
    """

    path: bytes
    nodes: list[Node] | EngineError
    refused: list[tuple[bytes, str]]


def open_folders(
    reader: VaultReader, tree_id: bytes, enters: Callable[[bytes], bool] = lambda _: True
) -> Iterator[Opened]:
    """Yield the folders of a tree, parents before children; many are fetched at once.

    enters: which folder paths to open.   Raises Damaged when the tree has no end.
    """
    waiting = [(b"", tree_id)]
    entries = 0
    while waiting:
        batch, waiting = waiting[:FOLDERS_AT_ONCE], waiting[FOLDERS_AT_ONCE:]
        trees = dict(reader.load_trees({tree for _, tree in batch}))
        for path, tree in batch:
            found = trees[tree]
            if isinstance(found, EngineError):
                yield Opened(path, found, [])
                continue
            nodes, refused = _sift(found)
            yield Opened(path, nodes, refused)
            entries += len(nodes)
            if entries > ENTRIES_MAX:
                raise Damaged(f"the snapshot claims more than {ENTRIES_MAX} entries")
            below = ((join(path, node.name), node.subtree) for node in nodes if node.subtree is not None)
            waiting += [(child, subtree) for child, subtree in below if enters(child)]


def why_unsafe(name: bytes) -> str:
    """Return why an entry of this name must not be made, "" if it may."""
    if name in (b"", b".", b".."):
        return "this name would leave its folder; an honest backup has no such entry"
    if b"/" in name or b"\0" in name:
        return "the name holds a path; an honest backup has no such entry"
    return ""


def _sift(nodes: list[Node]) -> tuple[list[Node], list[tuple[bytes, str]]]:
    """Return the nodes that can stand in one folder, and the others with the reason."""
    honest: dict[bytes, Node] = {}
    refused = []
    for node in nodes:
        reason = why_unsafe(node.name)
        if node.name in honest:
            reason = reason or "a second entry of the same name"
        if (node.type == "dir") != (node.subtree is not None):
            reason = reason or "a folder without a list of its entries, or a list without a folder"
        if reason:
            refused.append((node.name, reason))
        else:
            honest[node.name] = node
    return list(honest.values()), refused


def open_once(reader: VaultReader, roots: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, Opened]]:
    """Yield (tree id, folder) for every tree below `roots` once, however many snapshots and folders share it.

    roots: path to show for each root tree. Entries that no honest writer makes are yielded as refused.
    """
    seen: set[bytes] = set()
    waiting = dict(roots)
    while waiting:
        batch = {tree: waiting.pop(tree) for tree in list(itertools.islice(waiting, FOLDERS_AT_ONCE))}
        seen |= batch.keys()
        for tree, found in reader.load_trees(batch):
            if isinstance(found, EngineError):
                yield tree, Opened(batch[tree], found, [])
                continue
            nodes, refused = _sift(found)
            yield tree, Opened(batch[tree], nodes, refused)
            for node in found:
                if node.subtree is not None and node.subtree not in seen:
                    waiting.setdefault(node.subtree, join(batch[tree], node.name))


def walk_tree(reader: VaultReader, tree_id: bytes) -> Iterator[tuple[bytes, Node]]:
    """Yield (path from the root, node) of everything below a tree. Raises Damaged at a folder that is lost."""
    for path, nodes, _ in open_folders(reader, tree_id):
        if isinstance(nodes, EngineError):
            raise nodes
        for node in nodes:
            yield join(path, node.name), node


def find(reader: VaultReader, tree_id: bytes, accepts: Callable[[bytes, Node], bool]) -> Iterator[tuple[bytes, Node]]:
    """Yield (path, node) of everything that `accepts` likes; lost folders are passed over."""
    for path, nodes, _ in open_folders(reader, tree_id):
        if not isinstance(nodes, EngineError):
            yield from ((join(path, node.name), node) for node in nodes if accepts(join(path, node.name), node))


def locate(reader: VaultReader, tree_id: bytes, path: bytes) -> Node:
    """Return the node at `path` from the root, such as b"home/ana/plan.pdf". Raises NotInSnapshot or Damaged."""
    node = Node(name=b"", type="dir", subtree=tree_id)
    for part in filter(None, path.split(b"/")):
        nodes = reader.load_tree(node.subtree) if node.subtree is not None else []
        found = next((child for child in nodes if child.name == part), None)
        if found is None:
            raise NotInSnapshot(f"the snapshot has no {path.decode(errors='replace')!r}")
        node = found
    return node


def require(reader: VaultReader, tree_id: bytes, path: bytes) -> None:
    """Raise NotInSnapshot, with the nearest names that there are, unless there is something at `path`."""
    try:
        locate(reader, tree_id, path)
    except NotInSnapshot as exc:
        near = [os.fsdecode(each) for each in _nearest(reader, tree_id, path)]
        hint = f"; near to it are {', '.join(map(repr, near))}" if near else ""
        raise NotInSnapshot(f"{exc}{hint}") from exc
    except Damaged:
        pass  # what is on the way to it is lost: the restore tells so


def _nearest(reader: VaultReader, tree_id: bytes, path: bytes) -> list[bytes]:
    """Return a few paths that somebody may have meant: with `path` at their end, or with a last part like its."""
    ending = b"/" + path.strip(b"/")
    found = [found for found, _ in itertools.islice(find(reader, tree_id, lambda at, _: at.endswith(ending)), NEAR)]
    if found:
        return found
    folder, _, name = path.rpartition(b"/")
    try:
        subtree = locate(reader, tree_id, folder).subtree
        nodes = reader.load_tree(subtree) if subtree is not None else []
    except EngineError:
        return []
    names = {os.fsdecode(node.name): node.name for node in nodes}
    close = difflib.get_close_matches(os.fsdecode(name), names, NEAR) or sorted(names)[:NEAR]
    return [join(folder, names[each]) for each in close]


def read_range(reader: VaultReader, node: Node, *, offset: int = 0, length: int | None = None) -> Iterator[Plain]:
    """Yield the bytes of a file from `offset` on, `length` of them [bytes], piece by piece.

    A range that reaches past the end gives what there is. At most about 16 MiB are held. Raises BlobMissing, Damaged.
    """
    end = node.size if length is None else min(node.size, offset + length)
    position = 0
    batch: list[bytes] = []
    batch_start = batch_bytes = 0
    for blob_id in node.content:
        size = reader.index.get(BlobType.DATA, blob_id).size_bytes
        if position + size > offset and position < end:
            if batch and batch_bytes + size > BLOB_MAX_BYTES:
                yield from _cut(_in_order(reader, batch), batch_start, offset, end)
                batch, batch_bytes = [], 0
            if not batch:
                batch_start = position
            batch.append(blob_id)
            batch_bytes += size
        position += size
    yield from _cut(_in_order(reader, batch), batch_start, offset, end)


def read_file(reader: VaultReader, node: Node) -> Iterator[Plain]:
    """Yield all bytes of a file, piece by piece. Raises BlobMissing or Damaged."""
    return read_range(reader, node)


def _in_order(reader: VaultReader, blob_ids: list[bytes]) -> Iterator[Plain]:
    plain = dict(reader.read_blobs(BlobType.DATA, set(blob_ids)))
    for blob_id in blob_ids:
        content = plain[blob_id]
        if content is None:
            raise Damaged(f"data blob {blob_id.hex()[:12]} is readable in no copy of the vault")
        yield content


def _cut(pieces: Iterator[Plain], start: int, first: int, end: int) -> Iterator[Plain]:
    """Yield what of the consecutive `pieces`, the first at file position `start`, lies between `first` and `end`."""
    for piece in pieces:
        begin, stop = max(0, first - start), min(len(piece), end - start)
        if begin < stop:
            yield memoryview(piece)[begin:stop]
        start += len(piece)


def join(folder: bytes, name: bytes) -> bytes:
    """Return the path of `name` in `folder` (b"" is the root)."""
    return folder + b"/" + name if folder else name
