"""The overview tells what there is to tell and leaves out what there is not."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.pages.conftest import House
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db


def test_the_track_record_shows_each_recovery_against_its_promise(house: House, alice: Client) -> None:
    text = alice.get("/").content.decode()
    assert "Documents back in 2.5 s, promised within 1 min; everything in 9 s." in text
    assert "promise kept" in text


def test_without_anything_that_ended_there_is_no_track_record(house: House, carl: Client) -> None:
    assert "Track record" not in carl.get("/").content.decode()


def test_in_wedding_mode_a_banner_says_until_when_and_what_is_different(
    house: House, alice: Client, vera: Client, carl: Client, clock: ManualClock
) -> None:
    """It is Friday noon, the wedding is tomorrow in London; Carl works on none."""
    words = "</strong> until Sunday 06:00, London time. Health checks run every 15 s."
    assert "Wedding mode" not in alice.get("/").content.decode()
    clock.advance(5 * 3600)  # 18:00 in London
    assert [words in client.get("/").content.decode() for client in (alice, vera, carl)] == [True, True, False]
    clock.advance(36 * 3600)
    assert "Wedding mode" not in alice.get("/").content.decode()


def test_the_headline_is_asked_for_again_and_brings_the_rest_along(house: House, alice: Client) -> None:
    """An open page said "All 3 weddings are safe" two minutes after its own panel showed a critical alert."""
    page = alice.get("/").content.decode()
    assert 'id="headline" hx-get="/?month=' in page and "every 30s" in page
    answer = alice.get("/", headers={"HX-Request": "true", "HX-Target": "headline"}).content.decode()
    assert "<html" not in answer and "<title>" in answer
    assert answer.count('hx-swap-oob="true"') == 5
    for part in ("headline", "worries", "places", "record", "calendar", "wedding-mode"):
        assert f'id="{part}"' in page and f'id="{part}"' in answer
