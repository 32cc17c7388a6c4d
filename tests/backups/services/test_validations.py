"""Validating a location is a job like others: it can be cancelled and restarted, and belongs to no vendor."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from backups.models import Job
from backups.pulse import PULSE, Stop
from backups.services.jobs import job_enqueue, job_hand_back
from backups.services.validations import run_validation, validation_request, validation_view
from backups.services.vaults import vault_create, vault_locations
from backups.states import JobState
from backups.worker import RUNNERS, JobContext
from providers.models import Location, Validation
from providers.services.locations import location_create, store_of
from providers.stores.local import MARKER
from providers.validation import PREFIX, PROMISES
from tests.backups.ground import Ground
from wedbackup.core.models import AuditEntry, User

SMALL = len([promise for promise in PROMISES if not promise.large]) + 1


@pytest.fixture
def alice(transactional_db: None) -> User:
    return User.objects.create_user("alice", role=User.Role.ADMIN)


@pytest.fixture
def shelf(ground: Ground) -> Location:
    """A folder that nobody validated yet."""
    return location_create(name="Shelf", kind="local", options={"root": str(ground.root / "shelf")}, actor="alice")


def test_a_location_that_keeps_its_promises_may_hold_copies(ground: Ground, shelf: Location, alice: User) -> None:
    assert shelf not in vault_locations()
    job = ground.run(validation_request(shelf, user=alice))
    assert (job.state, job.organisation) == (JobState.COMPLETED, None), job.message
    row = Validation.objects.get(pk=job.pk)
    assert (row.passed, row.requested_by, len(row.findings)) == (True, "alice", SMALL)
    assert shelf in vault_locations()
    assert AuditEntry.objects.get(tag="location.validated").actor == "alice"


def test_a_location_that_breaks_one_may_not(ground: Ground, shelf: Location, alice: User) -> None:
    Path(shelf.options["root"], MARKER).rename(ground.root / "hidden")
    job = ground.run(validation_request(shelf, user=alice))
    assert job.state == JobState.FAILED
    assert "must not hold copies yet" in job.message
    assert any("is the disk or share mounted?" in finding["detail"] for finding in validation_view(shelf).broken)
    assert shelf not in vault_locations()


def test_asking_twice_validates_once(ground: Ground, shelf: Location, alice: User) -> None:
    assert validation_request(shelf, user=alice) == validation_request(shelf, user=alice)
    assert validation_view(shelf).waiting


def _stop_after(monkeypatch: pytest.MonkeyPatch, count: int, why: Stop) -> None:
    """Stop the run after so many findings, as a person or a server that ends would."""
    seen: list[object] = []

    def report(self: object, progress: object) -> None:
        seen.append(progress)
        if len(seen) == count:
            for run in PULSE.runs():
                run.stop(why)

    monkeypatch.setattr("backups.pulse.Run.report", report)


def test_it_stops_between_two_promises_and_leaves_nothing(
    ground: Ground, shelf: Location, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop_after(monkeypatch, 3, Stop.CANCELLED)
    job = ground.run(validation_request(shelf, user=alice))
    assert job.state == JobState.CANCELLED
    row = Validation.objects.get(pk=job.pk)
    assert (row.passed, len(row.findings)) == (None, 3)
    assert [*store_of(shelf).list(PREFIX)] == []
    assert shelf not in vault_locations()


def test_after_a_restart_it_begins_anew_under_the_same_row(
    ground: Ground, shelf: Location, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _stop_after(patch, 3, Stop.SHUTDOWN)
        job = ground.run(validation_request(shelf, user=alice))
    assert job.state == JobState.QUEUED
    assert validation_view(shelf).waiting
    assert ground.run(job).state == JobState.COMPLETED
    assert len(Validation.objects.get().findings) == SMALL


def test_a_run_that_lost_its_lease_validates_nothing(
    ground: Ground, shelf: Location, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = validation_request(shelf, user=alice)

    def overtaken(context: JobContext) -> object:
        job_hand_back(Job.unscoped.get(pk=asked.pk), "its worker went silent")
        return run_validation(context)

    monkeypatch.setattr("backups.services.validations.run_overtaken", overtaken, raising=False)
    monkeypatch.setitem(RUNNERS, Job.Kind.VALIDATION, "backups.services.validations.run_overtaken")
    assert ground.run(asked).state == JobState.QUEUED
    assert not Validation.objects.exists()
    assert shelf not in vault_locations()


def test_only_the_platforms_jobs_belong_to_nobody(ground: Ground) -> None:
    with pytest.raises(IntegrityError):
        job_enqueue(kind=Job.Kind.BACKUP, organisation=None)
    with pytest.raises(IntegrityError):
        job_enqueue(kind=Job.Kind.VALIDATION, organisation=ground.studio)


@pytest.mark.parametrize(
    ("kind", "words"), [("local", "press Validate first"), ("carbonite", "documents that clients")]
)
def test_a_vault_goes_to_no_place_that_is_not_fit_for_it(ground: Ground, kind: str, words: str) -> None:
    unfit = location_create(name="Unfit", kind=kind, options={"root": str(ground.root / "unfit")}, actor="alice")
    with pytest.raises(ValidationError, match=words):
        vault_create(
            organisation=ground.studio,
            wedding=ground.wedding,
            protection_class="media",
            policy=ground.policy,
            locations=[*ground.locations, unfit],
        )
    assert unfit not in vault_locations()
