"""From a folder to three places that stock restic trusts, and what happens when a place, the source or a key is lost.

source/media --read once--> engine --+--> Folder one
                                     +--> Folder two     each a complete restic repository
                                     +--> Folder three
"""

from __future__ import annotations

from pathlib import Path

import pytest

from backups.models import Copy, Snapshot, SnapshotCopy
from backups.states import CopyState, JobState
from tests.backups.ground import Ground, contents


@pytest.mark.stock
def test_a_wedding_is_backed_up_to_three_places_and_stock_restic_restores_each(ground: Ground, tmp_path: Path) -> None:
    vault = ground.vault()

    job = ground.back_up(vault)

    assert job.state == JobState.COMPLETED, job.message
    assert "13 files" in job.message
    assert "stored in 3 places, all confirmed." in job.message
    assert "All 3 places are on one disk" in job.message
    snapshot = Snapshot.unscoped.get(vault=vault)
    assert snapshot.acknowledged_at is not None
    assert SnapshotCopy.objects.filter(snapshot=snapshot).count() == 3
    assert set(Copy.unscoped.filter(vault=vault).values_list("state", flat=True)) == {CopyState.CURRENT}
    for place in range(3):
        restored = ground.stock_restores(vault, place, tmp_path / f"restored {place}")
        assert contents(restored) == contents(ground.source())
