"""Whether a source was changed as no person changes it: files that became noise or zeros, or got unknown endings.

How much changed says nothing: an import, a batch export or new dates touch every file. What counts is that files
stopped being what their names say. The counts go on over the backups of 30 days, so that a slow attack is seen as well,
and what was seen once stays until a person has looked: files that are spoiled already do not change again.
"""

from __future__ import annotations

from dataclasses import dataclass

# A known file becomes noise or zeros by a broken transfer now and then, never by work: three, or one in fifty.
SPOILED_FROM, SPOILED_SHARE = 3, 0.02
# Somebody may put .old behind some names.
RELABELLED_FROM, RELABELLED_SHARE = 5, 0.1
# Caches and containers of other programs are noise by nature and change at will, but hardly most files of a folder.
NOISY_FROM, NOISY_SHARE = 10, 0.5

# Formats that nobody here knows look like noise from the beginning; nobody rewrites nearly all of them at once.
REWRITTEN_FROM, REWRITTEN_SHARE = 5, 0.8


@dataclass(frozen=True, slots=True)
class Churn:
    """How many files of a source changed badly, in one backup or in several together.

    spoiled:    are noise, zeros or nothing now, and their names promise more.
    noisy:      are noise now, and their names promise nothing.
    relabelled: got an unknown ending.
    """

    spoiled: int = 0
    noisy: int = 0
    relabelled: int = 0

    def __add__(self, other: Churn) -> Churn:
        return Churn(self.spoiled + other.spoiled, self.noisy + other.noisy, self.relabelled + other.relabelled)


def lost_files(*, before: int, now: int, new: int, moved: int) -> int:
    """Return how many files of a source are gone, and not only under another name.

    before, now: how many it held.   new: names that were not there.   moved: those of them with content known before.
    """
    return max(0, before + new - now - moved)


def is_rewritten(count: int, files: int) -> bool:
    """Whether nearly all files of a source were overwritten with noise in one go, whatever they were before."""
    return _many(count, files, REWRITTEN_FROM, REWRITTEN_SHARE)


def churn_suspicion(churn: Churn, files: int) -> str:
    """Return in words why the changes look like damage or an attack, "" when they do not.

    files: the most that the source held.
    """
    spoiled = churn.spoiled + churn.noisy
    least = min(SPOILED_FROM, max(files, 2))  # all files of a small folder are enough
    if _many(churn.spoiled, files, least, SPOILED_SHARE) or _many(spoiled, files, NOISY_FROM, NOISY_SHARE):
        return f"{_of(spoiled, files)} were overwritten with noise or zeros. {_ADVICE}"
    if _many(churn.relabelled, files, RELABELLED_FROM, RELABELLED_SHARE):
        return f"{_of(churn.relabelled, files)} got an unknown ending, as .locked. {_ADVICE}"
    return ""


_ADVICE = "If nobody did this on purpose, take that computer off the network; older snapshots are kept."


def _many(count: int, files: int, least: int, share: float) -> bool:
    return count >= max(least, files * share)


def _of(count: int, files: int) -> str:
    return f"{min(count, files):,} of {files:,} files"
