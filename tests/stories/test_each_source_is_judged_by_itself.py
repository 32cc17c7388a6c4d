"""A vault of several folders: what happens to one is neither hidden by the others nor does it stop them.

studio/media  --+
studio/card 2 --+--> vault --> three places        judged one by one, each against its best
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from backups.models import Snapshot, Vault
from backups.services.vaults import source_add
from backups.states import JobState
from tests.backups.ground import Ground, fill


@pytest.fixture
def card(ground: Ground) -> Path:
    """A second folder, which goes into the vault beside the first."""
    folder = ground.root / "source" / "second card"
    fill(folder, files=60)
    return folder


@pytest.fixture
def vault(ground: Ground, card: Path) -> Vault:
    vault = ground.vault()
    fill(ground.source(), files=100)
    source_add(vault, str(card))
    return vault


def test_one_emptied_folder_of_two_is_said_by_name(ground: Ground, vault: Vault, card: Path) -> None:
    """nextcloud/all-in-one #4005, duplicati #4496, restic #3369: a card that was unmounted, "all confirmed"."""
    ground.back_up(vault)
    shutil.rmtree(card)
    card.mkdir()

    for _ in range(2):  # nor is it believed at the second look
        job = ground.back_up(vault)
        assert job.state == JobState.DEGRADED
        assert "second card: 0 of 61 files are there. Is its card or disk connected?" in job.message
    vault.refresh_from_db()
    assert "second card" in vault.suspicion


def test_a_missing_folder_does_not_stop_the_others(ground: Ground, vault: Vault, card: Path) -> None:
    """duplicati #6149: one folder away, and nothing else was backed up until somebody looked."""
    ground.back_up(vault)
    shutil.rmtree(card)
    (ground.source() / "late guest.jpg").write_bytes(b"late guest")

    job = ground.back_up(vault)

    assert job.state == JobState.DEGRADED
    assert "second card" in job.message and "is not there" in job.message
    newest = Snapshot.unscoped.filter(vault=vault).first()
    assert newest is not None and newest.file_count == 102 and newest.suspicion
    fill(card, files=60)
    assert ground.back_up(vault).state == JobState.COMPLETED


def test_losing_a_little_each_day_is_seen_against_the_best(ground: Ground, vault: Vault, card: Path) -> None:
    """60, 31 and 16 files: each step keeps more than half of the one before (restic #4467)."""
    ground.back_up(vault)
    files = sorted(card.rglob("*.jpg"))
    for file in files[:29]:
        file.unlink()
    assert ground.back_up(vault).state == JobState.COMPLETED
    for file in files[29:44]:
        file.unlink()

    job = ground.back_up(vault)

    assert job.state == JobState.DEGRADED
    assert "second card: 17 of 61 files are there" in job.message


def test_leaving_out_in_one_folder_leaves_nothing_out_in_another(ground: Ground, vault: Vault, card: Path) -> None:
    """duplicati #4751: previews without *.jpg, and all finals were silently not stored."""
    vault.sources.filter(path=str(card)).update(excludes=["*.jpg"])

    job = ground.back_up(vault)

    assert job.state == JobState.COMPLETED
    assert job.result["files"] == 101 + 1
    assert "*.jpg" in job.message and "60 files" in job.message
