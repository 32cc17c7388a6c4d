"""A database in which every page of the admin site has something to show."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from backups.models import Job, Snapshot, Vault
from backups.services.jobs import job_enqueue
from monitoring.models import Alert
from monitoring.services.alerts import alert_raise
from providers.models import Location
from providers.services.locations import location_create
from providers.services.probes import location_probe
from tests.browsers import alice, sam
from tests.cast import Cast
from wedbackup.core.clock import ManualClock

__all__ = ["alice", "sam"]

CANARY = "canary-51c4-secret"


@dataclass
class Stocked:
    """One row of everything."""

    bucket: Location
    folder: Location
    vault: Vault
    job: Job
    alert: Alert


@pytest.fixture
def stocked(cast: Cast, vault: Vault, locations: list[Location], clock: ManualClock) -> Stocked:
    bucket = location_create(
        name="Bucket",
        kind="s3",
        options={"bucket": "weddings", "access_key": "AKIA1", "endpoint_url": "http://127.0.0.1:9"},
        secrets={"secret_key": CANARY},
        account="studio@aws",
        private_address_allowed=True,
        actor="alice",
        clock=clock,
    )
    location_probe(locations[0], clock=clock)
    for number in range(3):
        Snapshot.unscoped.create(
            vault=vault,
            restic_id=f"{number}" * 64,
            tree="0" * 64,
            taken_at=clock.utcnow(),
            file_count=3,
            source_bytes=1000,
            stored_bytes=500,
        )
    job = job_enqueue(kind="backup", organisation=cast.lumen, wedding=cast.wedding, vault=vault, clock=clock)
    alert = alert_raise(
        key="k", severity="warning", title="Trouble", text="Wrong.", what_to_do="Put it right.", clock=clock
    )
    return Stocked(bucket, locations[0], vault, job, alert)
