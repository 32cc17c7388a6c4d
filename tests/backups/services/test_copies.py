"""A vault gets one more copy, filled from the others, and only where copies may be."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from backups.models import Copy, Job, Vault
from backups.services.copies import copy_add
from backups.services.vaults import vault_secret
from backups.states import CopyState, JobState
from providers.models import Location
from providers.services.locations import location_create
from tests.backups.ground import Ground
from tests.restic import stock
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.models import AuditEntry, User


@pytest.fixture
def attic(ground: Ground) -> Location:
    """A fourth folder, validated."""
    location = location_create(name="Attic", kind="local", options={"root": str(ground.root / "attic")}, actor="alice")
    Location.objects.filter(pk=location.pk).update(validated_at=SYSTEM_CLOCK.utcnow(), medium="disk attic")
    location.refresh_from_db()
    return location


@pytest.fixture
def alice(transactional_db: None) -> User:
    return User.objects.create_user("alice", role=User.Role.ADMIN, is_staff=True, is_superuser=True)


@pytest.mark.stock
def test_a_new_copy_is_filled_from_the_others_and_stock_restic_reads_it(
    ground: Ground, attic: Location, alice: User
) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    copy = copy_add(vault, attic, actor=alice)
    assert not copy.required, "the policy's three are waited for already"
    assert ground.run(Job.unscoped.get(kind="catch_up")).state == JobState.COMPLETED
    copy.refresh_from_db()
    assert copy.state == CopyState.CURRENT
    stock.check(ground.root / "attic" / str(vault.pk), vault_secret(vault))
    assert AuditEntry.objects.filter(tag="copy.added").count() == 1


def test_a_copy_that_the_policy_lacks_is_waited_for(ground: Ground, attic: Location, alice: User) -> None:
    vault = ground.vault()
    vault.copies.filter(location=ground.locations[2]).delete()
    assert copy_add(vault, attic, actor=alice).required
    assert not Job.unscoped.exists(), "there is nothing to fill it with yet"


def test_a_copy_elsewhere_makes_a_snapshot_safe_that_was_not(ground: Ground, attic: Location, alice: User) -> None:
    ground.share_a_disk()
    vault = ground.vault()
    ground.back_up(vault)
    assert vault.snapshots.get().acknowledged_at is None
    copy_add(vault, attic, actor=alice)
    ground.run(Job.unscoped.get(kind="catch_up"))
    assert vault.snapshots.get().acknowledged_at is not None


def test_no_copy_goes_where_none_may_be_or_is(ground: Ground, attic: Location, alice: User) -> None:
    vault = ground.vault()
    with pytest.raises(ValidationError, match="already exists"):
        copy_add(vault, ground.locations[0], actor=alice)
    Location.objects.filter(pk=attic.pk).update(validated_at=None)
    attic.refresh_from_db()
    with pytest.raises(ValidationError, match="not validated"):
        copy_add(vault, attic, actor=alice)
    assert Copy.unscoped.filter(vault=vault).count() == 3


def test_an_admin_gives_all_vaults_a_copy_at_a_new_location(
    ground: Ground, attic: Location, alice: User, client: Client
) -> None:
    vaults = [ground.vault("media"), ground.vault("documents")]
    ground.back_up(vaults[0])
    client.force_login(alice)
    page = client.get(f"/locations/{attic.pk}/copies/").content.decode()
    assert page.count('type="checkbox"') == 2
    assert page.count(" checked") == 2
    answer = client.post(f"/locations/{attic.pk}/copies/", {"vaults": [str(vault.pk) for vault in vaults]})
    assert answer.status_code == 302
    assert {copy.vault for copy in attic.copies.all()} == set(vaults)
    assert [job.kind for job in Job.unscoped.filter(state="queued")] == ["catch_up"]
    assert "Tick at least one" in client.post(f"/locations/{attic.pk}/copies/", {}).content.decode()


def test_an_admin_gives_one_vault_a_copy(ground: Ground, attic: Location, alice: User, client: Client) -> None:
    vault: Vault = ground.vault()
    client.force_login(alice)
    page = client.get(f"/vaults/{vault.pk}/copies/new/").content.decode()
    assert "Attic" in page
    assert ground.locations[0].name not in page.split("<select")[1]
    answer = client.post(f"/vaults/{vault.pk}/copies/new/", {"location": str(attic.pk)})
    assert answer.headers["Location"] == f"/weddings/{vault.wedding_id}/"
    assert attic.copies.count() == 1
