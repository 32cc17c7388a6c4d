"""Which snapshots of a vault stay, and why. Pure: decides, never deletes.

Grandfather, father, son: of each hour, day, week, month and year the newest snapshot stays, for as many of them as the
rules say, counted back from the newest snapshot. Periods are those of the vault's own time zone. Above all rules
stand: a legal hold, a freeze after something suspicious, and the newest snapshot that has enough verified copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

CLOCK_SKEW = timedelta(minutes=10)  # a snapshot further ahead of the clock is dated wrong


@dataclass(frozen=True, slots=True)
class Rules:
    """How many snapshots to keep of each kind; 0 switches a rule off.

    last:           the newest ones.
    hourly ... yearly: newest of so many hours ... years that have a snapshot.
    within:         everything younger than this, counted from the newest snapshot: when backups stop, nothing
                    expires any more.
    minimum_copies: the newest snapshot with at least so many verified copies is never forgotten.
    zone:           in which days, weeks ... are counted.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: timedelta | None = None
    minimum_copies: int = 1
    zone: tzinfo = UTC

    @property
    def keeps_anything(self) -> bool:
        return self.within is not None or any(
            (self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One snapshot. time: aware.   copies: how many are verified now.   held: under a legal hold."""

    snapshot_id: str
    time: datetime
    copies: int
    held: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What shall happen to a snapshot. reasons: to keep it; or, when it goes, the one reason why."""

    snapshot_id: str
    keep: bool
    reasons: tuple[str, ...]


@dataclass(slots=True)
class _Period:
    """One rule that keeps the newest snapshot of each period. key: names the period that a moment is in."""

    label: str
    count: int
    key: Callable[[datetime], tuple[int, ...]]
    seen: set[tuple[int, ...]] = field(default_factory=set)

    def keeps(self, moment: datetime) -> bool:
        period = self.key(moment)
        if period in self.seen or len(self.seen) >= self.count:
            return False
        self.seen.add(period)
        return True


def judge(candidates: Iterable[Candidate], rules: Rules, *, now: datetime, frozen: str = "") -> list[Verdict]:
    """Return a verdict for every snapshot, newest first.

    now:    aware; snapshots dated ahead of it are kept and do not count.
    frozen: why nothing may go at present, for example a mass deletion in the source; "" if nothing is suspicious.
    """
    ordered = sorted(candidates, key=lambda candidate: (candidate.time, candidate.snapshot_id), reverse=True)
    ahead = [candidate for candidate in ordered if candidate.time > now + CLOCK_SKEW]
    dated = ordered[len(ahead) :]
    reasons = _reasons(dated, rules)
    wrong = ("dated in the future: the clock was wrong",)
    verdicts = [Verdict(candidate.snapshot_id, True, wrong) for candidate in ahead]
    for candidate, kept_by in zip(dated, reasons, strict=True):
        if candidate.held:
            kept_by.append("legal hold")
        if frozen:
            kept_by.append(f"retention is frozen: {frozen}")
        if not rules.keeps_anything:
            kept_by.append("no rule says what may go")
        verdicts.append(Verdict(candidate.snapshot_id, bool(kept_by), tuple(kept_by) or ("no rule keeps it",)))
    return verdicts


def _reasons(ordered: Sequence[Candidate], rules: Rules) -> list[list[str]]:
    """Return for each snapshot, newest first, what keeps it."""
    periods = _periods(rules)
    safest = _newest_safe(ordered, rules.minimum_copies)
    found: list[list[str]] = []
    for place, candidate in enumerate(ordered):
        local = candidate.time.astimezone(rules.zone)
        reasons = [f"one of the last {rules.last}"] if place < rules.last else []
        reasons += [f"newest of its {period.label}" for period in periods if period.keeps(local)]
        if rules.within is not None and ordered[0].time - candidate.time <= rules.within:
            reasons.append(f"within {_words(rules.within)} of the newest")
        if place == safest:
            reasons.append(f"newest with {candidate.copies} verified copies")
        found.append(reasons)
    return found


def _periods(rules: Rules) -> list[_Period]:
    return [
        _Period("hour", rules.hourly, lambda at: (at.year, at.month, at.day, at.hour, at.fold)),
        _Period("day", rules.daily, lambda at: (at.year, at.month, at.day)),
        _Period("week", rules.weekly, lambda at: at.isocalendar()[:2]),
        _Period("month", rules.monthly, lambda at: (at.year, at.month)),
        _Period("year", rules.yearly, lambda at: (at.year,)),
    ]


def _newest_safe(ordered: Sequence[Candidate], minimum_copies: int) -> int:
    """Return the place of the newest snapshot with enough copies; of the newest with most, if none has enough."""
    enough = (place for place, candidate in enumerate(ordered) if candidate.copies >= minimum_copies)
    most = max(range(len(ordered)), key=lambda place: (ordered[place].copies, -place), default=-1)
    return next(enough, most)


def _words(span: timedelta) -> str:
    return f"{span.days} days" if span.days else f"{span.total_seconds() / 3600:.0f} hours"
