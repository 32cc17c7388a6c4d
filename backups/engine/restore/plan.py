"""What a restore will make: folders, files, links; what of it is safe; and which pack gives which piece of which file.

Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from backups.engine.errors import EngineError
from backups.engine.format import BlobType
from backups.engine.format.gonames import quote_name
from backups.engine.format.index import Entry
from backups.engine.format.tree import Node
from backups.engine.restore.browse import join, open_folders
from backups.engine.restore.ranges import PackRange, merge_ranges
from backups.engine.restore.vault_reader import VaultReader

PORTION_BLOBS = 100_000  # pieces planned at once: bounds the memory of a restore of a million files
ROOT = 0  # number of the target folder itself


class Miss(NamedTuple):
    """Something that was not restored, or not with all its attributes, and why. path: from the restore's root."""

    path: bytes
    reason: str

    def __str__(self) -> str:
        return f"{quote_name(self.path)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Subset:
    """Which part of a snapshot is wanted.

    paths:   files or folders from the restore's root; empty means everything.
    accepts: further condition on (path, node) of everything but folders.
    """

    paths: tuple[bytes, ...] = ()
    accepts: Callable[[bytes, Node], bool] | None = None

    def enters(self, folder: bytes) -> bool:
        """Whether anything wanted may lie in `folder`."""
        return self.holds(folder) or any(path.startswith(folder + b"/") for path in self.paths)

    def holds(self, path: bytes) -> bool:
        """Whether `path` is one of `paths` or below one."""
        return not self.paths or any(path == wanted or path.startswith(wanted + b"/") for wanted in self.paths)

    def takes(self, path: bytes, node: Node) -> bool:
        return self.holds(path) and (self.accepts is None or self.accepts(path, node))


EVERYTHING = Subset()


@dataclass(slots=True)
class Folder:
    """One folder to make. node: None for the target itself. wanted: chosen, or holds something chosen."""

    parent: int
    node: Node | None
    wanted: bool
    fresh: bool = True  # this restore makes it; decided by the survey of the target
    called: bytes = b""  # on the target, where that is another name

    @property
    def original(self) -> bytes:
        return self.node.name if self.node is not None else b""

    @property
    def name(self) -> bytes:
        """Its name on the target."""
        return self.called or self.original


@dataclass(slots=True)
class Item:
    """One entry that is no folder. linked_to: position in `Plan.files` of the first name of the same file."""

    folder: int
    node: Node
    linked_to: int = -1
    called: bytes = b""  # on the target, where that is another name

    @property
    def original(self) -> bytes:
        return self.node.name

    @property
    def name(self) -> bytes:
        """Its name on the target."""
        return self.called or self.node.name


@dataclass(slots=True)
class Plan:
    """Everything a restore will make, numbered; parents come before children.

    lost_folders: whose list of entries is readable in no copy: nobody knows how many files were in them.
    """

    folders: list[Folder] = field(default_factory=lambda: [Folder(ROOT, None, True)])
    files: list[Item] = field(default_factory=list)
    hard_links: list[Item] = field(default_factory=list)
    others: list[Item] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    lost_folders: int = 0

    def part_links(self) -> list[Item]:
        """Make further names of files files of their own, for a disk without hard links; return them."""
        parted, self.hard_links = self.hard_links, []
        for item in parted:
            item.linked_to = -1
        self.files += parted
        return parted

    def folder_path(self, number: int) -> bytes:
        """Return the path of a folder as it was backed up."""
        parts = []
        while number != ROOT:
            parts.append(self.folders[number].original)
            number = self.folders[number].parent
        return b"/".join(reversed(parts))

    def path(self, item: Item) -> bytes:
        return join(self.folder_path(item.folder), item.node.name)

    @property
    def bytes_total(self) -> int:
        return sum(item.node.size for item in self.files)


def build_plan(reader: VaultReader, tree_id: bytes, subset: Subset = EVERYTHING) -> Plan:
    """Return the plan for everything of a tree that `subset` takes. Lost folders and unsafe names become misses."""
    plan = Plan()
    numbers = {b"": ROOT}
    first_names: dict[tuple[int, int], int] = {}

    def enters(path: bytes) -> bool:
        return path in numbers and subset.enters(path)

    for path, nodes, refused in open_folders(reader, tree_id, enters):
        plan.misses += [Miss(join(path, name), reason) for name, reason in refused]
        if isinstance(nodes, EngineError):
            plan.misses.append(Miss(path or b"/", str(nodes)))
            plan.lost_folders += 1
            continue
        for node in nodes:
            child = join(path, node.name)
            if node.subtree is not None:
                if subset.enters(child):
                    numbers[child] = len(plan.folders)
                    plan.folders.append(Folder(numbers[path], node, wanted=False))
                    if subset.accepts is None and subset.holds(child):
                        _want(plan.folders, numbers[child])
            elif subset.takes(child, node):
                _add_item(plan, Item(numbers[path], node), first_names)
                _want(plan.folders, numbers[path])
    return plan


def _add_item(plan: Plan, item: Item, first_names: dict[tuple[int, int], int]) -> None:
    node = item.node
    if node.type != "file":
        plan.others.append(item)
        return
    if node.links > 1 and node.device_id:
        first = first_names.setdefault((node.device_id, node.inode), len(plan.files))
        if first < len(plan.files) and plan.files[first].node.content == node.content:
            item.linked_to = first
            plan.hard_links.append(item)
            return
    plan.files.append(item)


def _want(folders: list[Folder], number: int) -> None:
    while not folders[number].wanted:
        folders[number].wanted = True
        number = folders[number].parent


class PlannedRange(NamedTuple):
    """One read and where its blobs go: for each blob the (file number, offset in the file) pairs."""

    part: PackRange
    targets: list[list[tuple[int, int]]]


def portions(plan: Plan, numbers: Iterable[int]) -> Iterator[list[int]]:
    """Yield the file numbers in portions of about PORTION_BLOBS pieces."""
    portion: list[int] = []
    blobs = 0
    for number in numbers:
        portion.append(number)
        blobs += 1 + len(plan.files[number].node.content)
        if blobs >= PORTION_BLOBS:
            yield portion
            portion, blobs = [], 0
    if portion:
        yield portion


def plan_ranges(reader: VaultReader, plan: Plan, numbers: Iterable[int]) -> tuple[list[PlannedRange], list[int]]:
    """Return the reads that fill these files, in pack order, and the files of which a blob is in no index."""
    entries = reader.index.entries(BlobType.DATA)
    targets: dict[bytes, list[tuple[int, int]]] = {}
    wanted: dict[bytes, Entry] = {}
    lost: list[int] = []
    for number in numbers:
        content = plan.files[number].node.content
        if any(blob_id not in entries for blob_id in content):
            lost.append(number)
            continue
        offset = 0
        for blob_id in content:
            entry = wanted[blob_id] = entries[blob_id]
            targets.setdefault(blob_id, []).append((number, offset))
            offset += entry.size_bytes
    ranges = [
        PlannedRange(part, [targets[blob.blob_id] for blob in part.blobs]) for part in merge_ranges(wanted.items())
    ]
    return ranges, lost
