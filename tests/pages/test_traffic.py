"""The traffic of a location on its page: said in sentences, changed by admins, and by nobody else."""

from __future__ import annotations

import pytest
from django.test import Client

from providers.models import Location, Traffic
from providers.services.locations import location_report
from providers.stores.errors import StoreUnavailable
from tests.browsers import signed_in
from tests.pages.conftest import House
from wedbackup.core.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(house: House) -> str:
    return f"/locations/{house.location.pk}/"


def text_of(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_a_location_is_paused_and_used_again(house: House, alice: Client, path: str) -> None:
    assert "Not paused." in text_of(alice, path)
    page = alice.post(f"{path}pause/", {"pause": "1"}, follow=True).content.decode()
    assert "Paused since" in page and "by alice" in page and f"{house.location.name}: paused" in page
    page = alice.post(f"{path}pause/", follow=True).content.decode()
    assert "Not paused." in page
    assert AuditEntry.objects.filter(tag__in=["location.paused", "location.resumed"]).count() == 2


def test_all_traffic_is_paused_on_its_own_page(alice: Client, path: str) -> None:
    page = alice.post("/locations/traffic/switch/", {"pause": "1"}, follow=True).content.decode()
    assert "All traffic is paused" in page
    assert "All traffic is paused since" in text_of(alice, path)
    alice.post("/locations/traffic/switch/")
    assert Traffic.objects.get().paused_at is None


def test_limits_are_entered_in_the_units_of_people(house: House, alice: Client, path: str) -> None:
    answers = {"megabytes_per_second": "2.5", "office_share_percent": "40", "quota_gigabytes": "100"}
    page = alice.post(f"{path}traffic/", answers, follow=True).content.decode()
    assert "At most 2.5 MB a second" in page and "of 100 GB" in page
    row = Location.objects.get(pk=house.location.pk)
    assert (row.bytes_per_second, row.requests_per_second, row.office_share_percent) == (2_500_000, None, 40)
    assert row.quota_bytes == 100 * 10**9
    again = text_of(alice, f"{path}traffic/")
    assert 'value="2.5"' in again and 'value="100.0"' in again


@pytest.mark.parametrize(
    "answers",
    [
        {"megabytes_per_second": "0"},
        {"requests_per_second": "-1"},
        {"office_share_percent": "0"},
        {"office_share_percent": "101"},
        {"quota_gigabytes": "nan"},
        {"megabytes_per_second": "fast"},
    ],
)
def test_limits_that_make_no_sense_are_refused(alice: Client, path: str, answers: dict[str, str]) -> None:
    answer = alice.post(f"{path}traffic/", {"office_share_percent": "50"} | answers)
    assert answer.status_code == 200
    assert "field-error" in answer.content.decode()


def test_office_hours_know_real_time_zones_only(alice: Client) -> None:
    hours = {
        "office_from": "09:00",
        "office_until": "17:30",
        "office_weekdays": ["0", "5"],
        "office_zone": "Europe/Rome",
    }
    page = alice.post("/locations/traffic/", hours | {"office_zone": "Europe/Atlantis"}).content.decode()
    assert "There is no such time zone" in page
    alice.post("/locations/traffic/", hours)
    row = Traffic.objects.get()
    assert (str(row.office_until), row.office_weekdays, row.office_zone) == ("17:30:00", [0, 5], "Europe/Rome")


def test_the_breaker_says_why_and_is_reset(house: House, alice: Client, path: str) -> None:
    for _ in range(2):
        location_report(house.location, ok=False, error=StoreUnavailable("connection refused"))
    page = text_of(alice, path)
    assert "Left alone since" in page and "after 2 failures in a row: connection refused" in page
    assert "Ask it again now" in page
    page = alice.post(f"{path}breaker/", follow=True).content.decode()
    assert "is asked again from now on" in page and "In use." in page


def test_the_line_is_measured_by_hand(house: House, alice: Client, path: str) -> None:
    page = alice.post(f"{path}line/", follow=True).content.decode()
    assert "8 MiB went to" in page
    assert Location.objects.get(pk=house.location.pk).line_bytes_per_second


def test_a_location_that_cannot_be_measured_says_why(house: House, alice: Client, path: str) -> None:
    Location.objects.filter(pk=house.location.pk).update(options={"root": "/nowhere/at/all"})
    assert "is gone" in alice.post(f"{path}line/", follow=True).content.decode()


def test_staff_read_it_and_change_nothing(house: House, path: str) -> None:
    sam = signed_in(house.cast.sam)
    page = text_of(sam, path)
    assert "Not paused." in page and "Limits and quota" not in page and "Measure the line" not in page
    assert sam.post(f"{path}pause/", {"pause": "1"}).status_code == 403
