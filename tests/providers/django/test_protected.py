"""A protected folder is watched, and what cannot be known is not claimed."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client

from monitoring.folders import folders_watch
from monitoring.models import Alert
from providers.models import Location
from providers.services.locations import location_create
from providers.stores.carbonite import MARKER_NAME
from tests.cast import Cast
from wedbackup.core.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf(cast: Cast, tmp_path: Path) -> Location:
    (tmp_path / "client.log").write_text("working")
    options = {"root": str(tmp_path / "Shelf"), "client_log": str(tmp_path / "client.log")}
    return location_create(name="Shelf", kind="carbonite", options=options, actor="alice")


@pytest.fixture(autouse=True)
def always_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the folders whenever asked, not once in a while."""
    monkeypatch.setattr("monitoring.folders.TEND_EVERY", timedelta(0))


def client_fell_silent(shelf: Location) -> None:
    then = (SYSTEM_CLOCK.utcnow() - timedelta(days=3)).timestamp()
    os.utime(shelf.options["client_log"], (then, then))


def test_a_silent_client_alarms_until_it_writes_again(shelf: Location) -> None:
    folders_watch()
    assert not Alert.objects.filter(key__startswith="protected.silent").exists()
    client_fell_silent(shelf)
    folders_watch()
    alert = Alert.objects.get(key=f"protected.silent:{shelf.pk}")
    assert "72 hours" in alert.text
    os.utime(shelf.options["client_log"])
    folders_watch()
    alert.refresh_from_db()
    assert alert.state == "resolved"


def test_the_marker_is_kept_fresh_by_the_watch(shelf: Location) -> None:
    folders_watch()
    assert (Path(shelf.options["root"]) / MARKER_NAME).exists()


def test_a_folder_that_is_gone_does_not_stop_the_watch(shelf: Location) -> None:
    Path(shelf.options["root"]).rename(Path(shelf.options["root"]).with_name("gone"))
    folders_watch()
    assert not Alert.objects.filter(key__startswith="protected.silent").exists()


def test_the_page_calls_it_unverifiable_and_takes_the_restored_marker(
    shelf: Location, client: Client, cast: Cast
) -> None:
    folders_watch()
    client.force_login(cast.alice)
    assert "unverifiable" in client.get(f"/locations/{shelf.pk}/").content.decode()
    marker = (Path(shelf.options["root"]) / MARKER_NAME).read_text()
    page = client.post(f"/locations/{shelf.pk}/marker/", {"marker": marker}, follow=True).content.decode()
    assert "Carbonite held this folder as it was on" in page
    page = client.post(f"/locations/{shelf.pk}/marker/", {"marker": "made up"}, follow=True).content.decode()
    assert "no marker of this folder" in page
