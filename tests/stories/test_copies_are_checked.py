"""Rot is found by reading, and repaired from the other copies without a person."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from backups.models import Copy, Job, Vault
from backups.services.checks import check_request, checks_enqueue_due
from backups.services.opening import copies_of
from backups.services.vaults import vault_secret
from backups.states import CopyState, JobState
from tests.backups.ground import Ground
from tests.restic import stock
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock


@pytest.fixture
def saved(ground: Ground) -> Vault:
    vault = ground.vault()
    ground.back_up(vault)
    return vault


def check(ground: Ground, vault: Vault, place: int) -> Job:
    copy = Copy.unscoped.get(vault=vault, location=ground.locations[place])
    (job,) = check_request([copy], read_data=True)
    return ground.run(job)


def rot(repository: Path, kind: str) -> Path:
    """Turn one bit of the largest file of a kind over."""
    file = max((found for found in (repository / kind).rglob("*") if found.is_file()), key=lambda f: f.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)
    return file


def test_a_whole_copy_is_read_and_said_to_be_whole(ground: Ground, saved: Vault) -> None:
    job = check(ground, saved, 0)
    assert job.state == JobState.COMPLETED
    assert "is whole (1 snapshot" in job.message
    assert Copy.unscoped.get(vault=saved, location=ground.locations[0]).verified_at is not None


@pytest.mark.stock
@pytest.mark.parametrize("kind", ["data", "index", "snapshots"])
def test_rot_is_repaired_from_the_other_copies(ground: Ground, saved: Vault, kind: str) -> None:
    rot(ground.repository(saved, 1), kind)

    job = check(ground, saved, 1)

    assert job.state == JobState.COMPLETED, job.message
    assert "whole again: 1 file was put again" in job.message
    assert Copy.unscoped.get(vault=saved, location=ground.locations[1]).state == CopyState.CURRENT
    stock.check(ground.repository(saved, 1), vault_secret(saved))


def test_a_deleted_snapshot_file_is_missed_and_brought_back(ground: Ground, saved: Vault) -> None:
    (snapshot,) = (ground.repository(saved, 1) / "snapshots").iterdir()
    snapshot.unlink()
    assert check(ground, saved, 1).state == JobState.COMPLETED
    assert snapshot.exists()


def test_a_copy_that_nobody_can_repair_is_called_damaged(ground: Ground, saved: Vault) -> None:
    for place in range(3):
        rot(ground.repository(saved, place), "data")

    job = check(ground, saved, 0)

    assert job.state == JobState.FAILED
    assert "no other copy could repair" in job.message
    assert Copy.unscoped.get(vault=saved, location=ground.locations[0]).state == CopyState.DAMAGED


def test_a_copy_whose_place_is_gone_is_not_called_damaged(ground: Ground, saved: Vault) -> None:
    ground.lose(0)
    job = check(ground, saved, 0)
    assert job.state in {JobState.FAILED, JobState.QUEUED}
    assert Copy.unscoped.get(vault=saved, location=ground.locations[0]).state == CopyState.UNREACHABLE


def test_copies_not_read_for_a_week_are_checked_by_themselves_once(ground: Ground, saved: Vault) -> None:
    clock = ManualClock(SYSTEM_CLOCK.utcnow())
    assert checks_enqueue_due(clock=clock) == []
    clock.advance(timedelta(days=8).total_seconds())
    assert len(checks_enqueue_due(clock=clock)) == len(copies_of(saved))
    assert checks_enqueue_due(clock=clock) == []
