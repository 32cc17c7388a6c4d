"""A snapshot that was published and never recorded is recorded after the fact, truthfully, and expires like others."""

from __future__ import annotations

from typing import Any

import pytest

from backups.models import Snapshot, Vault
from backups.services import backups
from backups.services.checks import check_request
from backups.services.opening import copies_of
from backups.services.retention import retention_judge
from backups.services.vaults import vault_secret
from tests.backups.ground import Ground
from tests.restic import stock


@pytest.fixture
def unrecorded(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A vault with one recorded snapshot, and one whose process died before it was recorded."""
    vault = ground.vault()
    ground.back_up(vault)

    class Killed(Exception):
        """As if the process had ended here."""

    def die(*args: Any, **kwargs: Any) -> None:
        raise Killed

    (ground.source() / "only in the second").write_bytes(b"x" * 70_000)
    with monkeypatch.context() as patch:
        patch.setattr(backups, "backup_record", die)
        ground.back_up(vault)
    (ground.source() / "only in the second").unlink()
    assert Snapshot.unscoped.filter(vault=vault).count() == 1
    return vault


@pytest.mark.stock
def test_what_a_killed_process_published_is_recorded_by_the_next_backup(ground: Ground, unrecorded: Vault) -> None:
    """Ours: no rule ever let it go, because the database did not know it."""
    assert len(stock.snapshots(ground.repository(unrecorded, 0), vault_secret(unrecorded))) == 2

    ground.back_up(unrecorded)

    newest, adopted, oldest = Snapshot.unscoped.filter(vault=unrecorded)
    assert newest.file_count == oldest.file_count == adopted.file_count - 1
    assert adopted.source_bytes == oldest.source_bytes + 70_000
    assert oldest.taken_at < adopted.taken_at < newest.taken_at
    assert adopted.suspicion and not newest.suspicion, "its sources were not judged, so it is no measure for others"
    assert not adopted.confirmations.exists() and adopted.acknowledged_at is None, "nothing was proved of it yet"
    assert adopted.restic_id in {verdict.snapshot_id for verdict in retention_judge(unrecorded).verdicts}
    for job in check_request(copies_of(unrecorded), read_data=True):
        ground.run(job)
    assert adopted.confirmations.count() == 3


@pytest.mark.stock
def test_a_snapshot_that_somebody_made_with_stock_restic_is_left_to_him(ground: Ground, unrecorded: Vault) -> None:
    stock.backup(ground.repository(unrecorded, 0), vault_secret(unrecorded), ground.source())
    ground.back_up(unrecorded)
    assert Snapshot.unscoped.filter(vault=unrecorded).count() == 3
