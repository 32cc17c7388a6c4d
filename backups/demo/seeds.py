"""Where all chance comes from, so that a seed fixes every byte."""

from __future__ import annotations

import random


def chance(seed: int, *parts: str | int) -> random.Random:
    """Return the random source of one named thing, e.g. `chance(7, "media/raw/A.dng")`.

    Each file has its own source, so files may be written in any order, by any number of threads.
    """
    name = "/".join(str(part) for part in (seed, *parts))
    return random.Random(name)
