"""Errors planted into the product, one at a time: old ones that the oracle must see. The judge is never touched.

Each brings back what the product once did, or a likely slip of its kind; `kind` is its chapter of docs/field-log.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from backups.engine.backup import scanner
from backups.engine.upkeep.copies import NOTHING_FORGOTTEN
from backups.policy.verdict import Cause
from backups.services import (
    backups,
    checking,
    copies,
    damage,
    extents,
    pruning,
    recording,
    recovering,
    retention,
    schedule,
    verdicts,
)
from backups.services.uploads import arrivals
from monitoring import reader


@dataclass(frozen=True)
class Planted:
    """One error. steps: names of steps that are drawn oftener, so that it can show within few sequences."""

    name: str
    kind: int
    plant: Callable[[], None]
    steps: tuple[str, ...] = ()


def put(name: str, value: Any, *modules: Any) -> None:
    """Replace a name of the product's modules; a name that is not there is an error of the oracle."""
    for module in modules:
        if not hasattr(module, name):
            raise LookupError(f"{module.__name__} has no {name}")
        setattr(module, name, value)


def _what_is_dated_ahead_is_fresh() -> None:
    def is_fresh(taken_at: Any, promise: Any, policy_minutes: int, now: Any) -> bool:
        return bool(now - taken_at <= timedelta(seconds=promise.rpo_seconds))

    put("is_fresh", is_fresh, verdicts)


def _due_times_are_believed() -> None:
    put("is_due", lambda due, now, pause: due <= now, schedule)


def _sources_are_judged_by_their_sum() -> None:
    judged = recording.sources_judge
    put("sources_judge", lambda *args, **words: replace(judged(*args, **words), suspicion=""), recording)


def _patterns_of_one_source_hold_for_all() -> None:
    made = backups._engine_request

    def union(*args: Any, **words: Any) -> Any:
        request = made(*args, **words)
        patterns = tuple(sorted({pattern for source in request.sources for pattern in source.excludes}))
        return replace(request, sources=tuple(replace(source, excludes=patterns) for source in request.sources))

    put("_engine_request", union, backups)


def _changes_are_not_looked_at() -> None:
    put("_judge_changes", lambda *args: None, extents)


def _an_odd_date_ends_the_backup() -> None:
    sign = scanner._sign

    def signed(entries: Any) -> Any:
        if any(status.st_mtime_ns >= 2**63 for _, status in entries):
            raise ValueError("a date is out of range")
        return sign(entries)

    put("_sign", signed, scanner)


def _uploads_are_known_by_their_size() -> None:
    def alike(vault: Any, *, size_bytes: int, **_: Any) -> Any:
        return iter(arrivals.UploadedFile.unscoped.filter(vault=vault, size_bytes=size_bytes, arrived_at__isnull=False))

    put("_here", alike, arrivals)


def _only_the_last_are_kept() -> None:
    made = retention.rules_of

    def few(vault: Any) -> Any:
        return replace(made(vault), within=None, span=None, hourly=0, daily=0, weekly=0, monthly=0, yearly=0, last=1)

    put("rules_of", few, retention)
    put("GRACE", timedelta(0), retention)


def _forgotten_ones_come_back() -> None:
    put("forgotten_of", lambda vault: NOTHING_FORGOTTEN, backups, checking, copies, pruning)


def _nothing_is_read_back() -> None:
    for name in ("checks_enqueue_due", "samples_enqueue_due"):
        put(name, lambda **_: [], schedule)


def _damage_is_not_noted() -> None:
    put("damage_note", lambda copy, found, **_: 0, damage, checking)


def _places_that_are_away_count() -> None:
    put("away_words", lambda location, **_: "", verdicts)


def _copies_that_lag_are_not_told() -> None:
    found = verdicts.findings_of
    silent = {Cause.AWAY, Cause.BEHIND, Cause.NOT_SAFE_YET, Cause.NEVER_SAFE}
    put("findings_of", lambda facts, now: [each for each in found(facts, now) if each.cause not in silent], verdicts)


def _nobody_reads_the_events() -> None:
    put("read", lambda **_: 0, reader)


def _recovery_tries_nothing() -> None:
    put("_candidates", lambda self, vault: [], recovering.RecoveryRun)


PLANTED = (
    Planted("what is dated ahead is fresh", 1, _what_is_dated_ahead_is_fresh, ("the clock jumps", "days pass")),
    Planted("due times are believed", 1, _due_times_are_believed, ("the clock jumps", "a backup is asked for")),
    Planted("sources are judged by their sum", 2, _sources_are_judged_by_their_sum, ("a card is disconnected",)),
    Planted("patterns of one source hold for all", 3, _patterns_of_one_source_hold_for_all, ("patterns are changed",)),
    Planted("changes are not looked at", 5, _changes_are_not_looked_at, ("a card is locked by a stranger",)),
    Planted("an odd date ends the backup", 6, _an_odd_date_ends_the_backup, ("an odd file is made",)),
    Planted("uploads are known by their size", 7, _uploads_are_known_by_their_size, ("two cameras upload",)),
    Planted("only the last are kept", 8, _only_the_last_are_kept, ("a prune is due", "days pass")),
    Planted("forgotten ones come back", 9, _forgotten_ones_come_back, ("a place goes away", "days pass")),
    Planted("nothing is read back", 10, _nothing_is_read_back, ("files of a place rot", "days pass")),
    Planted("damage is not noted", 10, _damage_is_not_noted, ("files of a place rot", "a check is asked for")),
    Planted("places that are away count", 11, _places_that_are_away_count, ("a place goes away",)),
    Planted("copies that lag are not told", 11, _copies_that_lag_are_not_told, ("a place is full", "a place hangs")),
    Planted("nobody reads the events", 12, _nobody_reads_the_events, ("a place goes away", "hours pass")),
    Planted("recovery tries nothing", 13, _recovery_tries_nothing, ("everything is recovered",)),
)
