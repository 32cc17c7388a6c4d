"""A wedding with one vault, people of each role, and a clock: what alerts are about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from backups.models import Copy, Job, Membership, Organisation, Policy, Source, Vault, Wedding, WeddingVendor
from backups.services.jobs import job_enqueue, job_move
from backups.states import JobState
from providers.models import Location
from wedbackup.core import live
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import User


@dataclass
class World:
    """Alice is an admin, Bob staff; Carol is a vendor whose vault this is, Dave a vendor at another place."""

    alice: User
    bob: User
    carol: User
    dave: User
    studio: Organisation
    wedding: Wedding
    vault: Vault
    location: Location
    clock: ManualClock

    def backup(self, **fields: Any) -> Job:
        """A backup of the vault, queued now."""
        return job_enqueue(
            kind="backup", organisation=self.studio, wedding=self.wedding, vault=self.vault, clock=self.clock, **fields
        )

    def ended(self, job: Job, state: str, **fields: Any) -> Job:
        """Let `job` run and end as `state`."""
        assert job_move(job, JobState.RUNNING, reason="", actor="w1", clock=self.clock, started_at=self.clock.utcnow())
        assert job_move(job, state, reason="", actor="w1", clock=self.clock, **fields)
        return job


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(db: None, clock: ManualClock) -> World:
    now = clock.utcnow()
    people = {
        name: User.objects.create_user(name, password="a long password", role=role)
        for name, role in {"alice": "admin", "bob": "staff", "carol": "vendor", "dave": "vendor"}.items()
    }
    studio = Organisation.unscoped.create(name="Studio Carol", created_at=now)
    other = Organisation.unscoped.create(name="Dave's Barn", created_at=now)
    Membership.unscoped.create(user=people["carol"], organisation=studio)
    Membership.unscoped.create(user=people["dave"], organisation=other)
    wedding = Wedding.unscoped.create(couple="Okafor & Lindqvist", date=now.date() + timedelta(days=60), created_at=now)
    WeddingVendor.objects.create(wedding=wedding, organisation=studio)
    vault = Vault.unscoped.create(
        organisation=studio,
        wedding=wedding,
        protection_class="guests",
        policy=Policy.objects.create(name="Usual"),
        sealed_secret="",
        sealed_master="",
        config_file=b"",
        key_file=b"",
        created_at=now,
    )
    Source.unscoped.create(vault=vault, path="/srv/guests")
    location = Location.objects.create(name="Shelf", kind="local", account="here", created_at=now)
    Copy.unscoped.create(vault=vault, location=location)
    return World(**people, studio=studio, wedding=wedding, vault=vault, location=location, clock=clock)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What was published to open pages about alerts: (group, message)."""
    messages: list[tuple[str, dict[str, Any]]] = []

    def publish(group: str, message: dict[str, Any]) -> None:
        if message["type"].startswith("alert"):
            messages.append((group, message))

    monkeypatch.setattr(live, "publish", publish)
    return messages
