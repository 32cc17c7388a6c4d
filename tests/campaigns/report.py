"""What a campaign did and found: a line per round, a summary, and the same as JSON."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

PRUNE = "prune"  # the only kind of round that is no backup


@dataclass
class Round:
    """One kill.

    change:    what had happened to the source, a `source.Change`; or PRUNE.
    step:      what the job had told last (twice a second); stage: how far it was by what lay at the places.
    killed_after, going_on, done: from the claim to the kill, from the kill until the job ran again, until it ended [s].
    crew:      engine processes at the moment of the kill; orphans: of them, how many did not end by themselves.
    packs:     new ones of the round; stored_at_kill: of them, those that were stored; reused: of these, those that the
               job took over after the restart.
    unfinished_bytes: half-written files that the kill left at the three places [bytes].
    unknown_snapshots: shown at the places at the kill, and recorded anew under another id after it.
    twice_recorded: the kill came between the record of the snapshot and the end of the job, which then made another.
    """

    number: int
    seed: str
    where: str
    change: str
    step: str = ""
    stage: str = ""
    killed_after: float = 0.0
    crew: int = 0
    orphans: int = 0
    orphans_seconds: float = 0.0
    going_on: float = 0.0
    done: float = 0.0
    packs: int = 0
    stored_at_kill: int = 0
    reused: int = 0
    unfinished_files: int = 0
    unfinished_bytes: int = 0
    twice_recorded: bool = False
    unknown_snapshots: int = 0
    restored: bool = False
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    kept: str = ""

    def __str__(self) -> str:
        crew = f", {self.crew} processes" if self.crew else ""
        hit = f"killed after {self.killed_after:4.2f} s in {self.step} ({self.stage}{crew})"
        went_on = f"going on after {self.going_on:.1f} s, done after {self.done:.1f} s"
        packs = f"{self.reused} of {self.packs} packs re-used" if self.packs else "nothing stored"
        verdict = "FAILED" if self.failures else "ok, restored" if self.restored else "ok"
        return f"{self.number:3}  {self.where:6}  {self.change:11}  {hit:62}  {went_on}; {packs}: {verdict}"


@dataclass
class Report:
    seed: str
    rounds: list[Round] = field(default_factory=list)
    missed: int = 0  # the job had ended before the kill: not counted as rounds
    failures: list[str] = field(default_factory=list)  # of the campaign as a whole

    @property
    def failed(self) -> bool:
        return bool(self.failures) or any(each.failures for each in self.rounds)

    def summary(self) -> dict[str, Any]:
        rounds = [each for each in self.rounds if each.change != PRUNE]
        prunes = [each for each in self.rounds if each.change == PRUNE]
        return {
            "rounds": len(rounds),
            "failed": sum(bool(each.failures) for each in rounds),
            "missed": self.missed,
            "where": _count(each.where for each in rounds),
            "change": _count(each.change for each in rounds),
            "hits_by_step": _count(each.step for each in rounds),
            "hits_by_stage": _count(each.stage for each in rounds),
            "with_engine_processes": sum(each.crew > 0 for each in rounds),
            "with_half_written_files": sum(each.unfinished_files > 0 for each in rounds),
            "orphans": sum(each.orphans for each in rounds),
            "orphans_seconds_max": max((each.orphans_seconds for each in rounds), default=0.0),
            "packs_stored_at_kill": sum(each.stored_at_kill for each in rounds),
            "packs_reused": sum(each.reused for each in rounds),
            "unfinished_bytes_max": max((each.unfinished_bytes for each in rounds), default=0),
            "twice_recorded": sum(each.twice_recorded for each in rounds),
            "unknown_snapshots": sum(each.unknown_snapshots for each in rounds),
            "restored": sum(each.restored for each in rounds),
            "prunes_killed": len(prunes),
            "prunes_failed": sum(bool(each.failures) for each in prunes),
            "prunes_by_stage": _count(each.stage for each in prunes),
            "killed_after_seconds": _spread([each.killed_after for each in rounds]),
            "going_on_seconds": _spread([each.going_on for each in rounds]),
            "done_seconds": _spread([each.done for each in rounds]),
            "round_seconds": _spread([each.seconds for each in rounds]),
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "summary": self.summary(),
            "failures": self.failures,
            "rounds": [asdict(each) for each in self.rounds],
        }

    def lines(self) -> list[str]:
        """Return the summary for a person."""
        found = [f"{name.replace('_', ' '):24} {_words(value)}" for name, value in self.summary().items()]
        broken = [f"round {each.number} (seed {each.seed}, kept in {each.kept}): {failure}"
                  for each in self.rounds for failure in each.failures]  # fmt: skip
        return [*found, *broken, *self.failures]


def _count(words: Any) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _spread(values: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum."""
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 2),
        "max": round(ordered[-1], 2),
    }


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"
