"""The pages of emergency recovery: whose wedding, which state, Start."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from backups.models import Copy, Job, Organisation, Snapshot, Vault
from backups.services.weddings import wedding_create
from backups.views.recovery import nearest_weddings
from tests.cast import Cast
from tests.pages.conftest import House, acknowledged_snapshot
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def test_todays_weddings_come_first_in_the_fullest_season(cast: Cast, sam: Client) -> None:
    """wedbackup 0.1: of 201 weddings, 20 of ten to six days ago were shown and none of today's."""
    today = cast.clock.utcnow().date()
    for number in range(201):
        day = today + timedelta(days=number % 21 - 10)
        wedding_create(couple=f"Couple {number:03}", date=day, vendors=[cast.lumen], time_zone="UTC")
    page = text(sam, "/recovery/")
    shown = re.findall(r"Couple (\d{3})", page)
    of_today = [f"{number:03}" for number in range(201) if number % 21 == 10]
    assert shown[: len(of_today)] == of_today
    assert "Couple 000" in text(sam, "/recovery/?q=couple+000"), "any other is found by its name"


def test_today_is_the_day_at_the_venue(cast: Cast) -> None:
    evening = datetime(2026, 6, 5, 22, 30, tzinfo=UTC)  # a Friday, and Saturday already in Auckland
    for name, day, zone in (
        ("Auckland", 6, "Pacific/Auckland"),
        ("London", 6, "Europe/London"),
        ("LA", 5, "US/Pacific"),
    ):
        wedding_create(couple=name, date=datetime(2026, 6, day).date(), vendors=[cast.lumen], time_zone=zone)
    found = [wedding.couple for wedding in nearest_weddings(cast.sam, words="", now=evening)]
    assert found[:3] == ["Auckland", "LA", "London"]


def test_a_wedding_of_which_nothing_is_stored_has_no_red_button(cast: Cast, sam: Client, house: House) -> None:
    day = cast.wedding.date
    empty = wedding_create(couple="Not & Yet", date=day, vendors=[cast.lumen])
    page = text(sam, "/recovery/")
    assert f"/weddings/{cast.wedding.pk}/recover/" in page
    assert "Not &amp; Yet" in page and f"/weddings/{empty.pk}/recover/" not in page
    assert "Nothing of this wedding was stored yet" in text(sam, f"/weddings/{empty.pk}/recover/")


def test_start_is_there_although_nothing_was_acknowledged(house: House, sam: Client) -> None:
    """wedbackup 0.1: "There is no acknowledged snapshot to bring back", with three whole copies."""
    Snapshot.unscoped.update(acknowledged_at=None)
    page = text(sam, f"/weddings/{house.cast.wedding.pk}/recover/")
    assert "Start</button>" in page and "What is not proved about it" in page
    answer = sam.post(f"/weddings/{house.cast.wedding.pk}/recover/", {"form_of_result": "folder"})
    job = Job.unscoped.get(pk=answer.headers["Location"].split("/")[2])
    assert job.kind == Job.Kind.RECOVERY and job.state == "queued"
    assert "A recovery of this wedding is under way" in text(sam, f"/weddings/{house.cast.wedding.pk}/recover/")


def test_any_of_four_hundred_states_can_be_chosen(house: House, sam: Client, clock: ManualClock) -> None:
    """wedbackup 0.1: the five newest of 400 were reachable."""
    oldest = house.snapshot
    for _ in range(60):
        clock.advance(300)
        acknowledged_snapshot(house.vault, clock)
    page, seen = 1, list[str]()
    while True:
        content = text(sam, f"/vaults/{house.vault.pk}/states/?page={page}")
        seen += re.findall(r"state=([0-9a-f-]{36})", content)
        if "Next page" not in content:
            break
        page += 1
    assert len(seen) == 61 and seen[-1] == str(oldest.pk)
    content = text(sam, f"/weddings/{house.cast.wedding.pk}/recover/?state={oldest.pk}")
    assert "chosen by you" in content
    answer = sam.post(f"/weddings/{house.cast.wedding.pk}/recover/", {"form_of_result": "zip", "state": str(oldest.pk)})
    job = Job.unscoped.get(pk=answer.headers["Location"].split("/")[2])
    assert job.parameters["snapshots"] == {str(house.vault.pk): str(oldest.pk)}


def test_of_two_businesses_all_comes_back_or_what_is_chosen(
    house: House, sam: Client, clock: ManualClock, key_file: object
) -> None:
    other = Organisation.unscoped.get(name="Petal & Stem")
    vault = Vault.unscoped.get(pk=house.vault.pk)
    vault.pk, vault.organisation = "00000000-0000-4000-8000-000000000001", other
    vault.save(force_insert=True)
    for copy in Copy.unscoped.filter(vault=house.vault):
        copy.pk, copy.vault = None, vault
        copy.save(force_insert=True)
    acknowledged_snapshot(vault, clock)
    address = f"/weddings/{house.cast.wedding.pk}/recover/"
    assert text(sam, address).count('<li class="split"><span><strong>Photos and video') == 2
    assert text(sam, f"{address}?business={other.pk}").count('<li class="split"><span><strong>Photos and video') == 1
    sam.post(address, {"form_of_result": "folder"})
    sam.post(address, {"form_of_result": "folder", "business": str(other.pk)})
    rows = Job.unscoped.filter(kind=Job.Kind.RECOVERY, state="queued").order_by("created_at")
    assert [row.organisation for row in rows] == [None, other]
    assert sam.get(f"{address}?business=nobody").status_code == 404
    assert "All businesses" in text(sam, f"/jobs/{rows[0].pk}/")


def test_a_promise_is_not_kept_without_all_its_documents(house: House, sam: Client) -> None:
    """wedbackup 0.1: "kept", in green, without the folder of contracts."""
    house.recovery.result |= {
        "expected": 27, "equal": 7, "first_expected": 20, "first_equal": 18, "miss_count": 1,
        "misses": [["documents/contracts", "readable in no copy"]],
    }  # fmt: skip
    house.recovery.save()
    page = text(sam, f"/jobs/{house.recovery.pk}/")
    assert "not kept" in page and "2 of 20 documents missing" in page and "7 of 27 files equal" in page
    assert "promise kept" not in text(sam, "/")


def test_while_the_photos_run_the_page_says_that_the_documents_are_back(house: House, sam: Client) -> None:
    house.recovery.result = {
        "target": "/recovered/here", "expected": 318, "equal": 20, "first_expected": 20, "first_equal": 20,
        "priority_seconds": 0.8, "seconds": None, "misses": [], "miss_count": 0, "zip": None,
    }  # fmt: skip
    house.recovery.state = "running"
    house.recovery.progress = {"step": "photos and video: verify"}
    house.recovery.save()
    page = text(sam, f"/jobs/{house.recovery.pk}/")
    assert "All documents are back" in page and "Photos and video are on their way" in page
    assert "/recovered/here" in page and 'data-stage="photos and video"' in page
    assert "data-clock-since" not in page, "the clock has stopped"
