"""What is due is queued once, whoever asks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backups.models import Job, Vault
from backups.services.copies import catch_ups_enqueue_due
from backups.services.schedule import enqueue_due
from backups.states import CopyState, JobState
from providers.models import Location
from providers.services.pauses import traffic_pause, traffic_resume
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


@pytest.mark.parametrize("ahead", [timedelta(hours=3), timedelta(days=365)])
def test_a_clock_that_was_ahead_silences_no_schedule(ground: Ground, ahead: timedelta) -> None:
    """kopia #3736 ("next snapshot: in 19 years"), duplicati #1943: nothing was backed up until that date."""
    vault = ground.vault()
    Vault.unscoped.filter(pk=vault.pk).update(next_due_at=SYSTEM_CLOCK.utcnow() + ahead)
    assert [job.vault for job in enqueue_due()] == [vault]
    assert enqueue_due() == []


def test_work_asked_for_by_a_clock_that_was_ahead_holds_up_no_other(ground: Ground) -> None:
    """A catch-up "of next year" counted as asked for lately until then."""
    vault = ground.vault()
    ground.back_up(vault)
    vault.copies.filter(location=ground.locations[2]).update(state=CopyState.BEHIND)
    (job,) = catch_ups_enqueue_due(clock=ManualClock(SYSTEM_CLOCK.utcnow() + timedelta(days=365)))
    ground.run(job, clock=ManualClock(SYSTEM_CLOCK.utcnow() + timedelta(days=365)))
    vault.copies.filter(location=ground.locations[2]).update(state=CopyState.BEHIND)
    assert len(catch_ups_enqueue_due()) == 1


def test_a_copy_that_lags_is_caught_up_when_its_location_answers_again(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    clock = ManualClock(SYSTEM_CLOCK.utcnow())
    copy = vault.copies.get(location=ground.locations[2])
    vault.copies.filter(pk=copy.pk).update(state=CopyState.UNREACHABLE)
    place = Location.objects.filter(pk=copy.location_id)
    for away in ({"breaker": "open"}, {"paused_at": clock.utcnow()}, {"enabled": False}, {"last_error": "refused"}):
        place.update(**away)
        assert catch_ups_enqueue_due(clock=clock) == []
        place.update(breaker="closed", paused_at=None, enabled=True, last_error="")
    (job,) = catch_ups_enqueue_due(clock=clock)
    assert (job.kind, job.parameters["copy"]) == ("catch_up", copy.pk)
    assert catch_ups_enqueue_due(clock=clock) == []
    assert ground.run(job).state == JobState.COMPLETED
    copy.refresh_from_db()
    assert copy.state == CopyState.CURRENT


def test_while_all_traffic_is_paused_nothing_is_caught_up(ground: Ground) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    vault.copies.filter(location=ground.locations[2]).update(state=CopyState.BEHIND)
    traffic_pause(actor="alice")
    assert catch_ups_enqueue_due() == []
    traffic_resume(actor="alice")
    assert len(catch_ups_enqueue_due()) == 1


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
