"""The measure of a source is its best that is trusted: not the last, not a stranger's, not one of last year."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from backups.models import Snapshot, SourceExtent, Vault
from backups.services.sources import source_change
from backups.services.vaults import source_add, vault_trust
from backups.states import JobState
from tests.backups.ground import Ground, fill
from wedbackup.core.clock import SYSTEM_CLOCK


@pytest.fixture
def card(ground: Ground) -> Path:
    folder = ground.root / "source" / "card"
    fill(folder, files=30)
    return folder


@pytest.fixture
def vault(ground: Ground, card: Path) -> Vault:
    vault = ground.vault()
    source_add(vault, str(card))
    ground.back_up(vault)
    return vault


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def test_each_snapshot_keeps_what_each_source_held(vault: Vault, card: Path) -> None:
    extents = {row.path: row for row in SourceExtent.unscoped.filter(snapshot__vault=vault)}
    assert extents[str(card)].files == 31 and extents[str(card)].device == card.stat().st_dev
    assert sum(row.size_bytes for row in extents.values()) == Snapshot.unscoped.get(vault=vault).source_bytes


@pytest.mark.parametrize("how", ["emptied", "removed"])
def test_a_persons_word_makes_the_present_state_the_measure(ground: Ground, vault: Vault, card: Path, how: str) -> None:
    empty(card)
    if how == "removed":
        card.rmdir()
    assert ground.back_up(vault).state == JobState.DEGRADED

    assert vault_trust(vault, actor="alice")

    assert ground.back_up(vault).state == JobState.COMPLETED
    fill(card, files=10)
    assert ground.back_up(vault).state == JobState.COMPLETED
    empty(card)
    assert "0 of 11 files" in ground.back_up(vault).message


def test_a_source_that_a_person_took_out_is_no_loss(ground: Ground, vault: Vault, card: Path) -> None:
    vault.sources.filter(path=str(card)).delete()
    job = ground.back_up(vault)
    assert job.state == JobState.COMPLETED and job.result["files"] == 13


def test_a_best_of_last_year_is_no_measure_but_the_newest_always_is(ground: Ground, vault: Vault, card: Path) -> None:
    for file in sorted(card.rglob("*.jpg"))[:14]:
        file.unlink()
    ground.back_up(vault)
    age = timedelta(days=40)
    first, second = Snapshot.unscoped.filter(vault=vault).order_by("taken_at")
    for snapshot, by in ((first, age + timedelta(days=1)), (second, age)):
        Snapshot.unscoped.filter(pk=snapshot.pk).update(taken_at=SYSTEM_CLOCK.utcnow() - by)
    for file in sorted(card.rglob("*.jpg"))[:6]:
        file.unlink()
    assert ground.back_up(vault).state == JobState.COMPLETED  # 11 of 17; the 31 were 41 days ago

    Snapshot.unscoped.filter(taken_at__gte=SYSTEM_CLOCK.utcnow() - age / 2).delete()
    empty(card)
    assert "card: 0 of 17 files are there" in ground.back_up(vault).message


def test_a_disk_below_a_source_is_missed_although_the_source_is_hardly_smaller(
    ground: Ground, vault: Vault, card: Path
) -> None:
    """restic #3369: an unmounted disk is an empty folder."""
    disk = card / "part 0"
    SourceExtent.unscoped.create(
        snapshot=Snapshot.unscoped.get(vault=vault), source=str(card), path=str(disk), files=10, size_bytes=90_000,
        device=4711, mounted=True,
    )  # fmt: skip
    for file in sorted(disk.iterdir())[:3]:
        file.unlink()

    job = ground.back_up(vault)

    assert job.state == JobState.DEGRADED
    assert "part 0: 7 of 10 files are there, and the disk that was connected there is not" in job.message


def test_snapshots_from_before_anything_was_kept_are_measured_by_their_sum(
    ground: Ground, vault: Vault, card: Path
) -> None:
    SourceExtent.unscoped.all().delete()
    empty(card)
    job = ground.back_up(vault)
    assert job.state == JobState.DEGRADED
    assert "all its folders together: 13 of 44 files" in job.message


def test_a_pattern_that_cannot_be_read_is_told_and_leaves_nothing_out(ground: Ground, vault: Vault, card: Path) -> None:
    """restic #3819."""
    vault.sources.filter(path=str(card)).update(excludes=["[z-a]*"])
    job = ground.back_up(vault)
    assert job.state == JobState.DEGRADED and job.result["files"] == 44
    assert "[z-a]* cannot be understood" in job.message and "Until then it leaves nothing out." in job.message


def test_what_a_person_left_out_is_no_loss_and_all_gone_is(ground: Ground, vault: Vault, card: Path) -> None:
    source = vault.sources.get(path=str(card))
    source_change(source, ["picture 0*"], actor="alice")
    assert ground.back_up(vault).state == JobState.COMPLETED  # 21 of 31
    source_change(source, ["picture*"], actor="alice")
    assert ground.back_up(vault).state == JobState.COMPLETED  # 1 of 31
    source_change(source, ["*"], actor="alice")
    assert ground.back_up(vault).state == JobState.DEGRADED
