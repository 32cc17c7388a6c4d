"""The overview tells what there is to tell and leaves out what there is not."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.pages.conftest import House

pytestmark = pytest.mark.django_db


def test_the_track_record_shows_each_recovery_against_its_promise(house: House, alice: Client) -> None:
    text = alice.get("/").content.decode()
    assert "Documents back in 2.5 s, promised within 1 min; everything in 9 s." in text
    assert "promise kept" in text


def test_without_anything_that_ended_there_is_no_track_record(house: House, carl: Client) -> None:
    assert "Track record" not in carl.get("/").content.decode()
