"""The small pure pieces: words for numbers and moments, rates, health, the map."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from backups.views.picture import Rate
from monitoring.worldmap import land_path, world_map
from providers.health import health_of, score_of
from providers.models import Location
from providers.reads import LocationCard
from wedbackup.core.templatetags.drawings import pips, ring, sparkline
from wedbackup.core.templatetags.words import ago_words, counted, days_words, duration, size

NOW = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (None, "unknown size"), (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB"), (812_400, "812 kB"),
        (4_200_000_000, "4.2 GB"), (99_940_000, "99.9 MB"), (99_960_000, "100 MB"), (999_600_000, "1.0 GB"),
    ],
)  # fmt: skip
def test_sizes_read_as_on_a_memory_card(count: int | None, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "unknown"), (2.54, "2.5 s"), (8, "8 s"), (61, "1 min 1 s"), (600, "10 min"), (7260, "2 h 1 min"),
     (4 * 86400, "4 days")],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "just now"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (-300, "in 5 min")]
)
def test_moments_are_told_from_now(seconds: float, words: str) -> None:
    assert ago_words(NOW - timedelta(seconds=seconds), NOW) == words


def test_days_and_counts_in_words() -> None:
    today = date(2026, 6, 12)
    told = [days_words(today + timedelta(days=days), today) for days in (-1, 0, 1, 12)]
    assert told == ["yesterday", "today", "tomorrow", "in 12 days"]
    assert counted(1, "wedding") == "1 wedding"
    assert counted(3, "copy,copies") == "3 copies"


def test_a_rate_is_told_after_three_seconds_and_forgets_the_attempt_before() -> None:
    rate = Rate()
    for second in range(3):
        rate.add(float(second), second * 100)
        assert rate.per_second is None
    rate.add(3.0, 300)
    assert rate.per_second == 100
    rate.add(2.0, 250)  # late: passed over
    assert rate.per_second == 100
    rate.add(4.0, 10)  # a new attempt
    assert rate.per_second is None


def test_a_rate_follows_the_last_ten_seconds() -> None:
    rate = Rate()
    for second in range(30):
        rate.add(float(second), 1000 * second if second < 15 else 15_000 + (second - 15) * 10)
    assert rate.per_second == pytest.approx(10, abs=1)


def test_health_falls_with_silence_and_with_slowness() -> None:
    assert score_of([]) is None
    assert score_of([20.0] * 20) == 100
    assert score_of([20.0] * 19 + [None]) == 40
    assert (score_of([20.0] * 17 + [None] * 3) or 0) <= 15
    slow = score_of([60.0] * 17 + [600.0] * 3)
    assert slow == 70
    assert health_of([60.0] * 17 + [600.0] * 3, enabled=True, left_alone=False).tone == "attention"


def test_a_location_that_is_left_alone_or_switched_off_is_never_shown_green() -> None:
    good: list[float | None] = [20.0] * 20
    assert health_of(good, enabled=True, left_alone=False).tone == "safe"
    assert health_of(good, enabled=True, left_alone=True).tone == "danger"
    assert health_of(good, enabled=False, left_alone=False).tone == "empty"
    assert health_of([], enabled=True, left_alone=False).words == "not probed yet"


def test_drawings_say_in_words_what_they_show() -> None:
    assert 'aria-label="health 61 of 100"' in ring(61, "attention")
    assert 'aria-label="not probed yet"' in ring(None, "empty")
    assert 'aria-label="&lt;b&gt;"' in sparkline([1.0, None, 3.0], "safe", "<b>")
    assert "Attic: complete; Bank: not answering" in pips(
        [("safe", "Attic: complete"), ("danger", "Bank: not answering")]
    )
    for drawing in (ring(61, "safe"), sparkline([None, None], "danger", "x"), pips([("safe", "x")])):
        assert "style=" not in drawing


def card(city: str, latitude: float | None, longitude: float | None) -> LocationCard:
    location = Location(name=city, city=city, latitude=latitude, longitude=longitude)
    return LocationCard(location, health_of([20.0] * 20, enabled=True, left_alone=False))


def test_neighbours_on_the_map_share_one_label() -> None:
    drawn = world_map(
        [
            card("London", 51.5, -0.1),
            card("Dublin", 53.3, -6.3),
            card("Sydney", -33.9, 151.2),
            card("Nowhere", None, None),
        ]
    )
    assert sorted(spot.label for spot in drawn.spots) == ["", "London, Dublin", "Sydney"]
    assert len(drawn.links) == 1
    assert drawn.missing == 1
    assert land_path().count("M") > 1000
