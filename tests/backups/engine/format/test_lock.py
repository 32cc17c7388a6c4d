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
from backups.engine.format.lock import STALE_SECONDS, LockedBy, hold_lock
from backups.engine.format.repository import Repository
from providers.stores.errors import StoreUnavailable
from providers.stores.memory import MemoryStore
from tests.backups.engine.places import PREFIX, fresh_vault
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


def test_an_unreadable_lock_file_stands_in_the_way_of_exclusive_work_only(
    vault: Repository, clock: ManualClock
) -> None:
    vault.store.put(vault.name(FileKind.LOCKS, "ab" * 32), b"half a lo")
    with hold_lock([vault], clock=clock) as hold:
        hold.confirm()
    with pytest.raises(LockedBy, match="cannot be read"), hold_lock([vault], exclusive=True, clock=clock):
        pytest.fail("worked")


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
    with pytest.raises(Locked, match="others may work here"), hold_lock([vault], clock=clock) as hold:
        clock.advance(STALE_SECONDS)
        hold.confirm()


def test_the_lock_document_has_the_fields_restic_reads(vault: Repository, clock: ManualClock, tmp_path: Path) -> None:
    with hold_lock([vault], exclusive=True, clock=clock):
        document = vault.load_document(FileKind.LOCKS, locks(vault)[0])
    assert json.loads(json.dumps(document)).keys() == {
        "time", "exclusive", "hostname", "username", "pid", "uid", "gid",
    }  # fmt: skip
