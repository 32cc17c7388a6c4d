"""Promises of monitoring.reader and monitoring.watch: from what happens to the alert that a person sees."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest

from backups.models import Copy, Snapshot, Source, Vault, Wedding
from backups.services.jobs import job_retry
from monitoring import reader, watch
from monitoring.models import Alert, Cursor
from monitoring.reader import read
from providers.models import Credential, Location
from providers.services.locations import location_report
from tests.monitoring.conftest import World
from wedbackup.core.events import Tag, emit
from wedbackup.core.models import Event, Heartbeat

pytestmark = pytest.mark.django_db


def open_keys() -> list[str]:
    live = Alert.objects.exclude(state="resolved").order_by("key")
    return [key.split(":")[0] for key in live.values_list("key", flat=True)]


def test_a_failed_backup_raises_one_alert_and_its_success_resolves_it(world: World) -> None:
    job = world.ended(world.backup(), "failed", message="The disk is full.", advice="Free some space.")
    read(clock=world.clock)
    alert = Alert.objects.get()
    assert alert.title == "Backup failed: Okafor & Lindqvist: Guest data"
    assert alert.detail == "The disk is full. Free some space."
    assert (alert.severity, alert.organisation_id, alert.link) == ("warning", world.cast.lumen.pk, f"/jobs/{job.pk}/")
    job_retry(job, actor="alice", clock=world.clock)
    world.ended(job, "failed", message="The disk is full.")
    read(clock=world.clock)
    assert Alert.objects.get().count == 2
    world.ended(world.backup(), "completed")
    read(clock=world.clock)
    assert open_keys() == []


def test_near_the_wedding_a_failed_backup_is_critical(world: World) -> None:
    Wedding.unscoped.update(date=world.clock.utcnow().date() + timedelta(days=2))
    world.ended(world.backup(), "failed")
    read(clock=world.clock)
    assert Alert.objects.get().severity == "critical"


def test_each_event_is_read_once_and_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH", 2)
    world.ended(world.backup(), "failed")
    world.ended(world.backup(), "completed")
    moves = Event.objects.count()
    assert moves == 6
    assert read(clock=world.clock) > moves, "the alerts' own events are read too, and lead to nothing"
    assert read(clock=world.clock) == 0
    assert open_keys() == []
    assert Alert.objects.get().count == 1


def test_of_two_readers_with_the_same_events_only_one_raises(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second reader overtakes the first one between its reading of the events and its moving of the cursor."""
    world.ended(world.backup(), "failed")
    overtaken: list[Any] = []
    read_events = reader.events_after

    def events_after(last_id: int, *, limit: int) -> list[Event]:
        found = read_events(last_id, limit=limit)
        if not overtaken:
            overtaken.append(True)
            read(clock=world.clock)
        return found

    monkeypatch.setattr(reader, "events_after", events_after)
    read(clock=world.clock)
    assert overtaken
    assert Alert.objects.get().count == 1


def test_a_reader_that_dies_in_the_middle_has_done_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.ended(world.backup(), "failed")

    def die(*args: object, **kwargs: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(reader, "alert_raise", die)
        with pytest.raises(OSError, match="killed"):
            read(clock=world.clock)
    assert Cursor.objects.get().last_event_id == 0
    read(clock=world.clock)
    assert open_keys() == ["backup.failed"]


def test_a_location_that_dies_is_one_alert_that_ends_with_its_return(world: World) -> None:
    """Its copies fall behind as well, but that is the same trouble."""
    Copy.unscoped.update(state="unreachable")
    for _ in range(3):
        location_report(world.location, ok=False, error="connection refused", clock=world.clock)
        read(clock=world.clock)
        world.clock.advance(20)
    alert = Alert.objects.get()
    assert (alert.title, alert.severity, alert.organisation_id) == ("Shelf does not answer", "warning", None)
    location_report(world.location, ok=False, error="connection refused", clock=world.clock)
    Location.objects.update(breaker="half_open")
    location_report(world.location, ok=True, clock=world.clock)
    read(clock=world.clock)
    assert open_keys() == []


def test_a_location_that_refuses_every_probe_is_an_alert_too(world: World) -> None:
    """A wrong credential is an answer and so no matter for the breaker."""
    now = world.clock.utcnow()
    Location.objects.update(last_error="access denied. Check it.", last_probe_at=now)
    read(clock=world.clock)
    assert open_keys() == ["location.down"]
    Location.objects.update(last_error="", last_answer_at=now)
    world.clock.advance(15)
    read(clock=world.clock)
    assert open_keys() == []


def test_a_backup_that_nobody_takes_up_becomes_overdue_and_stops_being_so(world: World) -> None:
    job = world.backup()
    world.clock.advance(3600 * 3)
    read(clock=world.clock)
    assert open_keys() == ["vault.overdue"]
    assert Alert.objects.get().organisation_id == world.cast.lumen.pk
    world.ended(job, "completed")
    world.clock.advance(15)
    read(clock=world.clock)
    assert open_keys() == []


def snapshot(world: World, *, acknowledged: bool) -> None:
    now = world.clock.utcnow()
    Snapshot.unscoped.create(
        vault=world.vault, restic_id=os.urandom(32).hex(), tree="0" * 64, taken_at=now, file_count=1, source_bytes=1,
        stored_bytes=1, acknowledged_at=now if acknowledged else None,
    )  # fmt: skip


@pytest.mark.parametrize("first", [True, False], ids=["safe once", "never safe"])
def test_backups_that_never_reach_enough_places_are_an_alert_by_themselves(world: World, first: bool) -> None:
    """Every job was completed, 100 % of them, no alert was open, and no state was in enough places."""
    snapshot(world, acknowledged=first)
    for _ in range(10):
        world.clock.advance(3600)
        snapshot(world, acknowledged=False)
    Vault.unscoped.update(next_due_at=world.clock.utcnow() + timedelta(hours=1))
    reader.read(clock=world.clock)
    (alert,) = Alert.objects.exclude(state="resolved")
    assert alert.title.startswith("Not in enough places") and ("None ever did" in alert.text) is not first
    snapshot(world, acknowledged=True)
    world.clock.advance(16)
    reader.read(clock=world.clock)
    assert not Alert.objects.exclude(state="resolved").exists()


def test_a_vault_without_sources_is_never_overdue(world: World) -> None:
    world.vault.next_due_at = world.clock.utcnow() - timedelta(days=3)
    world.vault.save()
    read(clock=world.clock)
    assert open_keys() == ["vault.overdue"]
    Source.unscoped.all().delete()
    world.clock.advance(15)
    read(clock=world.clock)
    assert open_keys() == []


def test_copies_that_nobody_catches_up_are_named_once_per_location(world: World) -> None:
    Copy.unscoped.update(state="behind")
    job = world.backup()
    read(clock=world.clock)
    assert open_keys() == [], "somebody is at work on it"
    world.ended(job, "completed")
    world.clock.advance(15)
    read(clock=world.clock)
    assert open_keys() == ["copies.behind"]


def test_damaged_copies_are_critical(world: World) -> None:
    Copy.unscoped.update(state="damaged")
    read(clock=world.clock)
    assert [*Alert.objects.values_list("title", "severity")] == [("Damaged copies at Shelf", "critical")]


def test_a_credential_of_more_than_90_days_is_mentioned_once_until_it_is_replaced(world: World) -> None:
    """A writer and a pruner of one location are one alert, which a day later is still the same one."""
    world.location.credentials.create(version=1, sealed="x", created_at=world.clock.utcnow())
    world.location.credentials.create(version=2, sealed="x", role="pruner", created_at=world.clock.utcnow())
    world.clock.advance(90 * 86400)
    read(clock=world.clock)
    assert "credential.old" not in open_keys(), "not before the 90 days are over"
    for _ in range(2):
        world.clock.advance(86400)
        read(clock=world.clock)
    (alert,) = Alert.objects.filter(key__startswith="credential.old")
    assert (alert.title, alert.severity) == ("The credential of Shelf is more than 90 days old", "warning")
    assert alert.text.startswith("Its credentials for daily work and for deleting should be replaced")
    assert (alert.link, alert.count) == (f"/locations/{world.location.pk}/", 1)
    Credential.objects.update(state="draining")
    world.clock.advance(15)
    read(clock=world.clock)
    assert "credential.old" not in open_keys(), "the new ones took over"


@pytest.mark.parametrize("name", ["scheduler", "worker w1"])
def test_a_part_that_falls_silent_is_missed(world: World, name: str) -> None:
    Heartbeat.objects.create(name=name, at=world.clock.utcnow())
    world.clock.advance(61)
    read(clock=world.clock)
    assert open_keys() == ["scheduler.silent" if name == "scheduler" else "workers.silent"]
    Heartbeat.objects.filter(name=name).update(at=world.clock.utcnow())
    world.clock.advance(15)
    read(clock=world.clock)
    assert open_keys() == []


def test_what_vendors_can_read_names_no_location_and_no_other_tenant(world: World) -> None:
    location_report(world.location, ok=False, error="Shelf refused", clock=world.clock)
    Copy.unscoped.update(state="damaged")
    world.ended(world.backup(), "failed", message="Missing at Shelf.", advice="Shelf is full.")
    world.clock.advance(3600 * 48)
    world.backup()
    world.clock.advance(3600 * 48)
    read(clock=world.clock)
    own = Alert.objects.filter(organisation_id=world.cast.lumen.pk)
    assert own.count() == 2, "failed and overdue"
    assert own.filter(detail="Missing at Shelf. Shelf is full.").exists(), (
        "the name must be there to be missed elsewhere"
    )
    assert not [alert for alert in own if "Shelf" in alert.title + alert.text + alert.what_to_do]


def test_an_event_that_nobody_understands_keeps_no_later_one_from_being_heard(world: World) -> None:
    """Here, by hand: one odd payload, and no alert of any kind was raised any more."""
    emit(Tag.SNAPSHOT_SUSPICIOUS, subject_type="snapshot", subject_id="x", payload={"vault": "?"}, clock=world.clock)
    world.ended(world.backup(), "failed")
    read(clock=world.clock)
    assert open_keys() == ["backup.failed"]


def test_one_odd_row_silences_no_other_kind_of_alert(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(clock: Any) -> Any:
        raise ValueError("odd row")

    monkeypatch.setitem(watch._FAMILIES, "vault.overdue:", odd)
    Copy.unscoped.update(state="damaged")
    with pytest.raises(ValueError, match="odd row"):
        watch.conditions_watch(clock=world.clock)
    assert "copies.damaged" in open_keys()
