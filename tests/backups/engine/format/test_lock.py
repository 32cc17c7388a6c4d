from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backups.engine.errors import Locked
from backups.engine.format import FileKind
from backups.engine.format.lock import STALE_SECONDS, LockedBy, LockLost, hold_lock
from backups.engine.format.lockfile import remove_abandoned
from backups.engine.format.repository import Repository
from providers.stores.errors import LocationFull, StoreUnavailable
from providers.stores.memory import MemoryStore
from tests.backups.engine.places import PREFIX, fresh_vault, make_place
from wedbackup.core.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def vault() -> Repository:
    return Repository.create(MemoryStore(), PREFIX, fresh_vault())


def locks(vault: Repository) -> list[str]:
    return [file_id for file_id, _ in vault.files(FileKind.LOCKS)]


def plant(vault: Repository, clock: ManualClock, *, exclusive: bool, host: str = "studio-mac", pid: int = 7) -> str:
    """Leave a lock file as another client would."""
    document = {
        "time": clock.utcnow().isoformat(),
        "exclusive": exclusive,
        "hostname": host,
        "username": "ana",
        "pid": pid,
    }
    return vault.save_document(FileKind.LOCKS, document)


def test_our_lock_lies_at_every_location_while_we_work_and_is_gone_afterwards(clock: ManualClock) -> None:
    new = fresh_vault()
    copies = [Repository.create(MemoryStore(), PREFIX, new) for _ in range(3)]
    with hold_lock(copies, clock=clock) as hold:
        assert [len(locks(copy)) for copy in copies] == [1, 1, 1]
        hold.confirm()
    assert [len(locks(copy)) for copy in copies] == [0, 0, 0]


def test_the_second_look_waits_only_for_what_is_left_of_the_200_ms(vault: Repository, clock: ManualClock) -> None:
    with hold_lock([vault], clock=clock) as hold:
        clock.advance(0.15)
        hold.confirm()
        assert clock.slept == [pytest.approx(0.05)]
        hold.confirm()
        assert len(clock.slept) == 1


@pytest.mark.parametrize(
    ("theirs", "ours", "refused"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, True)],
)
def test_a_foreign_lock_refuses_us_exactly_when_one_side_wants_to_be_alone(
    vault: Repository, clock: ManualClock, theirs: bool, ours: bool, refused: bool
) -> None:
    plant(vault, clock, exclusive=theirs)
    if not refused:
        with hold_lock([vault], exclusive=ours, clock=clock):
            return
    with pytest.raises(LockedBy, match="ana@studio-mac") as caught, hold_lock([vault], exclusive=ours, clock=clock):
        pytest.fail("worked in spite of the lock")
    assert caught.value.repository is vault
    assert len(locks(vault)) == 1, "only the foreign lock is left"


def test_a_lock_that_appears_while_we_work_stops_us_before_we_publish(vault: Repository, clock: ManualClock) -> None:
    with pytest.raises(LockedBy), hold_lock([vault], clock=clock) as hold:
        plant(vault, clock, exclusive=True)
        hold.confirm()


def test_a_lock_silent_for_thirty_minutes_is_removed(vault: Repository, clock: ManualClock) -> None:
    plant(vault, clock, exclusive=True)
    clock.advance(STALE_SECONDS + 1)
    with hold_lock([vault], exclusive=True, clock=clock):
        assert len(locks(vault)) == 1
    assert locks(vault) == []


def test_the_lock_of_a_killed_process_of_this_machine_does_not_hold_us_up(
    vault: Repository, clock: ManualClock
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    plant(vault, clock, exclusive=True, host=socket.gethostname(), pid=ended.pid)
    plant(vault, clock, exclusive=True, host=socket.gethostname(), pid=os.getpid())  # a namesake before our start
    with hold_lock([vault], exclusive=True, clock=clock):
        pass
    assert locks(vault) == []


def test_two_jobs_of_one_process_respect_each_other(vault: Repository, clock: ManualClock) -> None:
    with hold_lock([vault], clock=clock), pytest.raises(LockedBy), hold_lock([vault], exclusive=True, clock=clock):
        pytest.fail("both worked")


@pytest.mark.parametrize("content", [b"", b"half a lo"], ids=["no bytes", "half of it"])
def test_an_unreadable_lock_file_stands_in_the_way_of_exclusive_work_only_and_only_for_a_while(
    vault: Repository, clock: ManualClock, content: bytes
) -> None:
    """restic #4143, #2014: such a file barred the place from forget and prune for ever."""
    vault.store.put(vault.name(FileKind.LOCKS, "ab" * 32), content)
    with hold_lock([vault], clock=clock) as hold:
        hold.confirm()
    with pytest.raises(LockedBy, match="cannot be read"), hold_lock([vault], exclusive=True, clock=clock):
        pytest.fail("worked")
    clock.advance(STALE_SECONDS + 1)
    with hold_lock([vault], exclusive=True, clock=clock):
        assert len(locks(vault)) == 1, "only ours is left"


def test_a_lock_that_was_dated_years_ahead_holds_nobody_up_for_years(vault: Repository, clock: ManualClock) -> None:
    """restic #4152: written while a clock was wrong, it would have counted until that day."""
    clock.jump(400 * 86_400)
    plant(vault, clock, exclusive=True)
    clock.jump(-400 * 86_400)
    with pytest.raises(LockedBy), hold_lock([vault], exclusive=True, clock=clock):
        pytest.fail("its holder may live: it was not watched for long enough")
    clock.advance(STALE_SECONDS + 1)
    with hold_lock([vault], exclusive=True, clock=clock):
        assert len(locks(vault)) == 1


def test_an_unreadable_lock_that_is_old_by_the_stores_own_clock_is_removed_at_once(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Nobody has to wait for this process to watch it, as after a start of the server."""
    place = make_place(tmp_path)
    vault = Repository.create(place.store, PREFIX, fresh_vault())
    vault.store.put(vault.name(FileKind.LOCKS, "ab" * 32), b"")
    hour_ago = place.path.stat().st_mtime - 3600
    os.utime(place.path / "locks" / ("ab" * 32), (hour_ago, hour_ago))
    with hold_lock([vault], exclusive=True, clock=clock):
        assert len(locks(vault)) == 1


def test_a_jump_of_the_clock_makes_no_unreadable_lock_old(vault: Repository, clock: ManualClock) -> None:
    vault.store.put(vault.name(FileKind.LOCKS, "ab" * 32), b"")
    for jump in (0, 365 * 86_400, -2 * 365 * 86_400):
        clock.jump(jump)
        with pytest.raises(LockedBy), hold_lock([vault], exclusive=True, clock=clock):
            pytest.fail("worked")


def test_a_person_may_remove_what_nobody_holds_but_not_what_works_here(vault: Repository, clock: ManualClock) -> None:
    vault.store.put(vault.name(FileKind.LOCKS, "ab" * 32), b"")
    foreign = plant(vault, clock, exclusive=True)
    careful = remove_abandoned(vault, by_force=False, clock=clock)
    assert not careful.removed and len(careful.left) == 2
    assert set(remove_abandoned(vault, by_force=True, clock=clock).removed) == {"ab" * 32, foreign}
    with hold_lock([vault], clock=clock):
        assert not remove_abandoned(vault, by_force=True, clock=clock).removed, "our own work is under way"


def test_refreshing_replaces_the_lock_by_a_younger_one(vault: Repository, clock: ManualClock) -> None:
    with hold_lock([vault], clock=clock) as hold:
        before = locks(vault)
        clock.advance(300)
        hold.refresh()
        after = locks(vault)
        assert len(after) == 1 and after != before
        assert vault.load_document(FileKind.LOCKS, after[0])["time"].startswith("2026-06-12T12:05:00")


def test_a_thread_refreshes_by_itself(vault: Repository, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed = threading.Event()
    save = vault.save_document
    calls: list[FileKind] = []

    def saving(kind: FileKind, document: dict[str, object]) -> str:
        calls.append(kind)
        if len(calls) > 2:
            refreshed.set()
        return save(kind, document)

    monkeypatch.setattr(vault, "save_document", saving)
    with hold_lock([vault], clock=clock, refresh_seconds=0.001):
        assert refreshed.wait(20)
    assert locks(vault) == []


class Unreachable(MemoryStore):
    def put(self, name: str, content: object, *, sha256: str | None = None) -> object:  # type: ignore[override]
        raise StoreUnavailable("the line is cut")


def test_a_location_that_does_not_answer_is_noted_but_stops_only_exclusive_work(clock: ManualClock) -> None:
    new = fresh_vault()
    good, bad = Repository.create(MemoryStore(), PREFIX, new), Repository(Unreachable(), PREFIX, new.master, new.config)
    with hold_lock([good, bad], clock=clock) as hold:
        hold.confirm()
        assert [(copy, str(reason)) for copy, reason in hold.failures] == [(bad, "the line is cut")]
    with pytest.raises(StoreUnavailable), hold_lock([good, bad], exclusive=True, clock=clock):
        pytest.fail("worked")
    assert locks(good) == []


def test_work_is_not_published_under_a_lock_that_others_may_take_for_stale(
    vault: Repository, clock: ManualClock
) -> None:
    with pytest.raises(Locked, match="others may work there"), hold_lock([vault], clock=clock) as hold:
        clock.advance(STALE_SECONDS)
        hold.confirm()


def test_a_location_that_dies_for_an_hour_takes_no_other_down_with_it(clock: ManualClock) -> None:
    """restic #4199, #4274: after 25 minutes the whole backup failed, whose lock was fresh everywhere else."""
    new = fresh_vault()
    good = Repository.create(MemoryStore(), PREFIX, new)
    dying = Repository.create(Dying(), PREFIX, new)
    with hold_lock([good, dying], clock=clock) as hold:
        dying.store.is_dead = True  # type: ignore[attr-defined]
        for _ in range(12):
            clock.advance(300)
            hold.refresh()
        with pytest.raises(LockLost, match="3600 s ago") as caught:
            hold.confirm()
        assert caught.value.repository is dying
        hold.leave(dying)
        hold.confirm()
    assert locks(good) == []


class Dying(MemoryStore):
    is_dead = False

    def put(self, name: str, content: object, *, sha256: str | None = None) -> object:  # type: ignore[override]
        if self.is_dead:
            raise StoreUnavailable("the disk is gone")
        return super().put(name, content, sha256=sha256)  # type: ignore[arg-type]


class Full(MemoryStore):
    is_full = False

    def put(self, name: str, content: object, *, sha256: str | None = None) -> object:  # type: ignore[override]
        if self.is_full:
            raise LocationFull("no space left")
        return super().put(name, content, sha256=sha256)  # type: ignore[arg-type]


def test_a_full_location_can_be_held_for_deleting_without_room_for_a_lock(clock: ManualClock) -> None:
    """restic #1153: a full disk cannot be made room on, because the lock does not fit."""
    vault = Repository.create(Full(), PREFIX, fresh_vault())
    vault.store.is_full = True  # type: ignore[attr-defined]
    with pytest.raises(LocationFull), hold_lock([vault], exclusive=True, clock=clock):
        pytest.fail("worked")
    with hold_lock([vault], exclusive=True, full_too=True, clock=clock) as hold:
        clock.advance(2 * STALE_SECONDS)
        hold.confirm()
    vault.store.is_full = False  # type: ignore[attr-defined]
    plant(vault, clock, exclusive=False)
    vault.store.is_full = True  # type: ignore[attr-defined]
    with pytest.raises(LockedBy), hold_lock([vault], exclusive=True, full_too=True, clock=clock):
        pytest.fail("somebody reads there")


def test_the_lock_document_has_the_fields_restic_reads(vault: Repository, clock: ManualClock, tmp_path: Path) -> None:
    with hold_lock([vault], exclusive=True, clock=clock):
        document = vault.load_document(FileKind.LOCKS, locks(vault)[0])
    assert json.loads(json.dumps(document)).keys() == {
        "time", "exclusive", "hostname", "username", "pid", "uid", "gid",
    }  # fmt: skip
