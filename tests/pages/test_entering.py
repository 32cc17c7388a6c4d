"""From an empty installation to a backup, without the admin site."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from backups.models import Copy, Job, Organisation, Policy, Source, Vault, Wedding
from providers.models import Location
from providers.services.validations import location_validate
from tests.cast import Cast
from tests.pages.conftest import House

pytestmark = pytest.mark.django_db


def test_a_person_gets_from_nothing_to_a_waiting_backup(
    alice: Client, cast: Cast, key_file: Path, photos: Path, tmp_path: Path
) -> None:
    alice.post("/organisations/new/", {"name": "Bright Barn", "vendor_type": "venue"})
    barn = Organisation.unscoped.get(name="Bright Barn")
    for name in ("Shelf", "Cellar", "Loft"):
        (tmp_path / name).mkdir()
        answer = alice.post("/locations/new/local/", {"name": name, "root": str(tmp_path / name), "city": "Bath"})
        assert answer.status_code == 302, answer.content.decode()
        assert all(finding.ok for finding in location_validate(Location.objects.get(name=name)))
    alice.post(
        "/weddings/new/",
        {"couple": "Ray & Sol", "date": "2026-07-04", "vendors": [str(barn.pk)], "time_zone": "Europe/London"},
    )
    wedding = Wedding.unscoped.get(couple="Ray & Sol")
    alice.post(
        f"/weddings/{wedding.pk}/vaults/new/",
        {
            "organisation": str(barn.pk),
            "protection_class": "media",
            "policy": str(cast.policy.pk),
            "locations": [str(pk) for pk in Location.objects.values_list("pk", flat=True)],
            "path": str(photos),
        },
    )
    vault = Vault.unscoped.get(wedding=wedding)
    assert Source.unscoped.get(vault=vault).path == str(photos)
    assert Copy.unscoped.filter(vault=vault).count() == 3
    answer = alice.post(f"/weddings/{wedding.pk}/back-up/")
    job = Job.unscoped.get(vault=vault)
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert "waiting" in alice.get(answer["Location"]).content.decode()


def test_pressing_back_up_now_twice_makes_one_job(house: House, vera: Client, cast: Cast) -> None:
    for _ in range(2):
        vera.post(f"/weddings/{cast.wedding.pk}/back-up/")
    assert Job.unscoped.filter(vault=house.vault, kind=Job.Kind.BACKUP).count() == 1


@pytest.mark.parametrize(
    ("path", "words"),
    [("relative/path", "is not an absolute path"), ("/nowhere/at/all", "is not a folder on this machine")],
)
def test_a_source_folder_that_cannot_be_read_is_refused_in_words(
    house: House, alice: Client, path: str, words: str
) -> None:
    page = alice.post(f"/vaults/{house.vault.pk}/sources/new/", {"path": path})
    assert words in page.content.decode()
    assert Source.unscoped.filter(vault=house.vault).count() == 1


def test_a_vault_with_a_bad_folder_is_not_made_at_all(house: House, alice: Client, cast: Cast) -> None:
    page = alice.post(
        f"/weddings/{cast.wedding.pk}/vaults/new/",
        {
            "organisation": str(cast.lumen.pk),
            "protection_class": "documents",
            "policy": str(cast.policy.pk),
            "locations": [str(house.location.pk)],
            "path": "/nowhere/at/all",
        },
    )
    assert "is not a folder on this machine" in page.content.decode()
    assert Vault.unscoped.filter(wedding=cast.wedding).count() == 1


def test_the_same_kind_of_vault_twice_is_refused_in_words(house: House, alice: Client, cast: Cast) -> None:
    page = alice.post(
        f"/weddings/{cast.wedding.pk}/vaults/new/",
        {
            "organisation": str(cast.lumen.pk),
            "protection_class": "media",
            "policy": str(cast.policy.pk),
            "locations": [str(house.location.pk)],
        },
    )
    assert page.status_code == 200
    assert 'class="field-error"' in page.content.decode()
    assert Vault.unscoped.filter(wedding=cast.wedding).count() == 1


def test_a_wedding_needs_a_business_and_a_real_time_zone(alice: Client, cast: Cast) -> None:
    page = alice.post("/weddings/new/", {"couple": "A & B", "date": "2026-07-04", "time_zone": "Mars/Olympus"})
    text = page.content.decode()
    assert "Tick at least one business" in text and "no IANA time zone" in text


def test_a_location_that_is_no_place_is_refused_in_words(alice: Client, cast: Cast, tmp_path: Path) -> None:
    page = alice.post("/locations/new/local/", {"name": "X", "root": str(tmp_path / "no" / "parent")})
    assert 'class="field-error"' in page.content.decode()
    assert not Location.objects.filter(name="X").exists()
    assert alice.get("/locations/new/floppy/").status_code == 404


def test_a_switched_off_location_says_so(alice: Client, house: House) -> None:
    alice.post(f"/locations/{house.location.pk}/switch/")
    assert "switched off" in alice.get(f"/locations/{house.location.pk}/").content.decode()


def test_an_admin_trusts_a_suspicious_vault_on_its_weddings_page(alice: Client, vera: Client, house: House) -> None:
    Vault.unscoped.filter(pk=house.vault.pk).update(suspicion="/srv/photos shrank from 7 files to 1")
    page = f"/weddings/{house.cast.wedding.pk}/"
    assert "/srv/photos" not in vera.get(page).content.decode()
    assert "It is as it should be" in alice.get(page).content.decode()
    alice.post(f"/vaults/{house.vault.pk}/trust/")
    assert Vault.unscoped.get(pk=house.vault.pk).suspicion == ""


def test_policies_exist_to_choose_from(alice: Client, house: House, cast: Cast) -> None:
    page = alice.get(f"/weddings/{cast.wedding.pk}/vaults/new/").content.decode()
    assert all(policy.name in page for policy in Policy.objects.all())


def test_an_ended_job_is_tried_again_and_a_good_one_is_not(alice: Client, house: House) -> None:
    alice.post(f"/jobs/{house.recovery.pk}/retry/")
    house.recovery.refresh_from_db()
    assert house.recovery.state == "completed"
    answer = alice.get(f"/jobs/{house.recovery.pk}/")
    assert "Only a failed or cancelled job can be tried again" in answer.content.decode()


def test_cancelling_asks_a_running_job_to_stop(vera: Client, house: House) -> None:
    vera.post(f"/jobs/{house.running.pk}/cancel/")
    house.running.refresh_from_db()
    assert house.running.cancel_requested
    assert "Stopping" in vera.get(f"/jobs/{house.running.pk}/").content.decode()


def test_a_recovery_shows_the_promise_the_proof_and_what_is_missing(sam: Client, house: House) -> None:
    page = sam.get(f"/jobs/{house.recovery.pk}/").content.decode()
    assert "7 of 7 files equal" in page and "2.5 s" in page and ">kept" in page
    house.recovery.result |= {"equal": 6, "files": 6, "misses": [["a/b.jpg", "readable in no copy"]], "miss_count": 1}
    house.recovery.save()
    page = sam.get(f"/jobs/{house.recovery.pk}/").content.decode()
    assert "6 of 7 files equal" in page and "a/b.jpg" in page and "readable in no copy" in page


def test_a_copy_under_another_law_is_told_when_it_is_placed(alice: Client, house: House) -> None:
    """An EU wedding's guest data was placed in the US without a word."""
    Wedding.unscoped.update(jurisdiction="EU")
    Location.objects.filter(pk=house.location.pk).update(jurisdiction="US", validated_at=house.cast.clock.utcnow())
    Copy.unscoped.filter(location=house.location).delete()
    address = f"/vaults/{house.vault.pk}/copies/new/"
    page = alice.post(address, {"location": str(house.location.pk)}, follow=True).content.decode()
    assert "is in the wrong place: it lies under the law of US" in page
