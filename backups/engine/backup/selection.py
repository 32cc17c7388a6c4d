"""What belongs to which source: each has its own patterns and its own count, also where one lies within another.

A place is a source or a disk that is mounted below one. How much each holds is counted folder by folder while the
folders are listed, which costs an addition per folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from backups.engine.backup.excludes import Excludes


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """A folder to back up.

    path:     absolute.   excludes: glob patterns of this source alone, see `excludes`.
    mounts:   places below it where another disk was mounted before; they are counted even if none is there now.
    """

    path: str
    excludes: tuple[str, ...] = ()
    mounts: tuple[bytes, ...] = ()


@dataclass(slots=True, eq=False)
class Place:
    """How much one place holds.

    device:     number of the file system it lies on, 0 when it was not met.
    mounted:    it is another disk than the folder above it.
    files, size_bytes: regular files at and below it that are backed up [bytes].
    """

    path: bytes
    device: int = 0
    mounted: bool = False
    files: int = 0
    size_bytes: int = 0

    def add(self, files: int, size_bytes: int) -> None:
        self.files += files
        self.size_bytes += size_bytes


@dataclass(slots=True)
class LeftOut:
    """What one pattern left out: files, and folders with all that is in them (which nobody counted)."""

    pattern: str
    files: int = 0
    folders: int = 0


@dataclass(slots=True)
class Changes:
    """How a source differs from the run before, in files.

    new, changed:  by name.   moved: new ones whose content was stored before, under another name.
    spoiled:       changed ones that are no longer what their names say, and were: zeros, nothing or noise.
    noisy:         changed ones that are noise and were not, whose names promise nothing.
    rewritten:     changed ones that are noise or zeros, whatever they were before.
    spoiled_new:   new ones of both kinds: they stand for a loss only where as many others are gone.
    copied_odd:    new ones of both kinds whose content was stored before.
    relabelled:    new ones named as one that is gone, with an unknown suffix.
    """

    new: int = 0
    changed: int = 0
    moved: int = 0
    spoiled: int = 0
    noisy: int = 0
    rewritten: int = 0
    spoiled_new: int = 0
    copied_odd: int = 0
    relabelled: int = 0


@dataclass(slots=True, eq=False)
class FoundSource(Place):
    """One source as this run found it.

    missing:  why it could not be read, for people; "" when it was. Then nothing of it is in the snapshot.
    mounts:   disks below it, those of earlier runs among them.
    odd:      files that are noise or zeros, whether they changed or not.
    left_out: what its patterns left out, those that left out nothing as well.
    faults:   (pattern, reason) of patterns that cannot be used and left nothing out.
    """

    name: str = ""
    excludes: Excludes = field(default_factory=lambda: Excludes(()))
    missing: str = ""
    mounts: list[Place] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    odd: int = 0
    left_out: dict[str, LeftOut] = field(default_factory=dict)

    @property
    def faults(self) -> list[tuple[str, str]]:
        return self.excludes.faults


class Selection:
    """Decides for every entry which sources want it. An entry that no source wants is left out."""

    def __init__(self, folders: Sequence[SourceFolder]) -> None:
        self.sources = [_begin(folder) for folder in folders]
        self._at = {source.path: source for source in self.sources}
        self._mounts = {mount for folder in folders for mount in folder.mounts}
        self._above = {above for source in self.sources for above in _folders_above(source.path)}
        self.takes_all = not any(source.excludes for source in self.sources)

    def at(self, path: bytes) -> tuple[FoundSource, ...]:
        """Return the source whose folder this is, if it is one."""
        source = self._at.get(path)
        return (source,) if source else ()

    def wanted_by(self, sources: tuple[FoundSource, ...], path: bytes) -> tuple[FoundSource, ...]:
        """Return those of `sources`, which want the folder around it, that want `path` as well, and the source that it
        is itself."""
        kept = sources if self.takes_all else tuple(each for each in sources if each.excludes.which(path) is None)
        own = self._at.get(path)
        return kept if own is None or own in kept else (*kept, own)

    def leads_on(self, path: bytes) -> bool:
        """Whether a source lies below this folder: then it is entered though nobody wants it for itself."""
        return path in self._above

    def was_mount(self, path: bytes) -> bool:
        """Whether another disk was here in an earlier run."""
        return path in self._mounts

    def note_left_out(self, sources: Iterable[FoundSource], path: bytes, *, is_folder: bool) -> None:
        """Count an entry that was left out with the pattern of each source that did it."""
        for source in sources:
            pattern = source.excludes.which(path)
            if pattern is not None:
                count = source.left_out[pattern]
                count.folders += is_folder
                count.files += not is_folder


def _begin(folder: SourceFolder) -> FoundSource:
    left_out = {pattern: LeftOut(pattern) for pattern in folder.excludes}
    return FoundSource(
        path=source_path(folder.path), name=folder.path, excludes=Excludes(folder.excludes), left_out=left_out
    )


def source_path(path: str) -> bytes:
    """Return the path as the scanner meets it: without dots, and with one slash at its beginning."""
    return b"/" + os.path.normpath(os.fsencode(path)).lstrip(b"/")


def _folders_above(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:end]) or b"/" for end in range(1, len(parts))]


def recorded_excludes(folders: Sequence[SourceFolder]) -> tuple[str, ...]:
    """Return the patterns as a snapshot records them, where there is one list for all sources: a pattern that holds for
    one source of several names its folder, so that restic, given this list, would leave out the same."""
    if len({folder.excludes for folder in folders}) <= 1:
        return folders[0].excludes if folders else ()
    found = [
        pattern if pattern.startswith("/") else f"{folder.path.rstrip('/')}/**/{pattern}"
        for folder in folders
        for pattern in folder.excludes
    ]
    return tuple(dict.fromkeys(found))
