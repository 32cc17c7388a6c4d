"""A deletion by another hand is found out, the copy is checked at once, and our own deletions alarm nobody."""

from __future__ import annotations

from datetime import datetime

import pytest

from backups.models import Copy, Job
from backups.services.notices import notices_judge
from monitoring.models import Alert
from monitoring.reader import read
from providers.models import Notification
from tests.monitoring.conftest import World, world  # noqa: F401 - a fixture
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(world: World):  # noqa: F811
    """Say that the provider tells of a removed object."""

    def tell(name: str, at: datetime | None = None, happened: str = "removed") -> None:
        now = world.clock.utcnow()
        Notification.objects.create(
            location=world.location,
            event_id=f"{name}@{Notification.objects.count()}",
            happened=happened,
            object_name=name,
            sent_at=at or now,
            received_at=now,
        )

    return tell


def test_a_foreign_deletion_checks_the_copy_and_alarms(world: World, told) -> None:  # noqa: F811
    told(f"{world.vault.pk}/data/3f/3f1a")
    told(f"{world.vault.pk}/index/77")
    (job,) = notices_judge(clock=world.clock)
    assert (job.kind, job.parameters["copy"]) == ("check", Copy.unscoped.get().pk)
    read(clock=world.clock)
    alert = Alert.objects.get(key=f"objects.changed:{world.vault.pk}:{Copy.unscoped.get().pk}")
    assert alert.severity == "critical"
    assert "2 removed" in alert.detail
    assert notices_judge(clock=world.clock) == [], "it is judged once"
    world.ended(job, "completed")
    read(clock=world.clock)
    alert.refresh_from_db()
    assert alert.state == "resolved"


def test_what_our_own_job_removed_alarms_nobody(world: World, told, clock: ManualClock) -> None:  # noqa: F811
    world.ended(world.backup(), "completed")
    told(f"{world.vault.pk}/index/77")
    assert notices_judge(clock=world.clock) == []
    clock.advance(3600)
    told(f"{world.vault.pk}/index/78")
    assert len(notices_judge(clock=world.clock)) == 1, "an hour after the job it was somebody else"


@pytest.mark.parametrize(
    "name",
    [
        "wedbackup-probe/abc",
        "{vault}/locks/1",
        "00000000-0000-4000-8000-000000000000/data/x",
        "holiday.jpg",
        "a/data/b",
    ],
)
def test_probes_locks_and_strangers_are_nothing_to_us(world: World, told, name: str) -> None:  # noqa: F811
    told(name.format(vault=world.vault.pk))
    assert notices_judge(clock=world.clock) == []
    assert Notification.objects.filter(judged_at=None).count() == 0


def test_a_creation_alarms_nobody(world: World, told) -> None:  # noqa: F811
    told(f"{world.vault.pk}/data/3f/3f1a", happened="created")
    assert notices_judge(clock=world.clock) == []


def test_the_folder_in_the_bucket_is_taken_off(world: World, told) -> None:  # noqa: F811
    world.location.options = {"prefix": "weddings/2026"}
    world.location.save()
    told(f"weddings/2026/{world.vault.pk}/data/3f/3f1a")
    told(f"elsewhere/{world.vault.pk}/data/3f/3f1a")
    notices_judge(clock=world.clock)
    assert Job.unscoped.filter(kind="check").count() == 1
