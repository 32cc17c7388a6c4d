"""Which snapshots of a vault stay, and why. Pure: decides, never deletes.

Everything of the last days stays, and everything of the days around the wedding; besides, of each hour, day, week,
month and year the newest snapshot, for as many of them as the rules say. All is counted back from the newest snapshot,
as restic's `--keep-within` is: when backups stop, nothing expires any more. Periods are those of the vault's own time
zone. Above all rules stand: a legal hold, a freeze, and the newest snapshot that has enough verified copies.

Which snapshot is the newest is told by the order in which they were recorded; the clock may have been wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

CLOCK_SKEW = timedelta(minutes=10)  # a snapshot further ahead of the clock is dated wrong
SUSPICIOUS_FOR = timedelta(days=14)  # so long one whose source looked wrong outlives the good one that replaced it
_YEAR = timedelta(days=366)  # never shorter than what was promised


@dataclass(frozen=True, slots=True)
class Span:
    """All snapshots from `start` until before `end` (aware) stay until they are `keep` older than the newest."""

    start: datetime
    end: datetime
    keep: timedelta
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """How many snapshots to keep of each kind; 0 switches a rule off.

    last:           the newest ones.
    hourly ... yearly: newest of so many hours ... years that have a snapshot.
    within:         everything at most so much older than the newest.
    span:           days of which everything stays.
    monthly_years:  the newest of each month of so many years stays; `monthly_reason` says to a person why.
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
    span: Span | None = None
    monthly_years: int = 0
    monthly_reason: str = ""
    minimum_copies: int = 1
    zone: tzinfo = UTC

    @property
    def keeps_anything(self) -> bool:
        return self.within is not None or any(
            (self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly, self.monthly_years)
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One snapshot.

    time:       aware; what the clock said.
    copies:     how many are verified now.
    held:       why it is under a legal hold, "" if it is not.
    suspicious: its source looked wrong as a whole: it pushes no good one out, and goes when one has replaced it.
    """

    snapshot_id: str
    time: datetime
    copies: int
    held: str = ""
    suspicious: bool = False


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


def days_around(day: date, zone: tzinfo, *, before: int, after: int) -> tuple[datetime, datetime]:
    """Return the first moment of the day that is `before` days ahead of `day`, and the end of the one `after` it."""
    start, end = day - timedelta(days=before), day + timedelta(days=after + 1)
    return datetime.combine(start, time.min, zone), datetime.combine(end, time.min, zone)


def judge(candidates: Sequence[Candidate], rules: Rules, *, now: datetime, frozen: str = "") -> list[Verdict]:
    """Return a verdict for every snapshot, in the order given.

    candidates: in the order of their recording, the newest first.
    now:        aware; snapshots dated ahead of it are kept and do not count. If the newest one is, it is not known
                which clock was wrong, and nothing goes.
    frozen:     why nothing may go at present, for example a mass deletion in the source; "" if all is well.
    """
    latest = now + CLOCK_SKEW
    if candidates and candidates[0].time > latest:
        frozen = frozen or "the newest snapshot is dated in the future, so the clock is or was wrong"
    reasons = iter(_reasons([candidate for candidate in candidates if candidate.time <= latest], rules))
    verdicts = []
    for candidate in candidates:
        ahead = candidate.time > latest
        kept_by = ["dated in the future: the clock was wrong"] if ahead else next(reasons)
        if candidate.held:
            kept_by.append(f"legal hold: {candidate.held}")
        if frozen:
            kept_by.append(f"nothing goes at present: {frozen}")
        if not rules.keeps_anything:
            kept_by.append("no rule says what may go")
        verdicts.append(Verdict(candidate.snapshot_id, bool(kept_by), tuple(kept_by) or (_why_not(candidate),)))
    return verdicts


def _why_not(candidate: Candidate) -> str:
    return "its source looked wrong, and a good one replaced it" if candidate.suspicious else "no rule keeps it"


def _reasons(ordered: Sequence[Candidate], rules: Rules) -> list[list[str]]:
    """Return for each snapshot, newest first, what keeps it."""
    if not ordered:
        return []
    newest = ordered[0].time
    ages = _ages(ordered, newest)
    periods = _periods(rules)
    counted = [place for place, candidate in enumerate(ordered) if not candidate.suspicious]
    last, safest = set(counted[: rules.last]), _newest_safe(ordered, counted, rules.minimum_copies)
    found: list[list[str]] = []
    replaced: timedelta | None = None  # how long ago, seen from the newest, a good one followed
    for place, candidate in enumerate(ordered):
        reasons = _reasons_of_time(candidate, ages[place], rules)
        if candidate.suspicious:
            if replaced is None or replaced < SUSPICIOUS_FOR:
                reasons.append("its source looked wrong: it waits until a good one has stood for a while")
        else:
            local = candidate.time.astimezone(rules.zone)
            reasons += [f"one of the last {rules.last}"] if place in last else []
            reasons += [
                period.label
                for period, limit in periods
                if (limit is None or ages[place] <= limit) and period.keeps(local)
            ]
            if place == safest:
                reasons.append(f"newest with {candidate.copies} verified copies")
            replaced = ages[place] if candidate.copies else replaced
        found.append(reasons)
    return found


def _reasons_of_time(candidate: Candidate, age: timedelta, rules: Rules) -> list[str]:
    """Return what keeps everything of some days."""
    reasons = []
    if rules.within is not None and age <= rules.within:
        reasons.append(f"within {_words(rules.within)} of the newest")
    if rules.span is not None and rules.span.start <= candidate.time < rules.span.end and age <= rules.span.keep:
        reasons.append(rules.span.reason)
    return reasons


def _ages(ordered: Sequence[Candidate], newest: datetime) -> list[timedelta]:
    """Return how much older than the newest each one is: not older than any that was recorded before it.

    So a clock that was set back for a while makes nothing old.
    """
    ages: list[timedelta] = []
    latest = ordered[-1].time
    for candidate in reversed(ordered):
        latest = max(latest, candidate.time)
        ages.append(newest - latest)
    return ages[::-1]


def _periods(rules: Rules) -> list[tuple[_Period, timedelta | None]]:
    """Return the rules that keep one of each period, and how old a snapshot may be for it."""

    def by_month(at: datetime) -> tuple[int, ...]:
        return (at.year, at.month)

    counted = [
        _Period("newest of its hour", rules.hourly, lambda at: (at.year, at.month, at.day, at.hour, at.fold)),
        _Period("newest of its day", rules.daily, lambda at: (at.year, at.month, at.day)),
        _Period("newest of its week", rules.weekly, lambda at: at.isocalendar()[:2]),
        _Period("newest of its month", rules.monthly, by_month),
        _Period("newest of its year", rules.yearly, lambda at: (at.year,)),
    ]
    long = _Period(f"newest of its month: {rules.monthly_reason}", 12 * rules.monthly_years + 13, by_month)
    found: list[tuple[_Period, timedelta | None]] = [(period, None) for period in counted]
    return [*found, (long, rules.monthly_years * _YEAR)] if rules.monthly_years else found


def _newest_safe(ordered: Sequence[Candidate], counted: Sequence[int], minimum_copies: int) -> int:
    """Return the place of the newest snapshot with enough copies; of the newest with most, if none has enough."""
    enough = (place for place in counted if ordered[place].copies >= minimum_copies)
    most = max(counted, key=lambda place: (ordered[place].copies, -place), default=-1)
    return next(enough, most)


def _words(span: timedelta) -> str:
    return f"{span.days} days" if span.days else f"{span.total_seconds() / 3600:.0f} hours"
