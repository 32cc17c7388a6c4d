"""Promises of providers.services.locations."""

from __future__ import annotations

import contextlib
import json
import pickle
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from providers.models import Location, Validation
from providers.services.breakers import ROW_POLICY, RowBreakerState
from providers.services.locations import (
    RECOVERY,
    VALIDATION,
    CredentialUnreadable,
    LocationDisabled,
    location_create,
    location_enable,
    location_open,
    location_report,
    store_of,
)
from providers.services.machine import machine_name, medium_of
from providers.services.validations import location_validate
from providers.stores.errors import BreakerOpen, ObjectNotFound, Rejected, StoreError, StoreUnavailable
from providers.stores.options import InvalidOptions
from providers.wrappers.breaker import Phase
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, Event

pytestmark = pytest.mark.django_db
DOWN = StoreUnavailable("connection refused")


def tags() -> list[str]:
    """Return the events of going down and coming back, in order."""
    went = ("location.down", "location.recovered")
    return [*Event.objects.filter(tag__in=went).values_list("tag", flat=True)]


def test_a_folder_location_is_ready_to_be_written_to(folder: Location) -> None:
    store = location_open(folder, purpose="backup")
    store.put("a/b", b"hello")
    assert store.get("a/b") == b"hello"
    assert AuditEntry.objects.filter(tag="location.created", actor="alice", subject_id=str(folder.pk)).exists()


def test_folders_on_one_disk_of_one_machine_share_their_failure_domain(folder: Location, tmp_path: Path) -> None:
    other = location_create(name="Other", kind="local", options={"root": str(tmp_path / "other")}, actor="alice")
    assert other.failure_domain == folder.failure_domain == (machine_name(), "", medium_of(str(tmp_path)))


def test_a_folder_that_was_a_location_before_keeps_its_id(folder: Location) -> None:
    identity, root = folder.pk, folder.options["root"]
    folder.delete()
    again = location_create(name="Shelf", kind="local", options={"root": root}, actor="alice")
    assert again.pk == identity == uuid.UUID(again.options["location_id"])


def test_one_folder_cannot_be_two_locations(folder: Location) -> None:
    with pytest.raises(InvalidOptions, match="is the location Shelf already"):
        location_create(name="Twice", kind="local", options={"root": folder.options["root"]}, actor="alice")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tape", {}, "there is no kind of location 'tape'"),
        ("local", {}, "missing option: root"),
        ("local", {"root": "/tmp/x", "colour": "red"}, "unknown option: colour"),
        ("s3", {"bucket": "b", "access_key": "k", "secret_key": "s"}, "secret_key is secret"),
        ("s3", {"bucket": "b", "access_key": "k"}, "missing option: secret_key"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(kind: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        location_create(name="New", kind=kind, options=options, account="x", actor="alice")
    assert not Location.objects.exists()


def test_the_opened_store_travels_to_another_process(folder: Location, bucket: Location) -> None:
    location_open(folder, purpose="backup").put("kept", b"x")
    assert pickle.loads(pickle.dumps(location_open(folder, purpose="backup"))).get("kept") == b"x"
    pickle.loads(pickle.dumps(location_open(bucket, purpose="backup")))


def test_a_disabled_location_is_opened_for_its_validation_only(folder: Location) -> None:
    assert location_enable(folder, False, actor="alice")
    assert not location_enable(folder, False, actor="alice"), "the second time changes nothing"
    with pytest.raises(LocationDisabled, match="Shelf is disabled") as caught:
        location_open(folder, purpose="backup")
    assert "Enable" in caught.value.advice
    location_open(folder, purpose=VALIDATION)


def test_without_the_key_file_the_message_says_what_to_do(bucket: Location, key_file: Path) -> None:
    key_file.unlink()
    with pytest.raises(CredentialUnreadable, match=r"Bucket cannot be read: The key file .* is missing"):
        location_open(bucket, purpose="backup")


def test_settings_edited_into_nonsense_are_a_store_error(folder: Location) -> None:
    folder.options = {"rot": "/tmp"}
    with pytest.raises(Rejected, match="the settings of Shelf make no sense: unknown option: rot"):
        location_open(folder, purpose="backup")


def test_the_breaker_on_the_row_is_shared_by_all_workers(folder: Location, clock: ManualClock) -> None:
    """One worker's bad experience spares the other: it reads the same row through its own object."""
    other_worker = Location.objects.get(pk=folder.pk)
    for _ in range(ROW_POLICY.failures_to_open):
        location_report(folder, ok=False, error=DOWN, clock=clock)
    with pytest.raises(BreakerOpen, match="Shelf: left alone after 2 failures"):
        location_open(other_worker, purpose="backup", clock=clock)
    location_open(other_worker, purpose=RECOVERY, clock=clock)
    assert tags() == ["location.down"]
    event = Event.objects.get(tag="location.down")
    assert event.payload == {"name": "Shelf", "reason": "connection refused", "advice": DOWN.advice}


def test_after_the_pause_one_worker_is_the_probe_and_success_closes_the_breaker(
    folder: Location, clock: ManualClock
) -> None:
    for _ in range(2):
        location_report(folder, ok=False, error=DOWN, clock=clock)
    clock.advance(ROW_POLICY.open_seconds)
    location_open(folder, purpose="backup", clock=clock)
    with pytest.raises(BreakerOpen):
        location_open(folder, purpose="backup", clock=clock)
    location_report(folder, ok=True, clock=clock)
    location_open(folder, purpose="backup", clock=clock)
    assert tags() == ["location.down", "location.recovered"]
    folder.refresh_from_db()
    assert (folder.breaker, folder.breaker_failures, folder.last_error) == ("closed", 0, "")


def test_a_failing_probe_leaves_the_location_alone_again_without_a_second_event(
    folder: Location, clock: ManualClock
) -> None:
    for _ in range(2):
        location_report(folder, ok=False, error=DOWN, clock=clock)
    clock.advance(ROW_POLICY.open_seconds)
    location_open(folder, purpose="backup", clock=clock)
    location_report(folder, ok=False, error="reset", clock=clock)
    folder.refresh_from_db()
    assert folder.breaker == "open"
    assert tags() == ["location.down"]


@pytest.mark.parametrize("error", [ObjectNotFound("no such object"), KeyboardInterrupt(), BreakerOpen("left alone")])
def test_what_says_nothing_about_the_location_never_counts(folder: Location, error: BaseException) -> None:
    for _ in range(5):
        location_report(folder, ok=False, error=error)
    folder.refresh_from_db()
    assert (folder.breaker, folder.breaker_failures) == ("closed", 0)


def test_of_two_workers_that_saw_the_same_breaker_only_one_moves_it(folder: Location, clock: ManualClock) -> None:
    one, two = RowBreakerState(folder, clock), RowBreakerState(Location.objects.get(pk=folder.pk), clock)
    seen = one.load()
    opened = type(seen)(Phase.OPEN, 1, clock.utcnow())
    assert one.compare_and_set(seen, opened)
    assert not two.compare_and_set(seen, opened)
    assert tags() == ["location.down"]


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_open_one_breaker_once_and_send_one_probe(folder: Location, clock: ManualClock) -> None:
    """Eight workers lose the location in the same moment, and in the same moment find its pause over."""
    probes: list[bool] = []

    def at_once(work: Callable[[Location], None]) -> None:
        together = threading.Barrier(8)

        def run() -> None:
            try:
                mine = Location.objects.get(pk=folder.pk)
                together.wait(30)
                work(mine)
            finally:
                connection.close()

        workers = [threading.Thread(target=run) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def lose(mine: Location) -> None:
        location_report(mine, ok=False, error=DOWN, clock=clock)

    def probe(mine: Location) -> None:
        with contextlib.suppress(BreakerOpen):
            location_open(mine, purpose="backup", clock=clock)
            probes.append(True)

    at_once(lose)
    assert tags() == ["location.down"]
    clock.advance(ROW_POLICY.open_seconds)
    at_once(probe)
    assert len(probes) == 1


def test_a_location_that_keeps_all_promises_counts_as_validated(folder: Location) -> None:
    findings = [*location_validate(folder)]
    assert findings and [finding for finding in findings if not finding.ok] == []
    row = Validation.objects.get()
    assert (row.passed, row.error, len(row.findings)) == (True, "", len(findings))
    assert Location.objects.get().validated_at == row.finished_at


def test_a_validation_that_nobody_listens_to_any_more_is_no_pass(folder: Location) -> None:
    findings = location_validate(folder)
    next(findings)
    findings.close()
    row = Validation.objects.get()
    assert (row.passed, len(row.findings)) == (None, 1)
    assert row.finished_at is not None and "start it again" in row.error
    assert Location.objects.get().validated_at is None
    assert [*store_of(folder).list()] == []


def test_a_location_that_cannot_be_opened_leaves_a_row_that_says_why(bucket: Location, key_file: Path) -> None:
    key_file.unlink()
    with pytest.raises(CredentialUnreadable):
        list(location_validate(bucket))
    row = Validation.objects.get()
    assert (row.passed, row.findings) == (False, [])
    assert "key file" in row.error


def test_one_broken_promise_takes_the_validation_away(folder: Location, broken: Callable[[bool], None]) -> None:
    list(location_validate(folder))
    broken(True)
    findings = [*location_validate(folder)]
    assert any("is the disk or share mounted?" in finding.detail for finding in findings), "the fault was not hit"
    assert Location.objects.get().validated_at is None


def test_the_audit_trail_of_a_location_holds_plain_values(bucket: Location) -> None:
    details = json.dumps([*AuditEntry.objects.values_list("detail", flat=True)])
    assert "Bucket" in details
    assert isinstance(DOWN, StoreError)
