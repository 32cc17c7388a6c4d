"""Promises of monitoring.rules and monitoring.conditions: pure, no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from monitoring import conditions
from monitoring.rules import NOTHING, Occurrence, concerns, judge
from monitoring.wishes import Severity, Wish

NOW = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def job(kind: str, new: str, **changes: object) -> Occurrence:
    payload = {"kind": kind, "new": new, "vault": "v1", "wedding": "w1", "message": "The disk is full."}
    fields = {"tag": "job.moved", "subject_id": "j1", "payload": payload, "about": "Okafor: Guests"} | changes
    return Occurrence(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("urgent", "severity"), [(True, Severity.CRITICAL), (False, Severity.WARNING)])
def test_a_failed_backup_weighs_as_much_as_its_wedding_is_near(urgent: bool, severity: Severity) -> None:
    (wish,) = judge(job("backup", "failed", urgent=urgent)).wishes
    assert (wish.key, wish.severity, wish.link) == ("backup.failed:v1", severity, "/jobs/j1/")
    assert (wish.title, wish.detail) == ("Backup failed: Okafor: Guests", "The disk is full.")


@pytest.mark.parametrize(("kind", "new"), [("backup", "failed"), ("backup", "degraded"), ("recovery", "failed")])
def test_what_a_job_says_of_the_platform_is_for_the_platforms_people_only(kind: str, new: str) -> None:
    payload = {"kind": kind, "new": new, "message": "Missing at Shelf.", "advice": "Shelf: /srv/x is full."}
    (wish,) = judge(job(kind, new, payload=payload)).wishes
    assert wish.detail == "Missing at Shelf. Shelf: /srv/x is full."
    assert "Shelf" not in wish.title + wish.text + wish.what_to_do


def test_a_backup_with_gaps_ends_the_failure_and_a_complete_one_ends_both() -> None:
    degraded = judge(job("backup", "degraded"))
    assert [wish.key for wish in degraded.wishes] == ["backup.degraded:v1"]
    assert degraded.over == ("backup.failed:v1",)
    assert judge(job("backup", "completed")).over == ("backup.failed:v1", "backup.degraded:v1")


@pytest.mark.parametrize("new", ["failed", "degraded"])
def test_a_recovery_that_misses_files_is_always_critical(new: str) -> None:
    (wish,) = judge(job("recovery", new)).wishes
    assert wish.severity is Severity.CRITICAL
    assert judge(job("recovery", "completed")).over == (wish.key,)


def test_a_suspicion_is_ended_by_no_event() -> None:
    """An acknowledgement says that a snapshot is in enough places, not that it is as it should be."""
    suspicious = Occurrence("snapshot.suspicious", "s1", {"vault": "v1", "reason": "90 % of the files are gone"})
    (wish,) = judge(suspicious).wishes
    assert wish.text == "90 % of the files are gone"
    assert judge(Occurrence("snapshot.acknowledged", "s1", {"vault": "v1"})) == NOTHING


def check(new: str, depth: str, place: int = 7) -> Occurrence:
    payload = {"kind": "check", "new": new, "vault": "v1", "place": place, "depth": depth}
    return Occurrence("job.moved", "j1", payload)


def test_a_failed_reading_is_not_made_good_by_a_lesser_check() -> None:
    """QubesOS #7809: "verified" was said by what had not read the content."""
    (wish,) = judge(check("failed", "reading")).wishes
    assert wish.key not in judge(check("completed", "structure")).over
    assert wish.key not in judge(check("completed", "sample")).over
    assert wish.key in judge(check("completed", "reading")).over
    (lesser,) = judge(check("failed", "structure")).wishes
    assert lesser.key in judge(check("completed", "reading")).over


def test_files_that_somebody_removed_are_not_made_good_by_a_check_of_another_copy() -> None:
    """Pulse #1741: what one host's backups did was told, and taken back, of another host's."""
    gone = Occurrence("location.objects_changed", "l1", {"vault": "v1", "place": 7, "count": 1, "objects": ["data/3f"]})
    (wish,) = judge(gone).wishes
    assert wish.key not in judge(check("completed", "reading", place=8)).over
    assert wish.key in judge(check("completed", "structure")).over


def test_a_refused_credential_is_told_of_until_another_one_takes_over() -> None:
    """One entered by the environment at a start is on nobody's screen."""
    payload = {"name": "Shelf", "role": "writer", "reason": "No such key. Check the credential."}
    (wish,) = judge(Occurrence("credential.refused", "l1", payload)).wishes
    assert (wish.title, wish.text) == ("The new credential of Shelf was refused", "No such key. Check the credential.")
    assert (wish.link, wish.severity, wish.organisation_id) == ("/locations/l1/", Severity.WARNING, None)
    assert judge(Occurrence("credential.changed", "l1", payload)).over == (wish.key,)
    assert judge(Occurrence("credential.changed", "l1", payload | {"role": "pruner"})).over != (wish.key,)


@pytest.mark.parametrize("subject", ["scheduler", "workers"])
def test_silence_is_critical_until_the_return(subject: str) -> None:
    (wish,) = judge(Occurrence(f"{subject}.silent", "")).wishes
    assert wish.severity is Severity.CRITICAL
    assert judge(Occurrence(f"{subject}.returned", "")).over == (wish.key,)


@pytest.mark.parametrize("tag", ["alert.raised", "credential.entered", ""])
def test_events_of_no_interest_change_nothing(tag: str) -> None:
    assert judge(Occurrence(tag, "x")) == NOTHING
    assert not concerns(tag, {})


@pytest.mark.parametrize("new", ["queued", "running", "cancelled"])
def test_moves_on_the_way_change_nothing(new: str) -> None:
    assert judge(job("backup", new)) == NOTHING
    assert not concerns("job.moved", {"kind": "backup", "new": new})
    assert concerns("job.moved", {"kind": "backup", "new": "failed"})


def test_every_alert_says_what_to_do_and_ends_its_sentences() -> None:
    occurrences = [
        job("backup", "failed"),
        job("backup", "degraded"),
        job("recovery", "failed"),
        Occurrence("snapshot.suspicious", "s", {"vault": "v"}),
        Occurrence("location.down", "l", {"name": "Shelf"}),
        Occurrence("scheduler.silent", ""),
        Occurrence("workers.silent", ""),
    ]
    wishes: list[Wish] = [wish for occurrence in occurrences for wish in judge(occurrence).wishes]
    here = uuid4()
    wishes += [
        conditions.copies_behind(here, "Shelf", 1),
        conditions.copies_damaged(here, "Shelf", 2),
        conditions.credential_old(here, "Shelf", ["daily work"], 90),
        conditions.vault_overdue(here, "Okafor: Guests", True, here, None, NOW),
    ]
    assert len(wishes) == 11
    assert all(wish.title and wish.text.endswith(".") and wish.what_to_do.endswith(".") for wish in wishes)


@pytest.mark.parametrize(
    ("due", "unfinished", "moved", "overdue"),
    [
        (-4 * MINUTE, None, None, False),
        (-31 * MINUTE, None, None, True),
        (-31 * MINUTE, -40 * MINUTE, -1 * MINUTE, False),
        (-31 * MINUTE, -40 * MINUTE, -16 * MINUTE, True),
        (59 * MINUTE, -31 * MINUTE, None, True),
        (59 * MINUTE, -5 * MINUTE, None, False),
    ],
    ids=["within grace", "never queued", "at work", "stalled", "nobody takes it", "just queued"],
)
def test_a_vault_is_overdue_when_its_backup_neither_came_nor_moves(
    due: timedelta, unfinished: timedelta | None, moved: timedelta | None, overdue: bool
) -> None:
    """The backup is asked for hourly, so half an hour is the grace."""
    since = conditions.overdue_since(
        next_due_at=NOW + due,
        pause_seconds=3600,
        unfinished_since=None if unfinished is None else NOW + unfinished,
        last_progress_at=None if moved is None else NOW + moved,
        now=NOW,
    )
    assert (since is not None) is overdue


def test_a_location_that_fills_up_is_told_until_there_is_room_again() -> None:
    payload = {"name": "Attic", "used_bytes": 81, "quota_bytes": 100}
    (filling,) = judge(Occurrence("location.filling", "l1", payload)).wishes
    assert (filling.title, filling.severity) == ("Attic is filling up", Severity.WARNING)
    assert filling.text.startswith("81 % of its quota is used.")
    (full,) = judge(Occurrence("location.full", "l1", payload | {"used_bytes": 99})).wishes
    assert (full.title, full.severity) == ("Attic has reached its quota", Severity.CRITICAL)
    assert judge(Occurrence("location.roomy", "l1", payload)).over == (filling.key,)
    assert full.key == filling.key, "one alert that grows, not two"


@pytest.mark.parametrize("kind", ["check", "catch_up", "prune", "documents"])
@pytest.mark.parametrize("new", ["failed", "degraded"])
def test_upkeep_that_fails_tells_somebody_until_the_same_place_succeeds(kind: str, new: str) -> None:
    """truth-web 2: 18 of 18 checks failed in 9 days, without an alert, and every page said safe."""

    def of(place: object, state: str) -> Occurrence:
        payload = {"kind": kind, "new": state, "vault": "v1", "place": place, "message": "Shelf was silent."}
        return job(kind, state, payload=payload)

    assert concerns("job.moved", {"kind": kind, "new": new})
    (wish,) = judge(of(7, new)).wishes
    assert wish.what_to_do and wish.link == "/jobs/j1/"
    assert wish.detail == "Shelf was silent." and "Shelf" not in wish.title + wish.text + wish.what_to_do
    assert wish.key in judge(of(7, "completed")).over
    assert wish.key not in judge(of(8, "completed")).over
