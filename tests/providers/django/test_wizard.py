"""An admin adds a location step by step; the wizard refuses what cannot work and shows no secret again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from providers import registry
from providers.models import Location
from providers.regions import region_named, regions_of
from providers.services import addresses
from tests.cast import Cast

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("key_file")]

PLACE = {
    "name": "Frankfurt bucket",
    "bucket": "weddings-copies",
    "account": "studio@aws",
    "region": "eu-central-1",
    "checksum": "sha256",
    "encryption": "bucket",
    "lock_mode": "GOVERNANCE",
    "connect_seconds": "3",
    "read_seconds": "8",
    "single_put_bytes": "67108864",
    "part_bytes": "16777216",
    "parts_at_once": "4",
    "list_page": "1000",
    "lock_days": "0",
    "path_style": "on",
}
CREDENTIAL = {"access_key": "AKIA1", "secret_key": "canary-9b4e-secret"}


@pytest.fixture
def alice(cast: Cast, client: Client) -> Client:
    client.force_login(cast.alice)
    return client


def test_every_kind_can_be_chosen_and_says_what_it_is_good_for(alice: Client) -> None:
    page = alice.get("/locations/new/").content.decode()
    for kind in registry.KINDS.values():
        assert f'href="/locations/new/{kind.name}/"' in page
        assert f'href="/locations/guides/{kind.name}/"' in page
        assert kind.text and kind.text in page


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_kind_has_a_form_for_its_place(alice: Client, kind: str) -> None:
    page = alice.get(f"/locations/new/{kind}/")
    assert page.status_code == 200
    regions = regions_of(registry.KINDS[kind].store_class().regions)
    for region in regions:
        assert region.words in page.content.decode().replace("&#x27;", "'")


def test_a_bucket_is_added_in_three_steps_and_its_place_comes_from_the_region(alice: Client) -> None:
    answer = alice.post("/locations/new/s3/", PLACE)
    assert answer.headers["Location"] == "/locations/new/s3/credential/", answer.context["form"].errors
    page = alice.get("/locations/new/s3/credential/").content.decode()
    assert "weddings-copies/" in page, "the rights to paste name the bucket"
    answer = alice.post("/locations/new/s3/credential/", CREDENTIAL)
    location = Location.objects.get()
    assert answer.headers["Location"] == f"/locations/{location.pk}/added/"
    assert (location.city, location.country, location.jurisdiction) == ("Frankfurt", "DE", "EU")
    assert (location.options["region"], location.region) == ("eu-central-1", "eu-central-1")
    assert location.options["access_key"] == "AKIA1"
    assert location.validated_at is None
    page = alice.get(f"/locations/{location.pk}/added/").content.decode()
    assert f'action="/locations/{location.pk}/validate/"' in page


def test_no_secret_is_kept_in_the_session_or_shown_again(alice: Client) -> None:
    alice.post("/locations/new/s3/", PLACE)
    again = alice.post("/locations/new/s3/credential/", {**CREDENTIAL, "access_key": ""})
    assert "canary-9b4e" not in again.content.decode()
    sessions = [str(session.get_decoded()) for session in Session.objects.all()]
    assert any("Frankfurt bucket" in session for session in sessions)
    assert not any("canary-9b4e" in session for session in sessions)
    alice.post("/locations/new/s3/credential/", CREDENTIAL)
    assert "canary-9b4e" not in str(list(Location.objects.values()))


def test_a_folder_is_added_in_two_steps(alice: Client, tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    answer = alice.post("/locations/new/local/", {"name": "Shelf", "root": str(tmp_path / "shelf")})
    location = Location.objects.get()
    assert answer.headers["Location"] == f"/locations/{location.pk}/added/"


def test_a_mistyped_or_unmounted_folder_is_not_made(alice: Client, tmp_path: Path) -> None:
    """It would have put the copies on the server's own disk."""
    answer = alice.post("/locations/new/local/", {"name": "Studio NAS", "root": str(tmp_path / "nas")})
    assert "Is its disk or share connected?" in answer.content.decode()
    assert not (tmp_path / "nas").exists() and not Location.objects.exists()


def test_a_second_folder_on_one_disk_is_said_to_make_nothing_safer(alice: Client, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        answer = alice.post("/locations/new/local/", {"name": name, "root": str(tmp_path / name)}, follow=True)
    assert "on the same disk as one: they are lost together" in answer.content.decode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bucket": ""}, "This field is required"),
        ({"region": ""}, "This field is required"),
        ({"region": "other"}, "name of the region"),
        ({"account": ""}, "This field is required"),
        ({"endpoint_url": "http://s3.example.org"}, "without TLS"),
        ({"endpoint_url": "https://s3.example.org/bucket"}, "leave out what follows the host"),
        ({"endpoint_url": "https://me:pw@s3.example.org"}, "name and password"),
        ({"endpoint_url": "https://inside.example.org"}, "not a public address"),
        ({"proxy_url": "http://inside.example.org:3128"}, "not a public address"),
        ({"country": "Germany"}, "at most 2"),
    ],
)
def test_a_place_that_cannot_work_is_refused_in_words(
    alice: Client, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], message: str
) -> None:
    found = {"inside.example.org": ["10.0.0.8"]}
    checks: list[Any] = [addresses.addresses_of, addresses.address_check]
    for check in checks:
        monkeypatch.setitem(check.__kwdefaults__, "resolve", lambda host: found.get(host, ["93.184.215.14"]))
    page = alice.post("/locations/new/s3/", {**PLACE, **changes})
    assert page.status_code == 200
    assert message in page.content.decode().replace("&#x27;", "'")
    assert not Location.objects.exists()


def test_an_address_inside_is_taken_when_an_admin_allows_it(alice: Client) -> None:
    changes = {"endpoint_url": "http://127.0.0.1:9000", "private_address_allowed": "on"}
    assert alice.post("/locations/new/s3/", {**PLACE, **changes}).status_code == 302
    alice.post("/locations/new/s3/credential/", CREDENTIAL)
    assert Location.objects.get().private_address_allowed


def test_another_region_than_the_listed_ones_can_be_entered(alice: Client) -> None:
    answers = {**PLACE, "region": "other", "other_region": "eu-isoe-west-1", "city": "Bonn", "country": "DE"}
    alice.post("/locations/new/s3/", answers)
    alice.post("/locations/new/s3/credential/", CREDENTIAL)
    location = Location.objects.get()
    assert (location.options["region"], location.city) == ("eu-isoe-west-1", "Bonn")


def test_going_back_shows_what_was_entered(alice: Client) -> None:
    alice.post("/locations/new/s3/", PLACE)
    assert 'value="weddings-copies"' in alice.get("/locations/new/s3/").content.decode()
    assert "weddings-copies" not in alice.get("/locations/new/gcs/").content.decode()


def test_the_credential_comes_after_the_place(alice: Client) -> None:
    assert alice.get("/locations/new/s3/credential/").headers["Location"] == "/locations/new/s3/"


@pytest.mark.parametrize("who", ["sam", "vera"])
def test_only_admins_add_locations(client: Client, cast: Cast, who: str) -> None:
    client.force_login(getattr(cast, who))
    for path in ("/locations/new/", "/locations/new/s3/", "/locations/new/s3/credential/"):
        assert client.get(path).status_code == 403


def test_a_region_names_its_city_or_says_that_the_provider_does_not() -> None:
    frankfurt = region_named("aws_s3", "eu-central-1")
    assert frankfurt is not None
    assert frankfurt.words == "Frankfurt, DE (eu-central-1)"
    hint = region_named("cloudflare_r2", "weur")
    assert hint is not None
    assert (hint.jurisdiction, hint.latitude) == ("", None)
