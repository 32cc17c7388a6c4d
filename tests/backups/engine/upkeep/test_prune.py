from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from backups.engine.errors import Damaged, Locked
from backups.engine.format.lock import LockedBy, hold_lock
from backups.engine.format.repository import Repository
from backups.engine.restore.run import restore
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.check import check
from backups.engine.upkeep.findings import Kind, Verdict
from backups.engine.upkeep.forget import LastSnapshot, forget
from backups.engine.upkeep.prune import PruneResult, prune
from backups.engine.upkeep.replicate import replicate
from providers.stores.base import Buffer, ObjectInfo
from providers.stores.errors import LocationFull, StoreUnavailable
from providers.stores.local import LocalStore
from tests.backups.engine.places import PREFIX, SECRET, Place, fresh_vault, make_place
from tests.backups.engine.writing import Folder, SnapshotWriter
from tests.restic import stock
from wedbackup.core.clock import ManualClock

KEPT = {b"%02d.jpg" % i: os.urandom(4000) for i in range(0, 30, 2)}
GONE = {b"%02d.jpg" % i: os.urandom(4000) for i in range(1, 30, 2)}
LATE = {b"late%d.jpg" % i: os.urandom(9000) for i in range(10)}
BOTH: Folder = KEPT | GONE


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Place]:
    """Two equal copies with three snapshots; two of them shall go."""
    made = {name: make_place(tmp_path / name) for name in ("near", "far")}
    vault = fresh_vault()
    writer = SnapshotWriter([Repository.create(place.store, PREFIX, vault) for place in made.values()])
    for folder in (BOTH, KEPT, LATE | {b"00.jpg": KEPT[b"00.jpg"]}):
        writer.write(folder)
    return made


def opened(places: dict[str, Place]) -> dict[str, Repository]:
    return {label: place.open() for label, place in places.items()}


def forget_all_but_kept(places: dict[str, Place], clock: ManualClock) -> None:
    copies = opened(places)
    reader = VaultReader(copies, copies["near"].master)
    reader.load_index()
    doomed = [s.snapshot_id for s in reader.snapshots() if len(reader.load_tree(s.tree)) != len(KEPT)]
    assert len(doomed) == 2
    forget(copies, doomed, clock=clock)


def assert_whole_with(place: Place, files: Any, out: Path) -> None:
    result = check(place, place.open().master, read_data=True)
    assert result.verdict is Verdict.WHOLE, result.findings
    reader = VaultReader.open({"here": place}, SECRET)
    assert restore(reader, reader.snapshots()[0], str(out)).complete
    assert {os.fsencode(file.name): file.read_bytes() for file in out.iterdir()} == files


def test_what_no_snapshot_needs_goes_at_every_copy_and_they_stay_equal(
    places: dict[str, Place], clock: ManualClock, tmp_path: Path
) -> None:
    forget_all_but_kept(places, clock)
    before = sum(map(len, places["near"].files("data").values()))
    result = prune(opened(places), clock=clock)
    after = places["near"].files()
    assert result.removed and result.rewritten and result.added and not result.behind
    assert sum(len(pack) for name, pack in after.items() if name.startswith("data")) < before / 2
    assert places["far"].files() == after
    assert_whole_with(places["far"], KEPT, tmp_path / "out")
    second = prune(opened(places), clock=clock)
    assert second == PruneResult(in_line=["near", "far"]), "a second prune finds nothing to do"


@pytest.mark.stock
def test_stock_restic_agrees(places: dict[str, Place], clock: ManualClock) -> None:
    forget_all_but_kept(places, clock)
    prune(opened(places), clock=clock)
    for place in places.values():
        stock.check(place.path, SECRET, "--check-unused")


def test_packs_with_a_little_waste_are_left_alone(places: dict[str, Place], clock: ManualClock) -> None:
    forget_all_but_kept(places, clock)
    result = prune(opened(places), clock=clock, tolerated=0.9)
    assert result.removed and not result.rewritten and not result.added


def test_within_the_grace_period_nothing_goes_but_is_reported(places: dict[str, Place], clock: ManualClock) -> None:
    forget_all_but_kept(places, clock)
    before = places["near"].files()
    report = prune(opened(places), clock=clock, ripe=())
    assert report.unused and not report.removed and places["near"].files() == before
    ripe = sorted(report.unused)[:1]
    later = prune(opened(places), clock=clock, ripe=ripe)
    assert later.removed | later.rewritten == set(ripe)


def test_left_overs_of_killed_backups_go(places: dict[str, Place], clock: ManualClock) -> None:
    pack = b"left over"
    name = f"data/{'ab' * 32}"[:7] + f"/{'ab' * 32}"
    places["near"].store.put(PREFIX + name, pack)
    result = prune(opened(places), clock=clock)
    assert "ab" * 32 in result.removed
    assert "ab" * 32 not in str(list(places["near"].files("data")))


class Mortal(LocalStore):
    """Dies at its n-th change: from then on nothing works any more, as after a kill or a cut line."""

    lives = 1_000_000
    died = False

    def _change(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            self.died = True
            raise StoreUnavailable("dead")

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        self._change()
        return super().put(name, content, sha256=sha256)

    def delete(self, name: str) -> None:
        self._change()
        super().delete(name)


@pytest.mark.stock
def test_whenever_a_prune_dies_every_snapshot_is_whole(
    places: dict[str, Place], clock: ManualClock, tmp_path: Path
) -> None:
    forget_all_but_kept(places, clock)
    pattern, master = places["near"], places["near"].open().master
    deaths = 0
    for lives in range(1, 60):
        victim = make_place(tmp_path / f"victim{lives}")
        replicate({"near": pattern}, victim)
        store = Mortal(victim.store.options)
        store.lives = lives
        try:
            prune({"victim": Repository.open(store, PREFIX, SECRET)}, clock=clock)
        except StoreUnavailable:
            pass
        except Exception as exc:
            assert "no copy of the vault can be pruned: dead" in str(exc)
        result = check(victim, master, read_data=True)
        assert result.verdict is Verdict.WHOLE, (lives, result.findings)
        assert {finding.kind for finding in result.findings} <= {Kind.PACK_UNINDEXED}
        stock.check(victim.path, SECRET, "--no-lock")
        if not store.died:
            break
        deaths += 1
        clock.advance(3600)  # the dead one's lock is stale
        prune({"victim": victim.open()}, clock=clock)
        assert_whole_with(victim, KEPT, tmp_path / f"out{lives}")
    assert deaths > 8, "the fault was hit at many steps"
    assert not store.died, "and once not at all"


def test_a_copy_that_fails_midway_falls_out_and_mirroring_brings_it_in_line(
    places: dict[str, Place], clock: ManualClock
) -> None:
    forget_all_but_kept(places, clock)
    store = Mortal(places["far"].store.options)
    copies = {"near": places["near"].open(), "far": Repository.open(store, PREFIX, SECRET)}
    store.lives = 2
    result = prune(copies, clock=clock)
    assert store.died and result.behind == {"far": "dead"} and result.removed
    assert check(places["far"], copies["near"].master, read_data=True).verdict is Verdict.WHOLE
    replicate({"near": places["near"]}, places["far"], mirror=True)
    assert places["far"].files("data") == places["near"].files("data")
    assert places["far"].files("index") == places["near"].files("index")


def test_a_copy_that_lacks_something_is_brought_in_line(places: dict[str, Place], clock: ManualClock) -> None:
    forget_all_but_kept(places, clock)
    (places["far"].path / next(iter(places["far"].files("data")))).unlink()
    result = prune(opened(places), clock=clock)
    assert result.in_line == ["near", "far"] and not result.behind
    assert places["far"].files() == places["near"].files()


def test_a_lagging_copy_takes_from_another_what_is_rotten_at_the_pattern(
    places: dict[str, Place], clock: ManualClock, tmp_path: Path
) -> None:
    third = make_place(tmp_path / "third")
    replicate({"near": places["near"]}, third)
    name = max(places["near"].files("data"), key=lambda name: len(places["near"].files("data")[name]))
    (third.path / name).unlink()
    content = places["near"].files()[name]
    places["near"].overwrite(name, bytes([content[0] ^ 1]) + content[1:])
    result = prune(opened(places) | {"third": third.open()}, clock=clock)
    assert result.in_line == ["near", "far", "third"]
    assert third.files()[name] == content


class Full(LocalStore):
    """A disk without room for anything new: only deleting works."""

    refused = 0

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        self.refused += 1
        raise LocationFull("no space left")


@pytest.mark.stock
def test_a_full_place_that_holds_only_what_is_forgotten_gets_room_and_stops_nobody(
    places: dict[str, Place], clock: ManualClock, tmp_path: Path
) -> None:
    """restic #1153, btrbk #607: it could not catch up because it was full, and got no room because it lagged."""
    lagging = make_place(tmp_path / "lagging")
    copies = opened(places)
    first, *_ = copies["near"].snapshots()
    Repository.create(lagging.store, PREFIX, fresh_vault())
    shutil.rmtree(lagging.path)
    shutil.copytree(places["near"].path, lagging.path)
    for name in lagging.files("snapshots"):
        if first.snapshot_id not in name:
            (lagging.path / name).unlink()
    full = Full(lagging.store.options)
    everyone = {"a lagging one": Repository.open(full, PREFIX, SECRET), **copies}
    doomed = [s.snapshot_id for s in copies["near"].snapshots()[:2]]
    assert first.snapshot_id in doomed

    forget(everyone, doomed, clock=clock)
    result = prune(everyone, clock=clock)

    assert result.in_line == ["near", "far"] and full.refused
    assert result.behind == {"a lagging one": "no space left"}
    assert not lagging.files("snapshots") and not lagging.files("locks")
    assert lagging.files("data").keys() <= places["near"].files("data").keys(), "only what it will want again is left"
    for place in places.values():
        stock.check(place.path, SECRET, "--check-unused")
    everyone["a lagging one"] = lagging.open()
    assert prune(everyone, clock=clock).behind == {}, "with room again it is brought in line"
    assert lagging.files() == places["near"].files()
    stock.check(lagging.path, SECRET)


def test_where_every_place_is_full_room_is_made_without_a_new_byte(
    places: dict[str, Place], clock: ManualClock
) -> None:
    near = places["near"].open()
    near.load_index()
    doomed = [s.snapshot_id for s in near.snapshots() if len(near.load_tree(s.tree)) == len(LATE) + 1]
    full = {label: Repository.open(Full(place.store.options), PREFIX, SECRET) for label, place in places.items()}
    before = len(places["near"].files("data"))
    forget(full, doomed, clock=clock)
    result = prune(full, clock=clock)
    assert result.behind == {"near": "it is full", "far": "it is full"}
    for place in places.values():
        assert len(place.files("data")) < before
        assert check(place, place.open().master, read_data=True).verdict is Verdict.WHOLE


def test_a_snapshot_that_only_one_place_has_is_brought_to_the_others_and_never_lost(
    places: dict[str, Place], clock: ManualClock, tmp_path: Path
) -> None:
    """The others were away while it was made; the place that has it missed a prune."""
    forget_all_but_kept(places, clock)
    SnapshotWriter([places["far"].open()]).write(LATE)
    result = prune(opened(places), clock=clock, unpruned=["far"])
    assert result.in_line == ["near", "far"] and places["near"].files() == places["far"].files()
    assert len(places["near"].files("snapshots")) == 2
    assert check(places["near"], places["near"].open().master, read_data=True).verdict is Verdict.WHOLE


@pytest.mark.parametrize("kind", ["snapshots", "index", "data"])
def test_a_vault_that_cannot_be_read_in_full_is_never_pruned(
    places: dict[str, Place], clock: ManualClock, kind: str
) -> None:
    """Data packs are read only when they are rewritten; then a damaged one stops the prune too."""
    forget_all_but_kept(places, clock)
    near = {"near": places["near"]}
    for name, content in places["near"].files(kind).items():
        places["near"].overwrite(name, content[:50] + bytes([content[50] ^ 1]) + content[51:])
    before = places["near"].files()
    with pytest.raises(Damaged, match="nothing was removed"):
        prune(opened(near), clock=clock)
    after = places["near"].files()
    assert before.items() <= after.items()


def test_nobody_prunes_or_forgets_while_a_backup_runs(places: dict[str, Place], clock: ManualClock) -> None:
    copies = opened(places)
    with hold_lock(list(copies.values()), clock=clock):
        with pytest.raises(LockedBy):
            prune(opened(places), clock=clock)
        with pytest.raises(Locked):
            forget(opened(places), ["ab" * 32], clock=clock)


def test_the_last_snapshot_is_never_forgotten(places: dict[str, Place], clock: ManualClock) -> None:
    copies = opened(places)
    every = [snapshot.snapshot_id for snapshot in copies["near"].snapshots()]
    with pytest.raises(LastSnapshot):
        forget(copies, every, clock=clock)
    assert len(places["near"].files("snapshots")) == 3
    result = forget(copies, every[:1], clock=clock)
    assert result.forgotten == {"near": every[:1], "far": every[:1]}
