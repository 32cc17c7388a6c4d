from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backups.engine.backup import crew as backup_crew
from backups.engine.backup import fanout, opening
from backups.engine.errors import Cancelled, TooFewCopies
from backups.engine.format import FileKind, format_time, lock, to_nanoseconds
from backups.engine.format.lock import LockHold, hold_lock
from backups.engine.format.repository import Repository
from backups.engine.progress import CancelToken, Progress
from providers.stores.base import ObjectStore, Proof
from providers.stores.errors import NoAnswer
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from tests.backups.engine.backing import Interposed, LaterClock, Studio, read_files
from tests.backups.engine.places import PREFIX, SECRET, Place, fresh_vault
from tests.restic import stock

noise = random.Random(3)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    studio = Studio(tmp_path, places=3)
    studio.write({f"{i}.raw": noise.randbytes(2_000_000) for i in range(24)})
    return studio


def failing(place: Place, **fault: object) -> FaultyStore:
    return FaultyStore(place.store, [StoreFault(times=None, **fault)])  # type: ignore[arg-type]


@pytest.mark.parametrize("from_bytes", [-1, 1 << 40], ids=["worker processes", "own thread"])
def test_a_place_that_dies_on_the_way_does_not_stop_the_others(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, from_bytes: int
) -> None:
    monkeypatch.setattr(backup_crew, "PROCESSES_FROM_BYTES", from_bytes)
    dying = failing(studio.places["b"], effect=Effect.FULL, operation=Operation.PUT, match="data/")
    seen: list[Progress] = []
    result = studio.backup(seen.append, stores={"b": dying}, needed=2)
    assert "injected fault: full" in result.outcomes["b"].error and not result.outcomes["b"].complete
    assert "injected fault: full" in seen[-1].location_errors["b"]
    assert [result.outcomes[key].complete for key in "ac"] == [True, True]
    assert result.outcomes["a"].proof is Proof.READ_BACK
    assert not studio.names("b", "snapshots") and not studio.names("b", "index")
    studio.check("ac")


class Advancing(LaterClock):
    """The machine's clock, moved on by the test."""

    ahead = 0.0

    def utcnow(self) -> Any:
        return super().utcnow() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def test_a_place_that_died_half_an_hour_ago_does_not_end_a_long_backup(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """restic #4199, #4274: its lock could not be refreshed, and the whole run failed after hours of uploading."""
    clock, holds = Advancing(), []

    @contextlib.contextmanager
    def noted(*args: Any, **options: Any) -> Iterator[LockHold]:
        with hold_lock(*args, **options) as hold:
            holds.append(hold)
            yield hold

    def half_an_hour_passes(name: str) -> None:
        for _ in range(0 if clock.ahead or "/data/" not in name else 6):
            clock.ahead += 300
            holds[0].refresh()

    monkeypatch.setattr(opening, "hold_lock", noted)
    dying = FaultyStore(
        studio.places["b"].store,
        [
            StoreFault(Effect.CUT, Operation.PUT, match="locks/", skip=1, times=None),
            StoreFault(Effect.CUT, Operation.PUT, match="data/", times=None),
        ],
    )
    slow = Interposed(studio.places["a"].store, half_an_hour_passes)
    result = studio.backup(stores={"a": slow, "b": dying}, needed=2, workers=0, clock=clock)
    assert clock.ahead == 1800 and all(fault.hits for fault in dying.plan)
    assert [result.outcomes[key].complete for key in "abc"] == [True, False, True]
    studio.check("ac")


def test_the_place_that_died_is_whole_after_the_next_run(studio: Studio) -> None:
    dying = failing(studio.places["b"], effect=Effect.CUT, operation=Operation.PUT, match="data/", skip=1)
    studio.backup(stores={"b": dying}, needed=2, workers=0)
    assert dying.hits
    result = studio.backup()
    assert result.bytes_read == 0 and all(outcome.complete for outcome in result.outcomes.values())
    assert studio.names("b", "data") == studio.names("a", "data")
    assert studio.names("b", "snapshots") == studio.names("a", "snapshots") and len(studio.names("b", "snapshots")) == 2
    studio.check()


def fail_in_turn(tmp_path: Path, missed: str, *operations: Operation) -> tuple[Studio, FaultyStore]:
    """Two places: the first misses files of a run, and the second, which alone has them, fails in the next."""
    studio = Studio(tmp_path, places=2)
    studio.write({"a.raw": noise.randbytes(300_000)})
    missing = failing(studio.places["a"], effect=Effect.CUT, operation=Operation.PUT, match=missed)
    studio.backup(stores={"a": missing}, needed=1)
    studio.write({"b.raw": noise.randbytes(300_000)})
    cut = [StoreFault(Effect.CUT, operation=operation, match="data/", times=None) for operation in operations]
    return studio, FaultyStore(studio.places["b"].store, cut)


@pytest.mark.parametrize("missed", ["data/", "index/"])
def test_what_a_place_missed_is_taken_from_one_that_cannot_be_written_to(tmp_path: Path, missed: str) -> None:
    """It was called complete without the packs of the run before: its snapshot could not be restored."""
    studio, failing_too = fail_in_turn(tmp_path, missed, Operation.PUT)
    outcomes = studio.backup(stores={"b": failing_too}, needed=1).outcomes
    assert failing_too.hits and [key for key in "ab" if outcomes[key].complete] == ["a"]
    studio.check("ab")


def test_a_place_that_lacks_what_only_another_has_is_not_complete_while_that_one_is_dead(tmp_path: Path) -> None:
    studio, dead = fail_in_turn(tmp_path, "data/", Operation.PUT, Operation.GET)
    with pytest.raises(TooFewCopies, match="older files could not be brought"):
        studio.backup(stores={"b": dead}, needed=1)
    assert dead.hits and not studio.names("a", "snapshots")
    studio.check("b")


def test_an_optional_place_that_lacks_packs_is_behind_and_shows_no_new_snapshot(studio: Studio) -> None:
    dying = failing(studio.places["c"], effect=Effect.DENIED, operation=Operation.PUT, match="data/")
    studio.backup(stores={"c": dying}, needed=2, workers=0)
    assert dying.hits
    studio.write({"late.txt": b"late"})
    result = studio.backup(optional="c", needed=2)
    assert result.outcomes["c"].behind > 0 and not result.outcomes["c"].complete
    assert not studio.names("c", "snapshots")
    caught_up = studio.backup()
    assert caught_up.outcomes["c"].complete
    studio.check()


def test_when_too_few_places_take_everything_nothing_becomes_visible(studio: Studio) -> None:
    dying = {
        key: failing(studio.places[key], effect=Effect.FULL, operation=Operation.PUT, match="data/", skip=1)
        for key in "ab"
    }
    with pytest.raises(TooFewCopies, match="1 of 2 copies") as caught:
        studio.backup(stores=dying, needed=2, workers=0)
    assert all(store.hits for store in dying.values())
    assert {"a", "b"} >= {key for key, outcome in caught.value.outcomes.items() if "full" in outcome.error} != set()
    for key in studio.places:
        assert not studio.names(key, "snapshots") and not studio.names(key, "index") and not studio.names(key, "locks")
    assert all(outcome.complete for outcome in studio.backup().outcomes.values())
    studio.check()


@pytest.mark.parametrize(
    ("operation", "match"),
    [(Operation.PUT, "index/"), (Operation.PUT, "snapshots/"), (Operation.LIST, "data/"), (Operation.PUT, "locks/")],
)
def test_whatever_fails_at_one_place_the_others_are_complete(studio: Studio, operation: Operation, match: str) -> None:
    dying = failing(studio.places["a"], effect=Effect.CUT, operation=operation, match=match)
    result = studio.backup(stores={"a": dying}, needed=2)
    assert dying.hits
    assert [result.outcomes[key].complete for key in "abc"] == [False, True, True]
    assert not studio.names("a", "snapshots")
    studio.check("bc")


def test_a_place_whose_folder_is_gone_is_not_made_again(studio: Studio) -> None:
    shutil.rmtree(studio.places["b"].root)
    result = studio.backup(needed=2)
    assert "is gone" in result.outcomes["b"].error
    assert not studio.places["b"].root.exists()


def test_a_place_with_another_vault_is_left_alone(studio: Studio) -> None:
    Repository.create(studio.places["b"].store, PREFIX, fresh_vault())
    before = studio.places["b"].files()
    result = studio.backup(needed=2)
    assert "does not open with this vault's key" in result.outcomes["b"].error
    assert studio.places["b"].files() == before


def test_a_new_place_is_given_all_older_snapshots(tmp_path: Path) -> None:
    studio = Studio(tmp_path, places=2)
    studio.write({"a.raw": noise.randbytes(100_000)})
    first = studio.backup(destinations=studio.request().destinations[:1], needed=1)
    result = studio.backup()
    assert all(outcome.complete for outcome in result.outcomes.values())
    studio.check()
    assert f"snapshots/{first.snapshot_id}" in studio.names("b", "snapshots")


def test_an_optional_place_that_hangs_is_left_behind(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "LAG_SECONDS", 0.1)
    monkeypatch.setattr(fanout, "FINISH_SECONDS", 0.1)
    go_on = threading.Event()
    hits: list[str] = []

    def hang(name: str) -> None:
        if "data/" in name:
            hits.append(name)
            go_on.wait(60)

    slow = Interposed(studio.places["c"].store, hang)
    try:
        result = studio.backup(stores={"c": slow}, optional="c", needed=2, workers=0)
    finally:
        go_on.set()
    assert hits and "left out of this run" in result.outcomes["c"].error and result.outcomes["c"].behind > 0
    assert [result.outcomes[key].complete for key in "abc"] == [True, True, False]
    studio.check("ab")


def test_packs_of_a_run_that_failed_are_not_sent_again(studio: Studio) -> None:
    dying = failing(studio.places["a"], effect=Effect.CUT, operation=Operation.PUT, match="index/")
    with pytest.raises(TooFewCopies):
        studio.backup(stores={"a": dying})
    assert dying.hits
    result = studio.backup()
    assert result.bytes_read == 48_000_000 and result.bytes_stored < 5000
    studio.check()


def test_a_damaged_leftover_is_not_adopted(studio: Studio) -> None:
    dying = {
        key: failing(place, effect=Effect.CUT, operation=Operation.PUT, match="index/")
        for key, place in studio.places.items()
    }
    with pytest.raises(TooFewCopies):
        studio.backup(stores=dying)
    assert all(store.hits for store in dying.values())
    for place in studio.places.values():
        name = max(place.files("data"), key=lambda name: len(place.files("data")[name]))
        content = bytearray(place.files("data")[name])
        content[1000] ^= 1
        place.overwrite(name, bytes(content))
    result = studio.backup()
    assert result.bytes_stored > 1_000_000
    repository = studio.places["a"].open()
    repository.load_index()
    assert len(read_files(studio.places["a"], result.tree, studio.source)) == 24


def test_a_pack_that_is_gone_everywhere_is_stored_anew_from_the_source(studio: Studio) -> None:
    studio.backup()
    name = max(studio.places["a"].files("data"), key=lambda name: len(studio.places["a"].files("data")[name]))
    for place in studio.places.values():
        os.unlink(place.path / name)
    result = studio.backup()
    assert result.packs_lost == 1 and result.bytes_stored > 1_000_000
    assert len(studio.read_back(result)) == 24
    studio.check()


def test_a_pack_that_one_place_lost_comes_back_from_another(studio: Studio) -> None:
    studio.backup()
    name = next(iter(studio.places["b"].files("data")))
    os.unlink(studio.places["b"].path / name)
    result = studio.backup()
    assert result.packs_lost == 0 and result.bytes_read == 0
    assert name in studio.names("b", "data")
    studio.check()


def test_index_and_snapshot_files_are_fetched_once(studio: Studio) -> None:
    studio.backup()
    studio.write({"late.txt": b"late"})
    studio.backup()
    denying = failing(studio.places["a"], effect=Effect.DENIED, operation=Operation.GET, match="index/")
    result = studio.backup(stores={"a": denying})
    assert result.bytes_read == 0 and result.outcomes["a"].complete and not denying.hits


def test_a_place_where_stock_restic_holds_an_exclusive_lock_is_left_out(studio: Studio) -> None:
    studio.backup()
    place = studio.places["b"].open()
    now = format_time(to_nanoseconds(studio.request().clock.utcnow()))
    lock = {"time": now, "exclusive": True, "hostname": "elsewhere", "username": "ana", "pid": 1}
    file_id = place.save_document(FileKind.LOCKS, lock)
    result = studio.backup(needed=2)
    assert "another program" in result.outcomes["b"].error
    assert studio.names("b", "locks") == {f"locks/{file_id}"}
    assert [result.outcomes[key].complete for key in "abc"] == [True, False, True]


def test_no_lock_and_no_temporary_file_is_left(studio: Studio) -> None:
    studio.backup()
    for place in studio.places.values():
        assert not place.files("locks")
        assert not list((place.root / ".unfinished").iterdir())


@pytest.mark.parametrize("step", ["open", "scan", "read", "upload", "index"])
def test_a_cancelled_run_leaves_nothing_visible_and_nothing_half_done(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(backup_crew, "PROCESSES_FROM_BYTES", -1)
    cancel = CancelToken()

    def listener(progress: Progress) -> None:
        if progress.step == step:
            cancel.cancel()

    with pytest.raises(Cancelled):
        studio.backup(listener, cancel)
    for place in studio.places.values():
        assert not place.files("snapshots") and not place.files("locks")
        assert not (place.root / ".unfinished").exists() or not list((place.root / ".unfinished").iterdir())
    studio.backup()
    studio.check("a")


def test_a_cancel_after_the_first_snapshot_file_is_too_late(studio: Studio) -> None:
    """Half the places would show a snapshot that nobody acknowledged."""
    cancel = CancelToken()

    def listener(progress: Progress) -> None:
        if progress.step == "snapshot":
            cancel.cancel()

    result = studio.backup(listener, cancel)
    assert cancel.cancelled and all(outcome.complete for outcome in result.outcomes.values())


def test_stock_restic_adds_a_snapshot_to_our_vault_and_we_one_to_its(studio: Studio) -> None:
    studio.backup(destinations=studio.request().destinations[:1], needed=1)
    place = studio.places["a"]
    stock.backup(place.path, SECRET, studio.source)
    result = studio.backup(destinations=studio.request().destinations[:1], needed=1, cache_path=None)
    assert len(stock.snapshots(place.path, SECRET)) == 3
    assert len(studio.read_back(result)) == 24
    studio.check("a")


class Hanging(Interposed):
    """A dead mount: a call whose name fits does not return."""

    def __init__(self, inner: ObjectStore, match: str) -> None:
        super().__init__(inner, lambda _: None)
        self.match = match
        self.released = threading.Event()
        self.asked: list[tuple[str, int | None]] = []

    def _hang(self, name: str, length: int | None = None) -> None:
        if self.match in name:
            self.asked.append((name, length))
            self.released.wait(60)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self._hang(name, length)
        return super().get(name, offset=offset, length=length)

    def list(self, prefix: str = "") -> Any:
        self._hang(prefix)
        return super().list(prefix)


@pytest.mark.parametrize("match", ["config", "keys/", "locks/"])
def test_a_place_that_hangs_while_it_is_opened_is_left_out_and_holds_up_no_other(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, match: str
) -> None:
    """Here: a folder whose read never returns held all backups of its vaults for as long as its calls may last."""
    studio.backup()
    monkeypatch.setattr(opening, "OPEN_SECONDS", 0.5)
    monkeypatch.setattr(lock, "ANSWER_SECONDS", 0.5)
    hanging = Hanging(studio.places["b"].store, match)
    began = LaterClock().monotonic()
    result = studio.backup(stores={"b": hanging}, needed=2)
    waited = LaterClock().monotonic() - began
    hanging.released.set()
    assert hanging.asked and waited < 50, "the others did not wait for it to return"
    assert result.outcomes["b"].error.startswith("no answer within") and result.outcomes["b"].unanswered
    assert [result.outcomes[key].complete for key in "abc"] == [True, False, True]
    studio.check("ac")


def test_an_index_file_is_given_the_time_of_its_size_and_a_silent_place_is_not_asked_first_again(
    studio: Studio,
) -> None:
    """Here: an index file of some kilobytes was given the time of 64 MiB, 4.6 hours, and each one anew."""
    for number in range(3):
        studio.write({f"{number}.txt": b"%d" % number})
        studio.backup()
    silent = SilentIndex(studio.places["a"].store, "index/")
    result = studio.backup(stores={"a": silent}, cache_path=None)
    assert len(silent.asked) == 1, "the next ones were read from another place"
    name, length = silent.asked[0]
    assert length == (studio.places["a"].path / name.removeprefix(PREFIX)).stat().st_size
    assert result.outcomes["b"].complete


class SilentIndex(Hanging):
    """As a watched store tells of the call."""

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if self.match in name:
            self.asked.append((name, length))
            raise NoAnswer("no end after 60 s")
        return Interposed.get(self, name, offset=offset, length=length)

    def list(self, prefix: str = "") -> Any:
        return Interposed.list(self, prefix)
