"""What a recovery proved, as its job's row keeps it: written while it runs, read by pages and by later attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backups.models import Job


@dataclass(frozen=True, slots=True)
class FirstSet:
    """The documents, guests and business files that were promised first.

    expected: how many files are in them.   equal: how many of those are back and proved.
    seconds:  from the request to the moment at which all that could be had was proved [s]; None before that.
    """

    expected: int
    equal: int
    seconds: float | None

    @property
    def is_done(self) -> bool:
        return self.seconds is not None

    @property
    def is_whole(self) -> bool:
        return self.equal >= self.expected

    def keeps(self, promised_seconds: float) -> bool:
        """Whether a promise of this many seconds was kept: in time, and with nothing missing."""
        return self.seconds is not None and self.is_whole and self.seconds <= promised_seconds


@dataclass(frozen=True, slots=True)
class RecoveryFacts:
    """The facts of one recovery, at present or at its end.

    expected: how many files the chosen states hold; None before the recovery has looked.
    equal:    how many of them are back, each read from the disk and compared.
    unproved: how many more are back whose comparison was cut short.
    misses:   (path, reason) of what is missing; the first few hundred.   miss_count: of all.
    promised_seconds: to the whole first set [s].   seconds: from the request to the end [s]; None before it.
    target, zip_path: where it is; "" for none.
    """

    expected: int | None
    equal: int
    unproved: int
    misses: tuple[tuple[str, str], ...]
    miss_count: int
    first: FirstSet
    promised_seconds: float
    seconds: float | None
    target: str
    zip_path: str

    @classmethod
    def of(cls, job: Job) -> RecoveryFacts:
        """Read the facts from the row of a recovery, also of one that was made by an earlier version."""
        result: Mapping[str, Any] = job.result
        restored = result["files"] + result.get("miss_count", 0) if "files" in result else None
        return cls(
            expected=result.get("expected", restored),
            equal=result.get("equal", 0),
            unproved=result.get("unproved", 0),
            misses=tuple((path, reason) for path, reason in result.get("misses", [])),
            miss_count=result.get("miss_count", 0),
            first=FirstSet(
                # Earlier rows do not say which files were missing: if any was, it may have been one of these.
                expected=result.get("first_expected", result.get("miss_count", 0)),
                equal=result.get("first_equal", 0),
                seconds=result.get("priority_seconds"),
            ),
            promised_seconds=job.parameters.get("first_seconds", 0),
            seconds=result.get("seconds"),
            target=result.get("target") or "",
            zip_path=result.get("zip") or "",
        )

    @property
    def is_whole(self) -> bool:
        """Whether everything that the chosen states hold is back and proved."""
        return bool(self.expected) and self.equal == self.expected and not self.miss_count

    @property
    def promise_kept(self) -> bool:
        return self.first.keeps(self.promised_seconds)
