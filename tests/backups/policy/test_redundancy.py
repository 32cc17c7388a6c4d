"""Places that are lost together count once."""

from __future__ import annotations

import pytest

from backups.policy.redundancy import Place, judge

DISK = [Place(f"Folder {number}", "this machine", medium="disk 259:1") for number in (1, 2, 3)]
CLOUD = Place("Frankfurt", "aws 1234", "eu-central-1")


@pytest.mark.parametrize(
    ("places", "gap"),
    [
        ([], "Nothing is stored anywhere yet."),
        (DISK[:1], "The only copy is at Folder 1; add two more places."),
        (DISK[:2], "Both places are on one disk; add a location elsewhere to be safe from its loss."),
        (DISK, "All 3 places are on one disk; add a location elsewhere to be safe from its loss."),
        (
            [*DISK, Place("USB", "this machine", medium="disk 8:17")],
            "All 4 places are on one machine; add a location elsewhere to be safe from its loss.",
        ),
        (
            [Place("A", "aws 1", "eu-1"), Place("B", "aws 1", "eu-1"), Place("C", "aws 1", "eu-1")],
            "All 3 places are in one account and region; add a location elsewhere to be safe from its loss.",
        ),
        (
            [Place("A", "aws 1", "eu-1"), Place("B", "aws 1", "eu-2"), Place("C", "aws 1", "us-1")],
            "All 3 places are in one account; add a location elsewhere to be safe from its loss.",
        ),
        ([DISK[0], CLOUD], "Only 2 places hold a copy; add one more."),
        ([*DISK[:2], CLOUD], ""),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(places: list[Place], gap: str) -> None:
    judgement = judge(places)
    assert judgement.gap == gap
    assert judgement.sound == (gap == "")


def test_a_place_that_cannot_prove_what_it_holds_never_counts() -> None:
    carbonite = Place("Carbonite", "carbonite 7", countable=False)
    judgement = judge([*DISK[:2], carbonite])
    assert (judgement.copies, judgement.domains, judgement.accounts) == (2, 1, 1)
    assert not judgement.sound
