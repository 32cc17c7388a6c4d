"""From the last probes of a location to a score from 0 to 100. Pure: it reads no database and no clock."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

PROBES_JUDGED = 20
RECENT = 3
SLOW_FACTOR = 5.0  # answers this many times slower than usual count nothing for speed
FAST_ENOUGH_MS = 50.0  # below this a factor is noise, not slowness
GOOD, FAIR = 80, 50


@dataclass(frozen=True, slots=True)
class Health:
    """score: 0 to 100, None when it was never probed. tone and words: what a person is told."""

    score: int | None
    tone: str
    words: str


def score_of(latencies_ms: Sequence[float | None]) -> int | None:
    """Return 70 points for answering and 30 for answering as fast as usual.

    latencies_ms: the probes, oldest first; None is a probe without an answer [ms].

    A location whose last probe failed has at most 40 points, and 15 when the last three failed: what it did an hour
    ago does not help a backup now.
    """
    judged = latencies_ms[-PROBES_JUDGED:]
    if not judged:
        return None
    answered = [value for value in judged if value is not None]
    reliability = len(answered) / len(judged)
    score = round(70 * reliability + 30 * reliability * _speed(answered))
    recent = judged[-RECENT:]
    if all(value is None for value in recent):
        return min(score, 15)
    return min(score, 40) if recent[-1] is None else score


def _speed(answered: Sequence[float]) -> float:
    """Return 1.0 for answers as fast as usual, falling to 0.0 at SLOW_FACTOR times the usual."""
    if not answered:
        return 0.0
    usual = max(statistics.median(answered), FAST_ENOUGH_MS)
    now = statistics.median(answered[-RECENT:])
    return min(1.0, max(0.0, (SLOW_FACTOR - now / usual) / (SLOW_FACTOR - 1)))


def health_of(latencies_ms: Sequence[float | None], *, enabled: bool, left_alone: bool) -> Health:
    """Return the health of a location for a page.

    left_alone: its breaker is open.
    """
    score = score_of(latencies_ms)
    if not enabled:
        return Health(score, "empty", "switched off")
    if left_alone:
        return Health(min(score or 0, 15), "danger", "not answering, left alone")
    if score is None:
        return Health(None, "empty", "not probed yet")
    if latencies_ms[-1] is None:
        return Health(score, "danger", "no answer")
    if score >= GOOD:
        return Health(score, "safe", "answering")
    return Health(score, "attention" if score >= FAIR else "danger", "answering badly")
