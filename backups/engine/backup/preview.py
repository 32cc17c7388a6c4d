"""What patterns would leave out of a folder, before anybody saves them: counted within bounds of time and entries."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from backups.engine.backup.excludes import Excludes
from backups.engine.backup.selection import source_path

LOOK_SECONDS = 3.0  # a person waits for the page
ENTRIES_MAX = 100_000
EXAMPLES_MAX = 4
MOST = 0.5  # leaving out more than this share of the files is hardly meant


@dataclass(slots=True)
class PatternPreview:
    """Regular files that one pattern leaves out, also those in folders that it leaves out. examples: names of some."""

    pattern: str
    files: int = 0
    size_bytes: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Preview:
    """What was seen of a folder, and what of it the patterns leave out.

    files, size_bytes: all regular files, also those that are left out.
    complete:          everything was seen; otherwise time or patience ended before.
    """

    patterns: list[PatternPreview]
    files: int = 0
    size_bytes: int = 0
    complete: bool = False

    @property
    def left_out(self) -> int:
        """How many files the patterns leave out together."""
        return sum(one.files for one in self.patterns)

    @property
    def leaves_out_most(self) -> bool:
        """Whether this looks like a mistake: more than MOST of the files or of the bytes would not be backed up."""
        sizes = sum(one.size_bytes for one in self.patterns)
        return self.left_out > self.files * MOST or sizes > self.size_bytes * MOST


def preview(path: str, patterns: Sequence[str], *, seconds: float = LOOK_SECONDS) -> Preview:
    """Look through the folder `path` and return what the patterns leave out.

    A folder on a dead network drive may never answer: who asks waits no longer than `seconds` all the same.
    """
    found = Preview([PatternPreview(pattern) for pattern in patterns])
    stopped = threading.Event()
    looking = threading.Thread(target=_look, args=(source_path(path), found, stopped), name="preview", daemon=True)
    looking.start()
    looking.join(seconds)
    stopped.set()
    return found


def _look(root: bytes, found: Preview, stopped: threading.Event) -> None:
    excludes = Excludes([one.pattern for one in found.patterns])
    by_pattern = {one.pattern: one for one in found.patterns}
    folders: deque[tuple[bytes, PatternPreview | None]] = deque([(root, None)])
    entries = 0
    while folders:
        folder, outside = folders.popleft()
        try:
            listing = os.scandir(folder)
        except OSError:
            continue
        with listing:
            for entry in listing:
                entries += 1
                if stopped.is_set() or entries > ENTRIES_MAX:
                    return
                left_out = outside or by_pattern.get(excludes.which(entry.path) or "")
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, left_out))
                elif entry.is_file(follow_symlinks=False):
                    _count(entry, root, found, left_out)
    found.complete = True


def _count(entry: os.DirEntry[bytes], root: bytes, found: Preview, left_out: PatternPreview | None) -> None:
    try:
        size = entry.stat(follow_symlinks=False).st_size
    except OSError:
        return
    found.files += 1
    found.size_bytes += size
    if left_out is not None:
        left_out.files += 1
        left_out.size_bytes += size
        if len(left_out.examples) < EXAMPLES_MAX:
            left_out.examples.append(os.path.relpath(entry.path, root).decode("utf-8", "replace"))
