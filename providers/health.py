"""From the last probes of a location to a score from 0 to 100. Pure: it reads no database and no clock.

    70 points  reliability: the share of probes that were answered
    30 points  speed, times the reliability: the latency against what is usual there, and for a third the throughput,
               where it was measured

A location is compared with itself only: a bucket far away is no worse for being far.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

PROBES_JUDGED = 20
RECENT = 3
SLOW_FACTOR = 5.0  # answers this many times slower than usual count nothing for speed
FAST_ENOUGH_MS = 50.0  # below this a factor is noise, not slowness
USUAL_SHARE, POOR_SHARE = 0.5, 0.1  # of the usual throughput: above the first all is well, at the second nothing
RATES_NEEDED = 3
GOOD, FAIR = 80, 50


@dataclass(frozen=True, slots=True)
class Health:
    """score: 0 to 100, None when it was never probed. tone and words: what a person is told."""

    score: int | None
    tone: str
    words: str


def score_of(latencies_ms: Sequence[float | None], rates: Sequence[float] = ()) -> int | None:
    """Return 70 points for answering and 30 for being as fast as usual.

    latencies_ms: the probes, oldest first; None is a probe without an answer [ms].
    rates:        measured throughput, oldest first [bytes/s].

    A location whose last probe failed has at most 40 points, and 15 when the last three failed: what it did an hour
    ago does not help a backup now.
    """
    judged = latencies_ms[-PROBES_JUDGED:]
    if not judged:
        return None
    answered = [value for value in judged if value is not None]
    reliability = len(answered) / len(judged)
    speed = _speed(answered)
    if len(rates) >= RATES_NEEDED:
        speed = (2 * speed + _throughput(rates)) / 3
    score = round(70 * reliability + 30 * reliability * speed)
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


def _throughput(rates: Sequence[float]) -> float:
    """Return 1.0 for at least half of the usual throughput, falling to 0.0 at a tenth of it."""
    share = statistics.median(rates[-RECENT:]) / max(statistics.median(rates), 1.0)
    return min(1.0, max(0.0, (share - POOR_SHARE) / (USUAL_SHARE - POOR_SHARE)))


def health_of(
    latencies_ms: Sequence[float | None],
    *,
    enabled: bool,
    left_alone: bool,
    paused: bool = False,
    rates: Sequence[float] = (),
) -> Health:
    """Return the health of a location for a page.

    left_alone: its breaker is open.   paused: by a person.   rates: as `score_of` takes them.
    """
    score = score_of(latencies_ms, rates)
    if not enabled:
        return Health(score, "empty", "switched off")
    if paused:
        return Health(score, "attention", "paused")
    if left_alone:
        return Health(min(score or 0, 15), "danger", "not answering, left alone")
    if score is None:
        return Health(None, "empty", "not probed yet")
    if latencies_ms[-1] is None:
        return Health(score, "danger", "no answer")
    if score >= GOOD:
        return Health(score, "safe", "answering")
    return Health(score, "attention" if score >= FAIR else "danger", "answering badly")
