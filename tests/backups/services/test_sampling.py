"""Between two full reads, copies whose provider proves nothing are looked into at random each day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from backups.models import Copy, Job, Vault
from backups.services.checks import CHECK_EVERY, SAMPLE_EVERY, check_request, checks_enqueue_due, samples_enqueue_due
from backups.states import CopyState, JobState
from providers.stores.base import Capabilities
from providers.stores.local import LocalStore
from tests.backups.ground import Ground
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock


@pytest.fixture
def vault(ground: Ground) -> Vault:
    vault = ground.vault()
    ground.back_up(vault)
    return vault


@pytest.fixture
def in_a_while() -> Callable[[timedelta], ManualClock]:
    return lambda pause: ManualClock(SYSTEM_CLOCK.utcnow() + pause)


def test_each_copy_is_looked_into_once_a_day(vault: Vault, in_a_while: Callable[[timedelta], ManualClock]) -> None:
    assert samples_enqueue_due() == []  # just written
    tomorrow = in_a_while(SAMPLE_EVERY + timedelta(hours=1))
    jobs = samples_enqueue_due(clock=tomorrow)
    assert {job.parameters["copy"] for job in jobs} == set(vault.copies.values_list("pk", flat=True))
    assert all(job.parameters["sample"] and not job.parameters["read_data"] for job in jobs)
    assert samples_enqueue_due(clock=tomorrow) == []


def test_a_full_read_that_is_due_takes_its_place(vault: Vault, in_a_while: Callable[[timedelta], ManualClock]) -> None:
    next_week = in_a_while(CHECK_EVERY + timedelta(hours=1))
    assert samples_enqueue_due(clock=next_week) == []
    assert checks_enqueue_due(clock=next_week)


def test_where_the_provider_proves_what_it_keeps_nothing_is_read(
    vault: Vault, in_a_while: Callable[[timedelta], ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStore, "capabilities", Capabilities(proves_at_rest=True))
    assert samples_enqueue_due(clock=in_a_while(SAMPLE_EVERY + timedelta(hours=1))) == []


def sampled(ground: Ground, copy: Copy) -> Job:
    (job,) = check_request([copy], read_data=False, sample=True)
    return ground.run(job)


def test_the_job_says_truthfully_how_much_was_read(ground: Ground, vault: Vault) -> None:
    copy = vault.copies.select_related("location").first()
    assert copy is not None
    job = sampled(ground, copy)
    assert job.state == JobState.COMPLETED
    assert "structure and a sample: " in job.message and "100 %" in job.message
    copy.refresh_from_db()
    assert copy.verified_at is None  # a sample is no proof of every byte


def test_a_flipped_byte_that_a_sample_meets_is_repaired_from_the_other_copies(ground: Ground, vault: Vault) -> None:
    copy = vault.copies.select_related("location").first()
    assert copy is not None
    folder = Path(copy.location.options["root"]) / vault.prefix / "data"
    pack = max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    whole = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    job = sampled(ground, copy)
    assert job.state == JobState.COMPLETED, job.message
    assert "1 file was put again" in job.message
    assert pack.read_bytes() == whole
    copy.refresh_from_db()
    assert copy.state == CopyState.CURRENT
