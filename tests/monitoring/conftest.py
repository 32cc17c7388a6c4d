"""A wedding with one vault at one location: what alerts are about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from backups.models import Copy, Job, Source, Vault, Wedding
from backups.services.jobs import job_enqueue, job_move
from backups.states import JobState
from providers.models import Location
from tests.cast import Cast
from wedbackup.core import live
from wedbackup.core.clock import ManualClock


@dataclass
class World:
    """The cast, with a vault of Lumen's for a wedding that is still far away."""

    cast: Cast
    wedding: Wedding
    vault: Vault
    location: Location
    clock: ManualClock

    def backup(self, **fields: Any) -> Job:
        """A backup of the vault, queued now."""
        return job_enqueue(
            kind="backup",
            organisation=self.vault.organisation,
            wedding=self.wedding,
            vault=self.vault,
            clock=self.clock,
            **fields,
        )

    def ended(self, job: Job, state: str, **fields: Any) -> Job:
        """Let `job` run and end as `state`."""
        assert job_move(job, JobState.RUNNING, reason="", actor="w1", clock=self.clock, started_at=self.clock.utcnow())
        assert job_move(job, state, reason="", actor="w1", clock=self.clock, **fields)
        return job


@pytest.fixture
def world(cast: Cast, clock: ManualClock) -> World:
    now = clock.utcnow()
    Wedding.unscoped.update(date=now.date() + timedelta(days=60))
    cast.wedding.refresh_from_db()
    vault = Vault.unscoped.create(
        organisation=cast.lumen,
        wedding=cast.wedding,
        protection_class="guests",
        policy=cast.policy,
        sealed_secret="",
        sealed_master="",
        config_file=b"",
        key_file=b"",
        created_at=now,
    )
    Source.unscoped.create(vault=vault, path="/srv/guests")
    location = Location.objects.create(name="Shelf", kind="local", account="here", created_at=now)
    Copy.unscoped.create(vault=vault, location=location)
    return World(cast, cast.wedding, vault, location, clock)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What was published to open pages about alerts: (group, message)."""
    messages: list[tuple[str, dict[str, Any]]] = []

    def publish(group: str, message: dict[str, Any]) -> None:
        if message["type"].startswith("alert"):
            messages.append((group, message))

    monkeypatch.setattr(live, "publish", publish)
    return messages
