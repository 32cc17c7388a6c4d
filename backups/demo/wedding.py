"""Write a whole wedding to disk, and add to it later."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from backups.demo.plan import DEMO, SMALL, PlannedFile, Size, plan_late_photos, plan_wedding
from backups.demo.scenario import DEFAULT_DAY, Scenario, imagine

__all__ = ["DEMO", "PROTECTION_CLASSES", "SMALL", "Size", "WeddingFiles", "add_late_photos", "make_wedding"]

PROTECTION_CLASSES = ("media", "documents", "guests")
LATE_FOLDER = "media/photos/late-delivery"
# Pillow paints and compresses outside the interpreter's lock; a picture in the making takes about 170 MB.
WRITERS = 2

# (files done, files in all, bytes done)
OnProgress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class WeddingFiles:
    """What was written: the facts of the wedding, the paths below `root`, and their size in all [bytes]."""

    root: Path
    scenario: Scenario
    paths: tuple[str, ...]
    bytes_total: int

    @property
    def sources(self) -> dict[str, Path]:
        """The folder of each protection class: there is a vault for each."""
        return {name: self.root / name for name in PROTECTION_CLASSES}


def make_wedding(
    target: Path, *, seed: int, size: Size, on_progress: OnProgress | None = None, day: date = DEFAULT_DAY
) -> WeddingFiles:
    """Write the wedding of `seed` below `target` and return what was written.

    target:       made if missing. Files of the same name are replaced, so a run that was broken off is
                  simply repeated.
    day:          of the wedding; times inside the files and of the files follow it.
    on_progress:  called in the caller's thread after every file. What it raises ends the work and is passed on.

    Raises OSError if a file cannot be written.
    """
    scenario = imagine(seed, guests=size.guests, suppliers=size.suppliers, day=day)
    planned = plan_wedding(scenario, size)
    total = _write_all(target, planned, on_progress)
    return WeddingFiles(target, scenario, tuple(sorted(file.path for file in planned)), total)


def add_late_photos(
    target: Path, seed: int, count: int, *, size: Size = DEMO, day: date = DEFAULT_DAY
) -> tuple[Path, ...]:
    """Add `count` more portraits to the wedding of `seed` at `target`, and return their paths.

    Each call adds new ones: numbers go on where the folder ends. `size` and `day` as for `make_wedding`.

    Raises OSError if a file cannot be written.
    """
    folder = target / LATE_FOLDER
    present = len(list(folder.iterdir())) if folder.exists() else 0
    scenario = imagine(seed, guests=size.guests, suppliers=size.suppliers, day=day)
    planned = plan_late_photos(scenario, size, present + 1, count)
    _write_all(target, planned, None)
    return tuple(target / file.path for file in planned)


def _write_all(target: Path, planned: Sequence[PlannedFile], on_progress: OnProgress | None) -> int:
    """Write all `planned` files below `target` and return their size in all [bytes]."""
    for folder in sorted({os.path.dirname(file.path) for file in planned}):
        (target / folder).mkdir(parents=True, exist_ok=True)
    written = 0
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="demo") as pool:
        try:
            futures = [pool.submit(_write_one, target, file) for file in planned]
            for done, future in enumerate(as_completed(futures), start=1):
                written += future.result()
                if on_progress:
                    on_progress(done, len(planned), written)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C waits for two pictures, not for three hundred
            raise
    return written


def _write_one(target: Path, file: PlannedFile) -> int:
    path = target / file.path
    file.write(path)
    seconds = file.changed_at.timestamp()
    os.utime(path, (seconds, seconds))
    return path.stat().st_size
