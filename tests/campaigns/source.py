"""A source folder as a wedding business has it, changed before every backup: new, changed, deleted, renamed, touched.

It stays between some 20 and 60 MB, and never shrinks so fast that the backup would rightly call it suspicious.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from random import Random

from backups.engine.backup.crew import PROCESSES_FROM_BYTES, PROCESSES_FROM_FILES

MB = 1_000_000
BYTES_MAX = 60 * MB
FILES_MAX = 2_000
DELETED_AT_MOST = 0.3  # of the files, and of the bytes, in one round
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
WORDS = b"first dance, cutting of the cake, table plan, vegetarian, vegan, no nuts, speeches, bouquet, quartet. "


class Change(StrEnum):
    """What happens to the source before a backup."""

    FIRST = "first"  # the vault is empty
    LIGHT = "light"
    # Enough for the engine's worker processes:
    HEAVY = "heavy"
    TOUCHED = "touched"
    SMALL = "small files"


class ChangingSource:
    """One folder; everything about it follows from the numbers that `noise` gives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0
        folder.mkdir(parents=True)

    def fill(self, noise: Random) -> None:
        """Begin with 20 to 45 MB of photos and small files: in some vaults enough for worker processes."""
        self._photos(noise, noise.uniform(20, 45) * MB)
        self._small(noise, 80)
        (self.folder / "empty.txt").touch()
        (self.folder / "newest").symlink_to("nowhere yet")

    def change(self, kind: Change, noise: Random) -> None:
        """Do what `kind` says, and in every case some of everything that happens to folders."""
        self._delete(noise)
        self._rename(noise)
        self._rewrite(noise)
        _MAKERS[kind](self, noise)
        link = self.folder / "newest"
        link.unlink()
        link.symlink_to(noise.choice(self._files()).relative_to(self.folder))

    def _light(self, noise: Random) -> None:
        self._photos(noise, noise.uniform(1, 6) * MB)
        self._small(noise, 10)

    def _heavy(self, noise: Random) -> None:
        self._photos(noise, PROCESSES_FROM_BYTES + noise.uniform(1, 25) * MB)

    def _touch(self, noise: Random) -> None:
        """Every file must be read again, little of it is new."""
        lacking = PROCESSES_FROM_BYTES + 2 * MB - sum(path.stat().st_size for path in self._files())
        self._photos(noise, max(lacking, noise.uniform(1, 3) * MB))
        for path in self._files():
            os.utime(path)

    def _many_small(self, noise: Random) -> None:
        self._small(noise, PROCESSES_FROM_FILES + noise.randint(50, 300))

    def _photos(self, noise: Random, total: float) -> None:
        while total > 0:
            size = int(min(noise.lognormvariate(14, 0.9), 12 * MB))  # 1.2 MB is the median
            self._new(noise, "jpg").write_bytes(JPEG + noise.randbytes(size))
            total -= size

    def _small(self, noise: Random, count: int) -> None:
        for _ in range(count):
            text = WORDS * noise.randint(1, 30)
            self._new(noise, "txt").write_bytes(text + noise.randbytes(8).hex().encode())

    def _new(self, noise: Random, suffix: str) -> Path:
        self._made += 1
        folder = self.folder / noise.choice(("ceremony", "dinner/déjà vu", "contracts & lists", "party/late"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self._made:05} {noise.choice(('IMG', 'Übersicht', 'guests'))}.{suffix}"

    def _delete(self, noise: Random) -> None:
        """A few files always, and as many as it takes to stay within the limits."""
        files = self._files()
        sizes = {path: path.stat().st_size for path in files}
        over_bytes, over_files = sum(sizes.values()) - BYTES_MAX, len(files) - FILES_MAX
        most_bytes, most_files = sum(sizes.values()) * DELETED_AT_MOST, len(files) * DELETED_AT_MOST
        noise.shuffle(files)
        deleted_bytes = 0
        for deleted, path in enumerate(files):
            enough = deleted >= max(2, over_files) and deleted_bytes >= over_bytes
            if enough or deleted >= most_files or deleted_bytes + sizes[path] > most_bytes:
                break
            path.unlink()
            deleted_bytes += sizes[path]

    def _rename(self, noise: Random) -> None:
        for path in noise.sample(self._files(), 3):
            path.rename(self._new(noise, path.suffix.lstrip(".")))

    def _rewrite(self, noise: Random) -> None:
        """Change bytes in the middle, append, and change a mode."""
        middle, longer, private = noise.sample(self._files(), 3)
        with middle.open("r+b") as file:
            file.seek(middle.stat().st_size // 2)
            file.write(_more(noise, middle, 5_000))
        with longer.open("ab") as file:
            file.write(_more(noise, longer, 20_000))
        private.chmod(noise.choice((0o600, 0o640, 0o644)))

    def _files(self) -> list[Path]:
        return sorted(_regular_files(self.folder))


def _more(noise: Random, path: Path, size: int) -> bytes:
    """Return so many bytes [bytes] as such a file holds: noise in a text would rightly be taken for an attack."""
    return noise.randbytes(size) if path.suffix == ".jpg" else (WORDS * (size // len(WORDS) + 1))[:size]


_MAKERS: dict[Change, Callable[[ChangingSource, Random], None]] = {
    Change.LIGHT: ChangingSource._light,
    Change.HEAVY: ChangingSource._heavy,
    Change.TOUCHED: ChangingSource._touch,
    Change.SMALL: ChangingSource._many_small,
}


def _regular_files(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        for name in names:
            if not os.path.islink(os.path.join(path, name)):
                yield Path(path, name)
