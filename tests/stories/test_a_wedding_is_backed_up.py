"""From a folder to three places that stock restic trusts, and what happens when a place, the source or a key is lost.

source/media --read once--> engine --+--> Folder one
                                     +--> Folder two     each a complete restic repository
                                     +--> Folder three
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from backups.models import Copy, Job, Policy, Snapshot, SnapshotCopy
from backups.services import backups
from backups.services.backups import backup_request
from backups.services.moves import LeaseLost
from backups.services.vaults import vault_secret
from backups.states import CopyState, JobState
from providers.models import Location
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, StoreFault
from tests.backups.ground import Ground, break_place, contents, fill
from tests.restic import stock
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.sealing import create_key_file

FOLDERS_ABOVE_BYTES = 4096  # trees of the folders above the source, /tmp among them, are new whenever those change


@pytest.mark.stock
def test_a_wedding_is_backed_up_to_three_places_and_stock_restic_restores_each(ground: Ground, tmp_path: Path) -> None:
    vault = ground.vault()

    job = ground.back_up(vault)

    assert job.state == JobState.COMPLETED, job.message
    assert "13 files" in job.message
    assert "stored in 3 places, all confirmed." in job.message
    assert "All 3 places are on one machine" in job.message
    snapshot = Snapshot.unscoped.get(vault=vault)
    assert snapshot.acknowledged_at is not None
    assert SnapshotCopy.objects.filter(snapshot=snapshot).count() == 3
    assert set(Copy.unscoped.filter(vault=vault).values_list("state", flat=True)) == {CopyState.CURRENT}
    for place in range(3):
        restored = ground.stock_restores(vault, place, tmp_path / f"restored {place}")
        assert contents(restored) == contents(ground.source())


def test_an_unchanged_wedding_costs_a_snapshot_and_nothing_else(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    packs = sorted((ground.repository(vault, 0) / "data").glob("*/*"))

    job = ground.back_up(vault)

    assert job.state == JobState.COMPLETED
    assert job.result["bytes_new"] < FOLDERS_ABOVE_BYTES
    assert len(sorted((ground.repository(vault, 0) / "data").glob("*/*"))) <= len(packs) + 1
    assert Snapshot.unscoped.filter(vault=vault, acknowledged_at__isnull=False).count() == 2


@pytest.mark.stock
def test_a_lost_place_does_not_stop_the_backup_and_is_caught_up_when_it_returns(ground: Ground, tmp_path: Path) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    away = Path(ground.locations[2].options["root"])
    away.rename(tmp_path / "unplugged")
    (ground.source() / "new.txt").write_text("a late speech")

    job = ground.back_up(vault)

    assert job.state == JobState.DEGRADED
    assert "stored in 2 places only, not safe yet; missing at Folder 3." in job.message
    newest = Snapshot.unscoped.filter(vault=vault).first()
    assert newest is not None and newest.acknowledged_at is None
    assert Copy.unscoped.get(vault=vault, location=ground.locations[2]).state == CopyState.UNREACHABLE

    (tmp_path / "unplugged").rename(away)
    catch_up = ground.run(Job.unscoped.get(kind=Job.Kind.CATCH_UP))

    assert catch_up.state == JobState.COMPLETED, catch_up.message
    assert "One more snapshot is safe now." in catch_up.message
    newest.refresh_from_db()
    assert newest.acknowledged_at is not None
    restored = ground.stock_restores(vault, 2, tmp_path / "restored")
    assert contents(restored) == contents(ground.source())


@pytest.mark.stock
def test_a_place_that_fills_up_in_the_middle_is_left_out_and_stays_whole(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    fill(ground.source(), files=30)
    full = StoreFault(Effect.FULL, operation=Operation.PUT, match="data/", times=None)
    break_place(monkeypatch, ground.locations[1], full)

    job = ground.back_up(vault)

    assert full.hits
    assert job.state == JobState.DEGRADED
    assert "Folder 2" in job.message
    assert "full" in job.advice
    stock.check(ground.repository(vault, 1), vault_secret(vault))
    for place in (0, 2):
        restored = ground.stock_restores(vault, place, tmp_path / f"restored {place}")
        assert contents(restored) == contents(ground.source())


def test_with_no_place_left_the_backup_waits_in_the_queue(ground: Ground) -> None:
    vault = ground.vault()
    for place in range(3):
        ground.lose(place)

    job = ground.back_up(vault)

    assert job.state == JobState.QUEUED
    assert job.run_after > job.created_at
    assert not Snapshot.unscoped.filter(vault=vault).exists()


def test_a_full_place_is_not_taken_for_a_dead_one(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = ground.vault()
    full = StoreFault(Effect.FULL, operation=Operation.PUT, match="data/", times=None)
    break_place(monkeypatch, ground.locations[0], full)

    for number in range(3):  # one more than the failures that open a breaker
        (ground.source() / f"late {number}.txt").write_text(f"speech {number}")
        assert "Folder 1" in ground.back_up(vault).result["missing"]

    assert full.hits >= 3
    assert Location.objects.get(pk=ground.locations[0].pk).breaker == Location.Breaker.CLOSED


def test_a_place_left_alone_by_its_breaker_is_a_failed_destination_not_a_failed_job(ground: Ground) -> None:
    vault = ground.vault()
    now = SYSTEM_CLOCK.utcnow()
    Location.objects.filter(pk=ground.locations[0].pk).update(
        breaker="open", breaker_failures=2, breaker_changed_at=now
    )
    Location.objects.filter(pk=ground.locations[1].pk).update(enabled=False)

    job = ground.back_up(vault)

    assert job.state == JobState.DEGRADED
    assert set(job.result["missing"]) == {"Folder 1", "Folder 2"}
    assert SnapshotCopy.objects.get().copy.location == ground.locations[2]


def test_three_folders_on_one_disk_are_never_acknowledged_whatever_the_policy_says(ground: Ground) -> None:
    ground.share_a_disk()
    Policy.objects.update(failure_domains_needed=1)
    vault = ground.vault()

    job = ground.back_up(vault)

    assert job.state == JobState.COMPLETED
    assert not job.result["acknowledged"]
    assert "3 copies in 2 failure domains" in job.advice


def test_a_source_that_vanished_makes_the_vault_suspicious(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    shutil.rmtree(ground.source())

    job = ground.back_up(vault)

    assert job.state == JobState.FAILED
    assert "connect it again" in job.advice
    vault.refresh_from_db()
    assert vault.suspicion
    assert Snapshot.unscoped.filter(vault=vault).count() == 1


def test_a_shrunk_source_is_never_green_not_even_at_the_second_look(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    for file in list(ground.source().rglob("*.jpg"))[:10]:
        file.unlink()

    for _ in range(2):
        job = ground.back_up(vault)
        assert job.state == JobState.DEGRADED
        assert "media: 3 of 13 files are there" in job.message
    vault.refresh_from_db()
    assert "3 of 13 files" in vault.suspicion

    fill(ground.source())
    assert ground.back_up(vault).state == JobState.COMPLETED
    vault.refresh_from_db()
    assert vault.suspicion == ""


@pytest.mark.parametrize("how", ["missing", "another"])
def test_without_the_right_key_file_nothing_is_written_and_the_message_says_what_to_do(
    ground: Ground, how: str, settings: Any
) -> None:
    vault = ground.vault()
    settings.KEY_FILE.unlink()
    if how == "another":
        create_key_file(settings.KEY_FILE)

    job = ground.back_up(vault)

    assert job.state == JobState.FAILED
    assert "key file" in job.message.lower()
    assert "Put the key file back" in job.advice
    assert not ground.repository(vault, 0).exists()


def test_a_vault_without_a_source_says_so(ground: Ground) -> None:
    vault = ground.vault()
    vault.sources.all().delete()
    job = ground.back_up(vault)
    assert job.state == JobState.FAILED
    assert "no source folder" in job.message


@pytest.mark.stock
def test_a_worker_that_dies_before_it_can_record_leaves_nothing_false_and_its_work_is_used(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vault = ground.vault()
    taken_over = []

    def die(*args: Any, **kwargs: Any) -> Any:
        taken_over.append(True)
        raise LeaseLost("the process is killed here")

    with monkeypatch.context() as patch:
        patch.setattr(backups, "backup_record", die)
        job = ground.back_up(vault)
    assert taken_over
    assert not Snapshot.unscoped.filter(vault=vault).exists()
    Job.unscoped.filter(pk=job.pk).update(state=JobState.QUEUED, lease_owner="", lease_expires_at=None)
    job.refresh_from_db()

    ground.run(job)

    assert job.state == JobState.COMPLETED, job.message
    assert job.result["bytes_new"] < FOLDERS_ABOVE_BYTES
    newest, adopted = Snapshot.unscoped.filter(vault=vault)
    assert newest.acknowledged_at is not None
    assert adopted.number < newest.number, "what the killed run published is known, and expires like everything else"
    assert contents(ground.stock_restores(vault, 0, tmp_path / "restored")) == contents(ground.source())


def test_a_vault_is_not_queued_twice(ground: Ground) -> None:
    vault = ground.vault()
    first = backup_request(vault=vault, reason="one")
    assert backup_request(vault=vault, reason="two") == first


def test_documents_and_guests_are_queued_before_the_pictures(ground: Ground) -> None:
    for name in ("media", "guests", "documents"):
        ground.vault(name)
    jobs = backup_request(wedding=ground.wedding, reason="test")
    assert [job.vault.protection_class for job in jobs if job.vault] == ["documents", "guests", "media"]
    assert [job.priority for job in jobs] == sorted(job.priority for job in jobs)
