"""The product's promise: with this application gone, the stock program checks and restores every copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from backups.engine.format.key import FOR_SECRETS
from backups.engine.restore.run import restore
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.forget import forget
from backups.engine.upkeep.keyring import add_key
from backups.engine.upkeep.prune import prune
from backups.engine.upkeep.replicate import replicate
from tests.backups.engine.backing import Studio
from tests.backups.engine.places import SECRET, Place, make_place
from tests.restic import stock
from tests.restic.trees import assert_equal, every_kind_of_node
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.stock


def restored_by_stock(place: Place, snapshot_id: str, source: Path, out: Path, secret: bytes = SECRET) -> Path:
    """Let restic check every byte and restore; return where the source's content lies then."""
    stock.check(place.path, secret)
    stock.restore(place.path, secret, snapshot_id, out)
    return out / str(source).lstrip("/")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    studio = Studio(tmp_path, places=3)
    studio.source.rmdir()
    every_kind_of_node(studio.source)
    return studio


def test_every_copy_is_checked_and_restored_by_stock_restic_and_by_us(studio: Studio, tmp_path: Path) -> None:
    first = studio.backup()
    assert not first.unstable and not first.unreadable
    for key, place in studio.places.items():
        by_stock = restored_by_stock(place, first.snapshot_id, studio.source, tmp_path / f"stock-{key}")
        assert_equal(by_stock, studio.source)
    reader = VaultReader.open(studio.places, SECRET)
    result = restore(reader, reader.snapshots()[0], str(tmp_path / "ours"), base=os.fsencode(studio.source))
    assert result.complete and not result.refused and not result.problems
    assert_equal(tmp_path / "ours", studio.source)


def test_after_changes_forget_prune_a_new_key_and_a_repair_it_still_holds(studio: Studio, tmp_path: Path) -> None:
    clock = ManualClock()
    first = studio.backup()
    shutil.rmtree(studio.source / "photos" / "raw")
    (studio.source / "plan.txt").write_text("19:00 dinner\n" * 30_000)
    (studio.source / "new.jpg").write_bytes(os.urandom(2_000_000))
    second = studio.backup()
    copies = {key: place.open() for key, place in studio.places.items()}
    assert forget(copies, [first.snapshot_id], clock=clock).forgotten["c"] == [first.snapshot_id]
    assert prune(copies, clock=clock, tolerated=0.0).rewritten
    add_key(copies, b"kit", now=clock.utcnow(), username="kit", hostname="paper", cost=FOR_SECRETS)
    lost = studio.places["c"]
    shutil.rmtree(lost.path)
    assert replicate({key: studio.places[key] for key in "ab"}, lost).complete
    extra = make_place(tmp_path / "extra")
    replicate(studio.places, extra)
    for key, place in {**studio.places, "extra": extra}.items():
        by_stock = restored_by_stock(place, second.snapshot_id, studio.source, tmp_path / f"out-{key}", b"kit")
        assert_equal(by_stock, studio.source)


def test_restic_copies_our_snapshots_to_its_own_repository(studio: Studio, tmp_path: Path) -> None:
    snapshot = studio.backup()
    target = make_place(tmp_path / "target")
    stock.init(target.path, SECRET)
    stock.copy(studio.places["a"].path, target.path, SECRET, snapshot.snapshot_id)
    assert_equal(restored_by_stock(target, "latest", studio.source, tmp_path / "out"), studio.source)


def test_restic_adds_its_own_snapshot_to_our_vault_and_we_read_both(studio: Studio, tmp_path: Path) -> None:
    studio.backup()
    (studio.source / "by restic.txt").write_text("added with the stock program")
    stock.backup(studio.places["a"].path, SECRET, studio.source)
    reader = VaultReader.open({"a": studio.places["a"]}, SECRET)
    base = os.fsencode(studio.source)
    for snapshot in reader.snapshots():
        by = "ours" if snapshot.hostname == "studio" else "theirs"
        assert restore(reader, snapshot, str(tmp_path / by), base=base).complete
    assert not (tmp_path / "ours" / "by restic.txt").exists()
    assert_equal(tmp_path / "theirs", studio.source)
