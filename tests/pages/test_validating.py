"""The Validate button, its findings as they come, and who may press it."""

from __future__ import annotations

import pytest
from django.test import Client

from backups.models import Job
from backups.worker import run_next
from providers.models import Location, Validation
from tests.pages.conftest import House

pytestmark = pytest.mark.django_db(transaction=True)


def page_of(client: Client, location: Location) -> str:
    answer = client.get(f"/locations/{location.pk}/validation/")
    assert answer.status_code == 200
    return answer.content.decode()


def press(client: Client, location: Location) -> Job:
    answer = client.post(f"/locations/{location.pk}/validate/")
    assert answer.status_code == 302 and answer["Location"] == f"/locations/{location.pk}/validation/"
    return Job.unscoped.get(kind="validation")


def test_the_button_queues_a_validation_and_shows_each_promise(alice: Client, house: House) -> None:
    job = press(alice, house.location)
    assert "Waiting for a free worker" in page_of(alice, house.location)
    run_next("tests", job)
    page = page_of(alice, house.location)
    assert "Every promise is kept" in page
    assert "what is stored comes back unchanged" in page
    assert "there is no network between us and it" in page
    assert "Every promise is kept" in alice.get(f"/locations/{house.location.pk}/").content.decode()


def test_findings_are_shown_while_others_are_still_to_come(alice: Client, house: House) -> None:
    job = press(alice, house.location)
    Job.unscoped.filter(pk=job.pk).update(state="running")
    found = [
        {"promise": "storing is proved", "state": "kept", "detail": "", "seconds": 0.2},
        {"promise": "nobody else can read it", "state": "broken", "detail": "Make it private.", "seconds": 0.1},
        {"promise": "the credential has no more rights than needed", "state": "warned", "detail": "x", "seconds": 0},
    ]
    Validation.objects.create(
        pk=job.pk, location=house.location, requested_by="alice", started_at=job.created_at, findings=found
    )
    page = page_of(alice, house.location)
    assert "Putting each promise to the test" in page and "every 3s" in page
    assert ">broken" in page and "Make it private." in page and ">warning" in page  # words, not colour alone


def test_a_fragment_is_all_that_htmx_gets(alice: Client, house: House) -> None:
    answer = alice.post(f"/locations/{house.location.pk}/validate/", headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert 'id="validation-run"' in page and "<html" not in page


def test_the_job_has_a_page_and_a_line_like_others_but_vendors_see_neither(
    alice: Client, vera: Client, house: House
) -> None:
    job = press(alice, house.location)
    assert house.location.name in alice.get("/jobs/").content.decode()
    assert "Promises" in alice.get(f"/jobs/{job.pk}/").content.decode()
    assert house.location.name in alice.get("/jobs/?state=unfinished").content.decode()
    assert vera.get(f"/jobs/{job.pk}/").status_code == 404
    assert "Validation" not in vera.get("/jobs/").content.decode()
    assert vera.post(f"/locations/{house.location.pk}/validate/").status_code == 403


def test_validate_pressed_twice_answers_twice(alice: Client, house: House) -> None:
    """The form inherited a swap that replaced the answer's place, so that the second answer had none."""
    page = alice.get(f"/locations/{house.location.pk}/").content.decode()
    form = page[page.index("hx-post") : page.index(">Validate</button>")]
    assert 'hx-target="#validation"' in form and 'hx-swap="innerHTML"' in form
