"""A backup that went through is not believed when its source looks wrong."""

from __future__ import annotations

import pytest

from backups.policy.suspicion import Extent, extent_suspicion, files_suspicion

BEFORE = Extent(300, 500_000_000)


@pytest.mark.parametrize(
    ("found", "before", "said"),
    [
        (Extent(0, 0), None, "is empty"),
        (Extent(0, 0), BEFORE, "is empty"),
        (Extent(149, 490_000_000), BEFORE, "shrank from 300 to 149 files"),
        (Extent(300, 240_000_000), BEFORE, "lost 52 % of its bytes"),
    ],
)
def test_it_is_said_what_looks_wrong(found: Extent, before: Extent | None, said: str) -> None:
    assert said in extent_suspicion(found, before)


def test_a_source_that_grew_or_lost_a_little_is_trusted() -> None:
    assert extent_suspicion(BEFORE, None) == ""
    assert extent_suspicion(Extent(310, 520_000_000), BEFORE) == ""
    assert extent_suspicion(Extent(151, 251_000_000), BEFORE) == ""


def test_files_that_are_missing_from_a_snapshot_are_counted() -> None:
    assert "1 file could not be read" in files_suspicion(unstable=3, unreadable=1)
    assert "2 files kept changing" in files_suspicion(unstable=2, unreadable=0)
    assert files_suspicion(unstable=0, unreadable=0) == ""
