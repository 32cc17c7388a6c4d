"""One read of a wedding's folder fills copies at providers of every kind, and stock restic accepts each of them.

Stock restic reaches some of these services only under their public names. So each copy is brought down as it lies
there, byte by byte, and restic takes the folder: as the recovery kit says for a place that restic cannot address.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.models import Copy, Snapshot
from backups.services.vaults import source_add, vault_create, vault_secret
from backups.states import CopyState, JobState
from providers.models import Location
from providers.services.locations import RECOVERY, location_create, location_open
from tests.backups.ground import Ground, contents, fill
from tests.restic import stock
from tests.servers.azurite import Azurite, running_azurite
from tests.servers.fixtures import make_bucket
from tests.servers.gcs import GCS, running_gcs
from tests.servers.supabase import running_supabase
from tests.servers.supabase_state import Bucket, Supabase
from tests.servers.swift import Swift, running_swift
from wedbackup.core.clock import SYSTEM_CLOCK


def swift_location(swift: Swift, kind: str, **more: str) -> Location:
    options = {"bucket": make_bucket(swift), "access_key": swift.access_key, "endpoint_url": swift.url, **more}
    return cloud_location(kind, options, {"secret_key": swift.secret_key})


def cloud_location(kind: str, options: dict[str, str], secrets: dict[str, str]) -> Location:
    location = location_create(
        name=kind,
        kind=kind,
        options=options,
        secrets=secrets,
        account=f"{kind} account",
        private_address_allowed=True,
        actor="alice",
    )
    Location.objects.filter(pk=location.pk).update(validated_at=SYSTEM_CLOCK.utcnow())
    location.refresh_from_db()
    return location


@pytest.fixture
def clouds(ground: Ground, tmp_path: Path) -> Iterator[list[Location]]:
    """A location at each provider that holds vaults, at the servers of the tests."""
    (tmp_path / "swift").mkdir()
    (tmp_path / "azurite").mkdir()
    with (
        running_swift(tmp_path / "swift") as swift,
        running_azurite(tmp_path / "azurite") as azurite,
        running_gcs() as gcs,
        running_supabase() as supabase,
    ):
        yield [
            swift_location(swift, "s3", region=swift.region),
            swift_location(swift, "b2", region=swift.region),
            _at_google(gcs),
            _at_azure(azurite),
            _at_supabase(supabase),
        ]


def _at_google(gcs: GCS) -> Location:
    return cloud_location("gcs", {"bucket": gcs.make_bucket(), "endpoint_url": gcs.url}, {"key_json": gcs.key_json()})


def _at_azure(azurite: Azurite) -> Location:
    options = {"account": azurite.account, "container": azurite.make_container(), "endpoint_url": azurite.url}
    return cloud_location("azure", options, {"account_key": azurite.account_key})


def _at_supabase(supabase: Supabase) -> Location:
    supabase.buckets["weddings"] = Bucket()
    return cloud_location("supabase", {"url": supabase.url, "bucket": "weddings"}, {"service_key": supabase.key()})


@pytest.mark.stock
@pytest.mark.services
def test_one_read_fills_every_cloud_and_stock_restic_restores_each(
    ground: Ground, clouds: list[Location], tmp_path: Path
) -> None:
    vault = vault_create(
        organisation=ground.studio,
        wedding=ground.wedding,
        protection_class="media",
        policy=ground.policy,
        locations=[ground.locations[0], *clouds],
    )
    fill(ground.source())
    source_add(vault, str(ground.source()))

    job = ground.back_up(vault)

    assert job.state == JobState.COMPLETED, job.message
    assert set(Copy.unscoped.filter(vault=vault).values_list("state", flat=True)) == {CopyState.CURRENT}
    assert Snapshot.unscoped.get(vault=vault).acknowledged_at is not None
    for location in clouds:
        repository = _downloaded(location, str(vault.pk), tmp_path / location.kind)
        stock.check(repository, vault_secret(vault))
        stock.restore(repository, vault_secret(vault), "latest", tmp_path / f"{location.kind} restored")
        restored = tmp_path / f"{location.kind} restored" / str(ground.source()).lstrip("/")
        assert contents(restored) == contents(ground.source()), location.kind


def _downloaded(location: Location, vault: str, folder: Path) -> Path:
    """Bring the vault's copy down into `folder`, as rclone would; return the repository's folder."""
    store = location_open(location, purpose=RECOVERY)
    for info in store.list(f"{vault}/"):
        file = folder / info.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(store.get(info.name))
    store.close()
    return folder / vault
