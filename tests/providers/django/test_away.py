"""Whether a location can be reached now, from its row alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.models import Location

NOW = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def place(**fields: Any) -> Location:
    known: dict[str, Any] = {"name": "Attic", "last_probe_at": NOW, "last_answer_at": NOW}
    return Location(**{**known, **fields})


@pytest.mark.parametrize(
    ("breaker", "error", "answered", "failing"),
    [
        ("closed", "", MINUTE, False),
        ("open", "", MINUTE, True),
        ("half_open", "", MINUTE, True),
        ("closed", "once", MINUTE, False),
        ("closed", "access denied", 2 * MINUTE, True),
        ("closed", "access denied", None, True),
    ],
)
def test_a_location_fails_by_its_breaker_or_by_refusing_every_probe(
    breaker: str, error: str, answered: timedelta | None, failing: bool
) -> None:
    location = place(breaker=breaker, last_error=error, last_answer_at=None if answered is None else NOW - answered)
    assert location.is_failing is failing


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"last_probe_at": None, "last_answer_at": None}, ""),
        ({"breaker": "open", "last_answer_at": NOW - 5 * MINUTE}, "it does not answer"),
        ({"enabled": False}, "it is switched off"),
        ({"paused_at": NOW - MINUTE}, "it is paused"),
        ({"last_probe_at": NOW - 20 * MINUTE}, "nobody has asked it"),
        ({"last_probe_at": NOW + 20 * MINUTE}, "nobody has asked it"),
    ],
)
def test_what_cannot_be_reached_says_why(fields: dict[str, Any], words: str) -> None:
    assert place(**fields).away_since(NOW)[0] == words
