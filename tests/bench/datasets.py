"""Source folders to back up, made once per run and shared by all contestants."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000


@dataclass(frozen=True)
class Dataset:
    """A folder with `files` files and `size_bytes` bytes."""

    path: Path
    files: int
    size_bytes: int


def settle(dataset: Dataset) -> None:
    """Write back what earlier runs left behind and read the source once, so that nobody pays for who ran before."""
    os.sync()
    for path in sorted(dataset.path.rglob("*")):
        if path.is_file():
            with open(path, "rb", buffering=0) as stream:
                while stream.read(8 * MB):
                    pass


def _fill(folder: Path, sizes: list[int], per_folder: int) -> Dataset:
    for number, size in enumerate(sizes):
        parent = folder / f"{number // per_folder:04d}"
        if number % per_folder == 0:
            parent.mkdir(parents=True, exist_ok=True)
        with open(parent / f"IMG_{number:06d}.dng", "wb") as stream:
            stream.write(os.urandom(size))
    os.sync()
    return Dataset(folder, len(sizes), sum(sizes))


def raws(folder: Path, scale: float) -> Dataset:
    """2 GB of incompressible files of 25 to 30 MB."""
    rng = random.Random(1)
    sizes: list[int] = []
    while sum(sizes) < 2_000 * MB * scale:
        sizes.append(rng.randint(25 * MB, 30 * MB))
    return _fill(folder, sizes, 100)


def small_files(folder: Path, scale: float) -> Dataset:
    """20,000 incompressible files of 10 to 100 KB."""
    rng = random.Random(2)
    return _fill(folder, [rng.randint(10_000, 100_000) for _ in range(int(20_000 * scale))], 500)


def tiny_files(folder: Path, scale: float) -> Dataset:
    """100,000 files of 100 to 2,000 bytes."""
    rng = random.Random(3)
    return _fill(folder, [rng.randint(100, 2_000) for _ in range(int(100_000 * scale))], 500)
