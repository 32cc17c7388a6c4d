"""Lists the folders of a source and finds out what must be read.

A folder whose entries all are as the cache remembers them is unchanged, whatever its subfolders hold; in a changed
folder every file is compared by itself. Size, times, inode, owner and mode decide, as in restic. A file written in the
last moments before it was looked at is read again next time: its time stamp may hide a second change.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from backups.engine.backup.databases import SHARED, SIDE_ENDS, SIDES, main_name
from backups.engine.backup.filereader import DATE_MOVED
from backups.engine.backup.foldercache import CachedFolder, FolderCache, usable_nodes
from backups.engine.backup.heads import KNOWN_SUFFIXES, is_relabelled, suffix_of
from backups.engine.backup.known import KnownBlobs
from backups.engine.backup.selection import FoundSource, Place, Selection
from backups.engine.backup.sources import open_folder, read_xattrs, reason_of
from backups.engine.format import format_time, is_writable_time
from backups.engine.format.gonames import unquote_name
from backups.engine.format.tree import encode_node, node_type

COARSE_CLOCK_NS = 2_000_000_000  # FAT's time stamps step by 2 s, the coarsest of all
DATED_AHEAD_NS = 15 * 60 * 1_000_000_000  # more than a listing takes, less than a time zone
_STATE = struct.Struct("<IQqqqII")

Entry = tuple[bytes, os.stat_result]
_OldNode = tuple[bytes, dict[str, Any]]  # as stored, and what it says


class FileToRead(NamedTuple):
    """slot: place among the folder's nodes.   size: when listed [bytes]."""

    slot: int
    name: bytes
    size: int


@dataclass(slots=True, eq=False)
class Folder:
    """One folder of the source in this run.

    root, parts:    which source, and the way down from it.   path: absolute.
    parent, slot:   where its own node belongs; None for the source itself.
    nodes:          JSON nodes by slot; None until known, and for what cannot be stored. Empty while `cached` serves.
    sides:          entries by slot that may complete a database beside them.
    content:        ids of its files' blobs.
    waiting:        files and subfolders that are not done.
    settled_before, settled: as in the cache's row that this run will write.
    cached:         the cache's row if no entry has changed.
    previous_tree:  its tree according to the cache.
    whole:          every entry was stored as it was.   doubtful: slots of files to be looked at again at the next run.
    sources:        those that want what is in it.   mounts: the disks below a source that it lies on.
    older:          names of files to be read that were there before.   changed: those with another state now.
    odd:            names of files that are noise or zeros.   was_odd: of those that were.
    """

    number: int
    root: int
    parts: tuple[bytes, ...]
    path: bytes
    parent: Folder | None = None
    slot: int = 0
    status: os.stat_result | None = None
    xattrs: list[tuple[str, bytes]] = field(default_factory=list)
    nodes: list[bytes | None] = field(default_factory=list)
    content: list[bytes] = field(default_factory=list)
    waiting: int = 0
    signature: bytes = b""
    settled_before: int = 0
    settled: bool = False
    cached: CachedFolder | None = None
    previous_tree: bytes | None = None
    whole: bool = True
    doubtful: set[int] = field(default_factory=set)
    sources: tuple[FoundSource, ...] = ()
    mounts: tuple[Place, ...] = ()
    older: set[bytes] = field(default_factory=set)
    changed: set[bytes] = field(default_factory=set)
    odd: set[bytes] = field(default_factory=set)
    sides: dict[int, Entry] = field(default_factory=dict)
    was_odd: frozenset[bytes] = frozenset()


@dataclass
class Scan:
    """What listing one folder found.

    folders: subfolders, in order.   files: to be read.   problems: (path, reason) of what could not be looked at.
    partly:  (path, reason) of what is stored without something that belongs to it.
    *_new, *_changed, *_unchanged: regular files.   bytes_total: size of all regular files [bytes].
    relabelled: new files named as one that is gone, with an unknown suffix.
    """

    folders: list[Folder] = field(default_factory=list)
    files: list[FileToRead] = field(default_factory=list)
    problems: list[tuple[bytes, str]] = field(default_factory=list)
    partly: list[tuple[bytes, str]] = field(default_factory=list)
    files_new: int = 0
    files_changed: int = 0
    files_unchanged: int = 0
    bytes_unchanged: int = 0
    bytes_total: int = 0
    relabelled: int = 0


class Scanner:
    """Belongs to one thread."""

    def __init__(
        self,
        selection: Selection,
        cache: FolderCache,
        known: KnownBlobs,
        now_ns: Callable[[], int],
        first_number: int,
    ) -> None:
        """now_ns: Unix time [ns].   first_number: for the next folder; the sources have the numbers before it."""
        self._selection = selection
        self._cache = cache
        self._known = known
        self._now_ns = now_ns
        self._next_number = first_number

    def scan(self, folder: Folder, root_fd: int) -> Scan:
        """List `folder`, fill in what is known without reading files, and return the rest. Raises OSError."""
        folder.settled_before = self._now_ns() - COARSE_CLOCK_NS
        fd = open_folder(root_fd, folder.parts)
        try:
            scan = Scan()
            folder.status = os.fstat(fd)
            folder.xattrs, missed = read_xattrs(fd)
            if missed or not is_writable_time(folder.status.st_mtime_ns):
                scan.partly.append((folder.path, missed or DATE_MOVED))
            entries = self._list(fd, folder, scan)
            self._compare(folder, entries)
            if folder.cached is not None:
                self._take_unchanged(folder, entries, scan)
            else:
                self._take_changed(folder, entries, fd, scan)
        finally:
            os.close(fd)
        folder.waiting = len(scan.folders) + len(scan.files)
        return scan

    def _list(self, fd: int, folder: Folder, scan: Scan) -> list[Entry]:
        entries: list[Entry] = []
        with os.scandir(fd) as listing:
            for entry in listing:
                name = os.fsencode(entry.name)
                try:
                    if self._selection.takes_all or self._selects(folder, name, entry):
                        entries.append((name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:  # gone this moment, as temporary files are
                    continue
                except Exception as exc:
                    _note_problem(folder, scan, name, exc)
        entries.sort(key=_name_of)
        return entries

    def _selects(self, folder: Folder, name: bytes, entry: os.DirEntry[str]) -> bool:
        """Whether an entry is backed up, because a source wants it or lies below it."""
        path = child_path(folder.path, name)
        wanted = self._selection.wanted_by(folder.sources, path)
        others = [source for source in folder.sources if source not in wanted]
        if others:
            self._selection.note_left_out(others, path, is_folder=entry.is_dir(follow_symlinks=False))
            if wanted and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    size = entry.stat(follow_symlinks=False).st_size
                    for source in others:  # the folder's files are counted for all of its sources
                        source.add(-1, -size)
        return bool(wanted) or self._selection.leads_on(path)

    def _compare(self, folder: Folder, entries: list[Entry]) -> None:
        folder.signature = _sign(entries)
        cached = self._cache.get(folder.path)
        if cached is None:
            return
        folder.previous_tree = cached.tree_id
        if (
            cached.settled
            and cached.signature == folder.signature
            and cached.tree_id in self._known.trees
            and self._known.has_content(cached.content)
        ):
            folder.cached = cached

    def _take_unchanged(self, folder: Folder, entries: list[Entry], scan: Scan) -> None:
        for slot, (name, status) in enumerate(entries):
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFREG:
                scan.files_unchanged += 1
                scan.bytes_unchanged += status.st_size
            elif kind == stat.S_IFDIR:
                scan.folders.append(self._below(folder, slot, name))
        scan.bytes_total = scan.bytes_unchanged

    def _take_changed(self, folder: Folder, entries: list[Entry], fd: int, scan: Scan) -> None:
        cached = self._cache.get(folder.path)
        before = _nodes_before(cached)
        folder.was_odd = frozenset(cached.odd_names if cached else ())
        folder.nodes = [None] * len(entries)
        folder.sides = {slot: entry for slot, entry in enumerate(entries) if entry[0][-4:] in SIDE_ENDS}
        mains = {main_name(name) for name, _ in folder.sides.values()}
        reread = self._changed_sets(folder, before, cached)
        folder.settled = not any(_may_hide_a_change(status, folder.settled_before) for _, status in entries)
        for slot, (name, status) in enumerate(entries):
            kind = stat.S_IFMT(status.st_mode)
            old = before.pop(name, None)
            try:
                if kind == stat.S_IFDIR:
                    scan.folders.append(self._below(folder, slot, name))
                elif kind != stat.S_IFREG:
                    self._take_special(folder, slot, name, status, fd, scan)
                elif (
                    old
                    and cached
                    and name not in reread
                    and self._is_unchanged(old[1], status, cached, sized=name not in mains)
                ):
                    folder.nodes[slot] = old[0]
                    folder.content.extend(map(bytes.fromhex, old[1]["content"]))
                    scan.files_unchanged += 1
                    scan.bytes_unchanged += status.st_size
                    if name in folder.was_odd:
                        folder.odd.add(name)
                else:
                    if folder.sides:  # what completes it, which comes later by name, is looked at again as well
                        reread.update(name + side for side in SIDES)
                    self._take_file(folder, slot, name, status, old, scan)
            except Exception as exc:
                _note_problem(folder, scan, name, exc)
        scan.bytes_total += scan.bytes_unchanged
        if before and scan.files_new:
            scan.relabelled = _count_relabelled(folder, scan.files, before)
        for name, (_, fields) in before.items():
            if fields["type"] == "dir":
                self._cache.forget(child_path(folder.path, name))

    def _changed_sets(
        self, folder: Folder, before: Mapping[bytes, _OldNode], cached: CachedFolder | None
    ) -> set[bytes]:
        """Return what may be databases whose newest content lies in a file beside them: their own state hides it."""
        now = {name: status for name, status in folder.sides.values() if not name.endswith(SHARED)}
        then = {name for name, (_, fields) in before.items() if "beside" in fields and not name.endswith(SHARED)}
        same = {
            name
            for name in then & now.keys()
            if cached is not None and self._is_unchanged(before[name][1], now[name], cached)
        }
        return {main_name(name) for name in (then | now.keys()) - same}

    def _take_file(
        self, folder: Folder, slot: int, name: bytes, status: os.stat_result, old: _OldNode | None, scan: Scan
    ) -> None:
        """Have a file read that is new, has changed, or may have."""
        scan.files.append(FileToRead(slot, name, status.st_size))
        scan.bytes_total += status.st_size
        if old is None:
            scan.files_new += 1
            return
        scan.files_changed += 1
        folder.older.add(name)
        if not _same_state(old[1], status):  # else it is read again to be sure
            folder.changed.add(name)

    def _is_unchanged(
        self, old: dict[str, Any], status: os.stat_result, cached: CachedFolder, *, sized: bool = True
    ) -> bool:
        """sized: False where another size was stored, because what lay beside a database was joined with it."""
        return (
            _same_state(old, status, sized=sized)
            and not _may_hide_a_change(status, cached.settled_before)
            and all(bytes.fromhex(blob) in self._known.data for blob in old["content"])
        )

    def _take_special(
        self, folder: Folder, slot: int, name: bytes, status: os.stat_result, fd: int, scan: Scan
    ) -> None:
        if not node_type(status.st_mode):
            raise OSError(f"it is of a kind that cannot be stored (mode {status.st_mode:o})")
        try:
            target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else None
        except FileNotFoundError:
            folder.whole = False
            return
        xattrs, missed = read_xattrs(b"/proc/self/fd/%d/%b" % (fd, name))
        folder.nodes[slot] = encode_node(name, status, link_target=target, xattrs=xattrs)
        if missed or not is_writable_time(status.st_mtime_ns):
            folder.whole = False
            scan.partly.append((child_path(folder.path, name), missed or DATE_MOVED))

    def _below(self, folder: Folder, slot: int, name: bytes) -> Folder:
        number = self._next_number
        self._next_number += 1
        path = child_path(folder.path, name)
        sources = self._selection.wanted_by(folder.sources, path)
        return Folder(number, folder.root, (*folder.parts, name), path, parent=folder, slot=slot, sources=sources)


def child_path(path: bytes, name: bytes) -> bytes:
    return path + name if path.endswith(b"/") else path + b"/" + name


def _name_of(entry: Entry) -> bytes:
    return entry[0]


def _may_hide_a_change(status: os.stat_result, settled_before: int) -> bool:
    """Whether a file was written so shortly before it was looked at that its times need not show the next change.

    A time far ahead is a camera's in another zone: whatever is written from now on gets another one, so equality tells.
    """
    ahead = settled_before + DATED_AHEAD_NS
    return settled_before <= status.st_mtime_ns < ahead or settled_before <= status.st_ctime_ns < ahead


def _note_problem(folder: Folder, scan: Scan, name: bytes, exc: Exception) -> None:
    folder.whole = False
    scan.problems.append((child_path(folder.path, name), reason_of(exc)))


def _sign(entries: list[Entry]) -> bytes:
    pack = _STATE.pack
    try:
        states = [
            name + b"\0" + pack(s.st_mode, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_uid, s.st_gid)
            for name, s in entries
        ]
    except struct.error:  # a date before 1677 or after 2262 among them
        states = [
            b"%b\0%d %d %d %d %d %d %d"
            % (name, s.st_mode, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_uid, s.st_gid)
            for name, s in entries
        ]
    return blake2b(b"".join(states), digest_size=16).digest()


def _same_state(old: dict[str, Any], status: os.stat_result, *, sized: bool = True) -> bool:
    return bool(
        old["type"] == "file"
        and (old.get("size", 0) == status.st_size or not sized)
        and old["inode"] == status.st_ino
        and old["mtime"] == format_time(status.st_mtime_ns)
        and old["ctime"] == format_time(status.st_ctime_ns)
    )


def _count_relabelled(folder: Folder, files: list[FileToRead], gone: Collection[bytes]) -> int:
    named = [name for name in gone if suffix_of(name) in KNOWN_SUFFIXES]
    names = frozenset((*named, *(os.path.splitext(name)[0] for name in named)))
    return sum(file.name not in folder.older and is_relabelled(file.name, names) for file in files)


def _nodes_before(cached: CachedFolder | None) -> dict[bytes, _OldNode]:
    """Return the remembered nodes by name; none when the row cannot be read, for it is only a cache."""
    try:
        found = [(node, orjson.loads(node)) for node in usable_nodes(cached) if node]
        return {unquote_name(fields["name"]): (node, fields) for node, fields in found}
    except (ValueError, KeyError, TypeError):
        return {}
