"""What is due is queued once, whoever asks."""

from __future__ import annotations

from datetime import timedelta

from backups.models import Job, Vault
from backups.services.schedule import enqueue_due
from backups.states import JobState
from tests.backups.ground import Ground
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock


def test_a_new_vault_is_due_at_once_and_only_once(ground: Ground) -> None:
    vault = ground.vault()
    assert [job.vault for job in enqueue_due()] == [vault]
    assert enqueue_due() == []


def test_a_vault_of_this_weeks_wedding_is_due_again_after_ten_minutes(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    clock = ManualClock(SYSTEM_CLOCK.utcnow())
    clock.advance(9 * 60)
    assert enqueue_due(clock=clock) == []
    clock.advance(2 * 60)
    assert len(enqueue_due(clock=clock)) == 1


def test_work_missed_for_days_runs_once(ground: Ground) -> None:
    vault = ground.vault()
    Vault.unscoped.update(next_due_at=SYSTEM_CLOCK.utcnow() - timedelta(days=3))
    assert len(enqueue_due()) == 1
    assert Job.unscoped.filter(vault=vault).count() == 1


def test_a_failing_vault_is_tried_in_its_rhythm_not_at_every_tick(ground: Ground) -> None:
    vault = ground.vault()
    (job,) = enqueue_due()
    settings_key = ground.root / "home" / "keys" / "wrapping-keys.json"
    settings_key.unlink()
    assert ground.run(job).state == JobState.FAILED
    assert enqueue_due() == []
    vault.refresh_from_db()
    assert vault.next_due_at is not None and vault.next_due_at > SYSTEM_CLOCK.utcnow()


def test_a_vault_without_a_source_is_never_due(ground: Ground) -> None:
    ground.vault().sources.all().delete()
    assert enqueue_due() == []
