"""Every byte of every copy is read within the week, whatever else goes on; and damage is over only when it was proved.

Met first in zerobyte #273 and #377, backrest #75: verification that had stopped, and pages that stayed green.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backups.engine.format import BlobType
from backups.engine.restore.browse import walk_tree
from backups.models import Copy, DamagedFile, Job, Snapshot, Vault
from backups.services import checking, checks
from backups.services.backups import backup_request
from backups.services.browsing import snapshot_browse
from backups.services.checks import CHECK_EVERY, PARTS, RETRY_AFTER, check_request, checks_enqueue_due
from backups.services.damage import damage_found, damaged_names
from backups.services.jobs import job_enqueue
from backups.services.recovery_reader import open_for_recovery
from backups.services.schedule import enqueue_due
from backups.services.vaults import vault_secret
from backups.states import CopyState, JobState
from backups.worker import RUNNERS, JobContext, Outcome, run_next
from tests.restic import stock
from tests.stories.test_copies_are_checked import rot
from wedbackup.core.clock import ManualClock

DAY = timedelta(days=1).total_seconds()


def work(clock: ManualClock) -> None:
    while run_next("test", clock=clock) is not None:
        pass


def store_nothing(context: JobContext) -> Outcome:
    return Outcome(JobState.COMPLETED, "Nothing has changed.")


def folder(vault: Vault, copy: Copy) -> Path:
    return Path(copy.location.options["root"]) / str(vault.pk)


def copies(vault: Vault) -> list[Copy]:
    return list(Copy.unscoped.filter(vault=vault).select_related("location", "vault__organisation", "vault__wedding"))


@pytest.fixture
def saved(vault: Vault, clock: ManualClock) -> Vault:
    backup_request(vault=vault, reason="test", clock=clock)
    work(clock)
    return vault


def rotten(vault: Vault) -> str:
    """Turn a bit over in the same pack at every copy; return its name."""
    return {
        rot(folder(vault, copy), "data").relative_to(folder(vault, copy)).as_posix() for copy in copies(vault)
    }.pop()


@pytest.mark.django_db(transaction=True)
def test_in_forty_days_with_four_backups_each_every_copy_is_read_in_each_window(
    saved: Vault, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """truth-web 1: the first check ever of a vault, and any backup since yesterday, put the reading off for good."""
    monkeypatch.setitem(RUNNERS, Job.Kind.BACKUP, f"{__name__}.store_nothing")  # what is asked is what is queued when
    read: dict[int, list[int]] = {copy.pk: [] for copy in copies(saved)}
    sampled: dict[int, set[int]] = {copy.pk: set() for copy in copies(saved)}
    monkeypatch.setattr(checks, "_proves_at_rest", lambda location: False)

    for day in range(40):
        for _ in range(4):
            clock.advance(DAY / 4)
            enqueue_due(clock=clock)
            work(clock)
        for job in Job.unscoped.filter(kind=Job.Kind.CHECK, finished_at__gt=clock.utcnow() - timedelta(days=1)):
            if job.parameters["read_data"]:
                read[job.parameters["copy"]].append(day)
            elif job.parameters["sample"]:
                sampled[job.parameters["copy"]].add(day)
    assert Job.unscoped.filter(kind=Job.Kind.BACKUP, state=JobState.COMPLETED).count() >= 150
    for copy in copies(saved):
        for start in range(33):
            assert any(start <= day < start + 8 for day in read[copy.pk]), f"not read in the week from day {start}"
        assert len(sampled[copy.pk] | set(read[copy.pk])) >= 38  # something of it every day, to the end


@pytest.mark.django_db(transaction=True)
def test_damage_that_nobody_could_repair_is_not_forgotten_by_a_catch_up_or_a_look_at_the_structure(
    saved: Vault, clock: ManualClock
) -> None:
    """truth-engine E1: the next catch-up compared names and sizes and called the copy current, the wedding safe."""
    name = rotten(saved)
    check_request(copies(saved), read_data=True, clock=clock)
    work(clock)
    assert {copy.state for copy in copies(saved)} == {CopyState.DAMAGED}

    for copy in copies(saved):
        job_enqueue(
            kind=Job.Kind.CATCH_UP,
            organisation=saved.organisation,
            vault=saved,
            priority=1,
            parameters={"copy": copy.pk},
            clock=clock,
        )
    check_request(copies(saved), read_data=False, clock=clock)
    work(clock)

    assert Job.unscoped.filter(kind=Job.Kind.CATCH_UP, state=JobState.DEGRADED).count() == 3
    assert {copy.state for copy in copies(saved)} == {CopyState.DAMAGED}
    assert all(name in damaged_names(copy) for copy in copies(saved))


@pytest.mark.django_db(transaction=True)
def test_what_is_lost_for_good_is_named_and_the_newer_states_are_safe_again(
    saved: Vault, clock: ManualClock, photos: Path
) -> None:
    """truth-engine E1, E2: rot at every copy, and the source has nothing of it any more."""
    rotten(saved)
    for path in photos.rglob("*"):
        if path.is_file():
            path.unlink()
            path.with_suffix(".new").write_text(path.name)
    check_request(copies(saved), read_data=True, clock=clock)
    work(clock)
    older = Snapshot.unscoped.get(vault=saved)
    assert len(older.lost_files) == 1  # one bit, one file; it is named before anything is mended

    clock.advance(60)
    backup_request(vault=saved, reason="test", clock=clock)
    work(clock)

    assert {copy.state for copy in copies(saved)} == {CopyState.CURRENT}
    older.refresh_from_db()
    newest = Snapshot.unscoped.filter(vault=saved).first()
    assert newest is not None and not newest.lost_files and newest.acknowledged_at is not None
    assert len(older.lost_files) == 1 and not older.confirmations.exists()
    job = Job.unscoped.filter(kind=Job.Kind.CHECK).latest("finished_at")
    assert job.state == JobState.DEGRADED
    assert f"1 file is readable in no place: {older.lost_files[0]}. They belong to 1 older state." in job.message

    prune = job_enqueue(
        kind=Job.Kind.PRUNE, organisation=saved.organisation, vault=saved, priority=1, parameters={}, clock=clock
    )
    work(clock)
    prune.refresh_from_db()
    assert prune.state == JobState.COMPLETED, prune.message  # what is lost holds no clean-up up for years


@pytest.mark.django_db(transaction=True)
def test_damage_that_a_recovery_or_a_look_meets_is_noted_and_repaired(saved: Vault, clock: ManualClock) -> None:
    """use F3: a recovery met 14 unreadable pieces, and afterwards every line still read "complete"."""
    snapshot = Snapshot.unscoped.get(vault=saved)
    (copy, *_) = copies(saved)
    name = rot(folder(saved, copy), "data").relative_to(folder(saved, copy)).as_posix()
    browser = snapshot_browse(snapshot, clock=clock)
    pieces = [blob for _, node in walk_tree(browser.reader, browser.tree) for blob in node.content]
    node = replace(browser.locate(b""), content=pieces, size=4_000_000, subtree=None)
    browser.read(node, offset=0, length=4_000_000)
    copy.refresh_from_db()
    assert copy.state == CopyState.DAMAGED and damaged_names(copy) == {name}
    work(clock)
    copy.refresh_from_db()
    assert copy.state == CopyState.CURRENT

    rot(folder(saved, copy), "data")
    with open_for_recovery(snapshot, clock=clock) as (reader, _):
        assert all(plain is not None for _, plain in reader.read_blobs(BlobType.DATA, pieces))
    copy.refresh_from_db()
    assert copy.state == CopyState.DAMAGED
    work(clock)
    copy.refresh_from_db()
    assert copy.state == CopyState.CURRENT


@pytest.mark.django_db(transaction=True)
def test_damage_that_is_said_of_a_whole_file_is_over_when_it_was_read(saved: Vault, clock: ManualClock) -> None:
    copy = copies(saved)[0]
    pack = next(path for path in (folder(saved, copy) / "data").rglob("*") if path.is_file())
    (job,) = damage_found(copy, {f"data/{pack.name[:2]}/{pack.name}": "met by a download"}, clock=clock)
    assert damage_found(copy, {f"data/{pack.name[:2]}/{pack.name}": "met again"}, clock=clock) == []
    copy.refresh_from_db()
    assert copy.state == CopyState.DAMAGED
    assert job.parameters["read_data"]
    work(clock)
    copy.refresh_from_db()
    assert copy.state == CopyState.CURRENT
    assert not DamagedFile.unscoped.exists()


@pytest.mark.django_db(transaction=True)
def test_a_reading_that_failed_is_tried_again_within_hours(
    saved: Vault, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """truth-web 2: 18 of 18 checks failed in 9 days, and each vault waited a day for its next."""
    clock.advance(CHECK_EVERY.total_seconds())
    (copy, *_) = copies(saved)
    with monkeypatch.context() as patch:
        patch.setattr(checking, "check", lambda *args, **options: 1 / 0)
        assert len(checks_enqueue_due(clock=clock)) == 3
        work(clock)
    assert Job.unscoped.filter(kind=Job.Kind.CHECK, state=JobState.FAILED).count() == 3
    assert checks_enqueue_due(clock=clock) == []
    clock.advance(RETRY_AFTER.total_seconds() + 1)
    assert len(checks_enqueue_due(clock=clock)) == 3
    work(clock)
    copy.refresh_from_db()
    assert copy.verified_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_large_copy_is_read_part_by_part_and_every_pack_within_the_window(
    saved: Vault, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """restic's --read-data-subset n/t, on the rhythm of the product: a terabyte is not read in one go."""
    monkeypatch.setattr(checks, "PARTS_FROM_BYTES", 1)
    read: dict[int, int] = {copy.pk: 0 for copy in copies(saved)}
    packs = {
        copy.pk: sum(path.is_file() for path in (folder(saved, copy) / "data").rglob("*")) for copy in copies(saved)
    }
    clock.advance(CHECK_EVERY.total_seconds())
    began = clock.utcnow()
    for _ in range(PARTS):
        checks_enqueue_due(clock=clock)
        work(clock)
        clock.advance(DAY)
    for job in Job.unscoped.filter(kind=Job.Kind.CHECK):
        read[job.parameters["copy"]] += job.result["packs"]
    assert read == packs
    assert {copy.verified_at for copy in copies(saved)} == {began}  # not when it ended: what came first is the oldest


@pytest.mark.django_db(transaction=True)
def test_what_is_rotten_at_every_copy_is_stored_again_from_the_intact_source(
    saved: Vault, clock: ManualClock, tmp_path: Path
) -> None:
    """kopia #3492, restic #828, #3023: the advice promised it, and two backups later the same bytes were rotten."""
    rotten(saved)
    check_request(copies(saved)[:1], read_data=True, clock=clock)
    work(clock)
    check_request(copies(saved), read_data=True, clock=clock)
    work(clock)
    assert {copy.state for copy in copies(saved)} == {CopyState.DAMAGED}

    clock.advance(60)
    backup_request(vault=saved, reason="test", clock=clock)
    work(clock)  # the checks as well, that prove it

    assert {copy.state for copy in copies(saved)} == {CopyState.CURRENT}
    assert not DamagedFile.unscoped.exists()
    newest = Snapshot.unscoped.filter(vault=saved).first()
    assert newest is not None and newest.acknowledged_at is not None
    for copy in copies(saved):
        stock.check(folder(saved, copy), vault_secret(saved))


@pytest.mark.django_db(transaction=True)
def test_packs_that_vanished_at_one_place_are_told_of_by_the_next_backup(saved: Vault, clock: ManualClock) -> None:
    """truth-web 11: "stored in 3 places, all confirmed" was said of packs that a lifecycle rule had removed."""
    copy = copies(saved)[1]
    for pack in (folder(saved, copy) / "data").glob("*/*"):
        pack.unlink()
    backup_request(vault=saved, reason="test", clock=clock)
    work(clock)
    job = Job.unscoped.filter(kind=Job.Kind.BACKUP).latest("created_at")
    assert job.state == JobState.DEGRADED and f"At {copy.location.name} 2 files had vanished" in job.message
    stock.check(folder(saved, copy), vault_secret(saved))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("places", [1, 3])
def test_states_that_vanished_are_told_of_by_the_next_backup(saved: Vault, clock: ManualClock, places: int) -> None:
    """Whoever gets at a key that may delete: all snapshots gone, "all confirmed", and the old states still safe.

    At one place they come back from the others and it is said; gone everywhere, the state is called lost.
    """
    old = Snapshot.unscoped.get(vault=saved)
    for copy in copies(saved)[:places]:
        for file in (folder(saved, copy) / "snapshots").iterdir():
            file.unlink()
    backup_request(vault=saved, reason="test", clock=clock)
    work(clock)
    job = Job.unscoped.filter(kind=Job.Kind.BACKUP).latest("created_at")
    told = "another copy gave them again" if places == 1 else "1 could not be put again yet"
    assert job.state == JobState.DEGRADED
    assert job.message.count("1 file had vanished; " + told) == places
    old.refresh_from_db()
    assert bool(old.lost_count) == (places == 3)
    for copy in copies(saved):
        assert copy.state == CopyState.CURRENT
        stock.check(folder(saved, copy), vault_secret(saved))
