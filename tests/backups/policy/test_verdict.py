"""Green is what nothing speaks against; every fact that the sentence claims is asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backups.policy.redundancy import Place
from backups.policy.residency import residency_gap
from backups.policy.verdict import Cause, CopyFacts, Level, VaultFacts, findings_of

NOW = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def copy(name: str, **facts: Any) -> CopyFacts:
    place = facts.pop("place", Place(name, f"{name} account"))
    known = CopyFacts(place, "current", "complete", "", True, NOW - DAY, NOW - 30 * DAY, "")
    return replace(known, **facts)


def vault(*copies: CopyFacts, **facts: Any) -> VaultFacts:
    known = VaultFacts("Photos", True, True, True, "5 min ago", True, "", 3, 2, copies)
    return replace(known, **facts)


THREE = [copy(name) for name in ("Attic", "Bank", "Cloud")]


def told(facts: VaultFacts) -> list[tuple[Level, Cause]]:
    return [(finding.level, finding.cause) for finding in findings_of(facts, NOW)]


def test_three_whole_copies_that_answer_were_read_and_lie_apart_are_green() -> None:
    assert told(vault(*THREE)) == []


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"away": "it does not answer since 12 Jun, 11:40 UTC"}, Cause.AWAY),
        ({"state": "damaged", "words": "damaged"}, Cause.DAMAGED),
        ({"state": "behind", "words": "missing newer snapshots"}, Cause.BEHIND),
        ({"read_at": NOW - 10 * DAY}, Cause.NOT_READ),
        ({"read_at": None}, Cause.NOT_READ),
        ({"read_at": NOW + 400 * DAY}, Cause.NOT_READ),
        ({"online": False}, Cause.ARCHIVED),
        ({"abroad": "it lies under the law of US"}, Cause.RESIDENCY),
    ],
)
@pytest.mark.parametrize("others", [THREE[1:], [*THREE[1:], copy("Depot")]], ids=["needed", "one more than needed"])
def test_one_fact_about_one_copy_is_enough_against_green(
    others: list[CopyFacts], facts: dict[str, Any], cause: Cause
) -> None:
    """With three of four places gone the pages said "Safe: every copy is confirmed and fresh"."""
    assert (Level.ATTENTION, cause) in told(vault(copy("Attic", **facts), *others))


def test_a_copy_that_is_young_need_not_have_been_read_yet() -> None:
    assert told(vault(copy("Attic", read_at=None, since=NOW - 3 * DAY), *THREE[1:])) == []


def test_copies_that_nobody_can_fetch_in_time_are_no_copies() -> None:
    """Three copies in Deep Archive read "safe" while a recovery could bring nothing back."""
    found = findings_of(vault(*(replace(each, online=False) for each in THREE)), NOW)
    assert (found[0].level, found[0].cause) == (Level.DANGER, Cause.AWAY)
    assert "archive classes, which take hours" in found[0].sentence


def test_complete_copies_on_one_disk_are_not_called_too_few() -> None:
    together = [copy(name, place=Place(name, "machine", medium="disk")) for name in ("one", "two", "three")]
    found = findings_of(vault(*together, newest_safe=False, ever_safe=False), NOW)
    assert [finding.cause for finding in found] == [Cause.TOO_CLOSE]
    assert "on one disk" in found[0].sentence


@pytest.mark.parametrize(
    ("wedding", "place", "gap"),
    [
        ("EU", "US", True), ("EU", "eu", False), ("EU", "UK", False), ("UK", "EU", False), ("GB", "US", True),
        ("EU", "", False), ("", "US", False), ("US", "EU", False),
    ],
)  # fmt: skip
def test_guests_data_stays_where_their_law_is(wedding: str, place: str, gap: bool) -> None:
    assert bool(residency_gap(wedding, place)) is gap
