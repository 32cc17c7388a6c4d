"""A furnished installation: one of everything that has a page, with people of every role signed in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from backups.models import Copy, DocumentFolder, Job, Snapshot, SnapshotCopy, Vault
from backups.services.jobs import job_enqueue
from backups.services.moves import job_move
from backups.states import CopyState, JobState
from monitoring.models import Alert, Delivery, Webhook
from monitoring.services.alerts import alert_raise
from monitoring.services.webhooks import webhook_create
from providers.models import Location
from tests.browsers import alice, carl, sam, vera
from tests.cast import Cast
from wedbackup.core import clock as clock_module
from wedbackup.core.clock import ManualClock

__all__ = ["alice", "carl", "sam", "vera"]


@pytest.fixture(autouse=True)
def site_clock(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The pages read the same clock as the cast."""
    monkeypatch.setattr(clock_module, "SYSTEM_CLOCK", clock)
    return clock


@dataclass(frozen=True)
class House:
    """One of everything."""

    cast: Cast
    vault: Vault
    snapshot: Snapshot
    running: Job
    recovery: Job
    alert: Alert
    location: Location
    webhook: Webhook
    delivery: Delivery
    folder: DocumentFolder

    def ids(self) -> dict[str, str]:
        """The ids by the names that addresses use."""
        return {
            "wedding_id": str(self.cast.wedding.pk),
            "vault_id": str(self.vault.pk),
            "snapshot_id": str(self.snapshot.pk),
            "job_id": str(self.recovery.pk),
            "alert_id": str(self.alert.pk),
            "location_id": str(self.location.pk),
            "webhook_id": str(self.webhook.pk),
            "delivery_id": str(self.delivery.pk),
            "folder_id": str(self.folder.pk),
            "kind": self.location.kind,
        }


def acknowledged_snapshot(vault: Vault, clock: ManualClock) -> Snapshot:
    """Write a snapshot that all copies hold, as a backup of a minute ago would have."""
    now = clock.utcnow()
    snapshot = Snapshot.unscoped.create(
        vault=vault,
        restic_id=os.urandom(32).hex(),
        tree=os.urandom(32).hex(),
        taken_at=now,
        file_count=7,
        source_bytes=4_000_000,
        stored_bytes=4_000_000,
        acknowledged_at=now,
    )
    for copy in Copy.unscoped.filter(vault=vault):
        SnapshotCopy.objects.create(snapshot=snapshot, copy=copy, proof="read_back", confirmed_at=now)
    Copy.unscoped.filter(vault=vault).update(state=CopyState.CURRENT, confirmed_at=now)
    return snapshot


@pytest.fixture
def house(cast: Cast, vault: Vault, locations: list[Location], clock: ManualClock, tmp_path: Path) -> House:
    """A wedding with a backup under way, a snapshot, a finished recovery with its zip, and an alert."""
    running = job_enqueue(kind=Job.Kind.BACKUP, organisation=cast.lumen, wedding=cast.wedding, vault=vault, clock=clock)
    job_move(running, JobState.RUNNING, reason="", actor="worker one", clock=clock, started_at=clock.utcnow())
    recovery = job_enqueue(
        kind=Job.Kind.RECOVERY,
        organisation=cast.lumen,
        wedding=cast.wedding,
        parameters={"first_seconds": 60},
        clock=clock,
    )
    job_move(recovery, JobState.RUNNING, reason="", actor="worker one", clock=clock, started_at=clock.utcnow())
    archive = tmp_path / "recovered.zip"
    archive.write_bytes(os.urandom(100_000))
    result = {
        "files": 7, "equal": 7, "misses": [], "miss_count": 0, "priority_seconds": 2.5, "seconds": 9.0,
        "target": str(tmp_path / "recovered"), "zip": str(archive), "proof_sha256": "ab" * 32,
    }  # fmt: skip
    job_move(
        recovery, JobState.COMPLETED, reason="done", actor="worker one", clock=clock, result=result, message="Well."
    )
    alert = alert_raise(
        key="backup.failed:1", severity="critical", title="A backup failed", text="Disk full.", clock=clock,
        what_to_do="Free space.", organisation_id=cast.lumen.pk,
    )  # fmt: skip
    webhook, _ = webhook_create(
        name="Studio chat", url="https://192.0.2.7/hook", private_address_allowed=True, actor="alice", clock=clock
    )
    delivery = Delivery.objects.create(
        webhook=webhook, tag="job.moved", body="{}", next_at=clock.utcnow(), created_at=clock.utcnow()
    )
    snapshot = acknowledged_snapshot(vault, clock)
    folder = DocumentFolder.unscoped.create(
        vault=vault,
        location=locations[1],
        name="Lumen/Okafor",
        manifest={"Contract.pdf": "ab"},
        left_out=[["film.mov", "larger than 256 MiB"]],
        snapshot=snapshot,
        filled_at=clock.utcnow(),
        created_at=clock.utcnow(),
    )
    return House(cast, vault, snapshot, running, recovery, alert, locations[0], webhook, delivery, folder)
