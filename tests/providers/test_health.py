"""The score of a location, from what it did and not from what it is."""

from __future__ import annotations

import pytest

from providers.health import health_of, score_of

GOOD = [20.0] * 20


@pytest.mark.parametrize(
    ("rates", "score"),
    [
        ([], 100),
        ([1e6] * 6 + [1e3] * 3, 90),  # a thousandth of the usual: the throughput's third of the speed is lost
        ([1e6] * 6 + [6e5] * 3, 100),  # a little less is no trouble
        ([1e6] * 6 + [3e5] * 3, 95),
        ([1e3] * 9, 100),  # slow as always
        ([1e6, 1.0], 100),  # too few to judge by
    ],
)
def test_the_throughput_is_compared_with_what_is_usual_there(rates: list[float], score: int) -> None:
    assert score_of(GOOD, rates) == score


def test_reliability_outweighs_speed() -> None:
    half = score_of([20.0, None] * 9 + [20.0, 20.0], [1e6] * 9)
    slow = score_of([60.0] * 17 + [600.0] * 3, [1e6] * 6 + [1.0] * 3)
    assert half is not None and slow is not None
    assert half < slow == 70


def test_a_pause_is_said_and_is_no_fault() -> None:
    health = health_of(GOOD, enabled=True, left_alone=False, paused=True)
    assert (health.score, health.tone, health.words) == (100, "attention", "paused")
    assert health_of(GOOD, enabled=False, left_alone=False, paused=True).words == "switched off"
