"""Copies that nobody verifies, and files that no copy can give, are alerts as long as that is so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backups.models import Copy, Snapshot, SnapshotCopy, Vault
from backups.services.acknowledgement import snapshot_acknowledge
from backups.services.checks import CHECK_EVERY
from backups.services.damage import losses_record
from backups.services.vaults import vault_trust
from monitoring.models import Alert
from monitoring.reader import read
from monitoring.watch import READING_GRACE, conditions_watch
from wedbackup.core.clock import ManualClock


@pytest.fixture
def snapshot(vault: Vault, clock: ManualClock) -> Snapshot:
    snapshot = Snapshot.unscoped.create(
        vault=vault,
        restic_id="ab" * 32,
        tree="cd" * 32,
        taken_at=clock.utcnow(),
        file_count=7,
        source_bytes=7,
        stored_bytes=7,
    )
    for copy in Copy.unscoped.filter(vault=vault):
        SnapshotCopy.objects.create(snapshot=snapshot, copy=copy, proof="read_back", confirmed_at=clock.utcnow())
    return snapshot


def live(prefix: str) -> list[Alert]:
    return list(Alert.objects.filter(key__startswith=prefix).exclude(state=Alert.State.RESOLVED))


def test_a_copy_that_nobody_has_read_in_full_for_too_long_is_an_alert(
    vault: Vault, snapshot: Snapshot, clock: ManualClock
) -> None:
    """truth-web 2: nothing was verified after day six, for ever, and nobody was told."""
    clock.advance((CHECK_EVERY + READING_GRACE - timedelta(minutes=1)).total_seconds())
    conditions_watch(clock=clock)
    assert live("copies.unread:") == []
    clock.advance(timedelta(hours=1).total_seconds())
    conditions_watch(clock=clock)
    assert len(live("copies.unread:")) == 3
    Copy.unscoped.filter(vault=vault).update(verified_at=clock.utcnow())
    conditions_watch(clock=clock)
    assert live("copies.unread:") == []


def test_files_that_no_copy_can_give_are_named_until_their_snapshots_are_gone(
    vault: Vault, snapshot: Snapshot, clock: ManualClock
) -> None:
    losses_record(vault, {snapshot.restic_id: ["/srv/one/IMG_1.jpg", "/srv/one/IMG_2.jpg"]})
    conditions_watch(clock=clock)
    (alert,) = live("files.lost:")
    assert alert.title.startswith("2 files cannot be read in any place: ")
    assert "IMG_1.jpg, IMG_2.jpg" in alert.text and "/srv" not in alert.text
    assert alert.organisation_id == vault.organisation_id and alert.severity == Alert.Severity.CRITICAL
    assert not snapshot.confirmations.exists()
    snapshot.delete()
    conditions_watch(clock=clock)
    assert live("files.lost:") == []


def test_an_alert_that_still_stands_says_how_large_the_trouble_is_now(
    vault: Vault, snapshot: Snapshot, clock: ManualClock
) -> None:
    """One lost file was told, and 500 the next day were still "1 file"."""
    losses_record(vault, {snapshot.restic_id: ["/srv/one/IMG_1.jpg"]})
    conditions_watch(clock=clock)
    losses_record(vault, {snapshot.restic_id: [f"/srv/one/IMG_{number}.jpg" for number in range(500)]})
    conditions_watch(clock=clock)
    (alert,) = live("files.lost:")
    assert alert.title.startswith("500 files ") and alert.count == 1


def test_a_suspicion_is_told_as_long_as_it_stands_and_no_longer(
    vault: Vault, snapshot: Snapshot, clock: ManualClock
) -> None:
    """A copy that came back late acknowledged the suspicious snapshot and ended its alert; a person's word did not."""
    Vault.unscoped.filter(pk=vault.pk).update(suspicion="11 of 12 files are gone.")
    conditions_watch(clock=clock)
    snapshot_acknowledge(snapshot, clock=clock)
    read(clock=clock)
    conditions_watch(clock=clock)
    (alert,) = live("snapshot.suspicious:")
    assert alert.text == "11 of 12 files are gone." and alert.organisation_id == vault.organisation_id
    vault.refresh_from_db()
    assert vault_trust(vault, actor="alice", clock=clock)
    conditions_watch(clock=clock)
    assert live("snapshot.suspicious:") == []
