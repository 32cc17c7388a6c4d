"""Locks that a killed program left behind are removed by a person's word, never one that is in use."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from backups.models import Job, Vault
from backups.services.unlocking import vault_unlock
from backups.states import JobState
from tests.backups.ground import Ground
from wedbackup.core.audit import AuditTag
from wedbackup.core.models import AuditEntry

ZERO = "0" * 63 + "1"


@pytest.fixture
def locked(ground: Ground) -> Vault:
    """A vault at whose second place lies a lock file without a byte, just written."""
    vault = ground.vault()
    ground.back_up(vault)
    (ground.repository(vault, 1) / "locks" / ZERO).touch()
    return vault


def test_what_somebody_may_hold_stays_unless_a_person_knows_better(ground: Ground, locked: Vault) -> None:
    """restic #1652: the advice was to remove lock files by hand."""
    careful = vault_unlock(locked, actor="alice")
    assert [(each.removed, len(each.left)) for each in careful] == [(0, 0), (0, 1), (0, 0)]
    assert [each.removed for each in vault_unlock(locked, by_force=True, actor="alice")] == [0, 1, 0]
    assert not list((ground.repository(locked, 1) / "locks").iterdir())
    entry = AuditEntry.objects.filter(tag=AuditTag.LOCKS_REMOVED).latest("id")
    assert entry.actor == "alice" and entry.detail["removed"] == {ground.locations[1].name: 1}


def test_while_our_own_work_is_under_way_no_lock_is_touched(locked: Vault) -> None:
    Job.unscoped.filter(vault=locked).update(state=JobState.RUNNING)
    with pytest.raises(ValidationError, match="under way"):
        vault_unlock(locked, by_force=True, actor="alice")


def test_the_command_says_what_is_left_and_what_to_do(ground: Ground, locked: Vault) -> None:
    with pytest.raises(CommandError, match="--force"):
        call_command("unlock", str(locked.pk), stdout=StringIO())
    told = StringIO()
    call_command("unlock", str(locked.pk), "--force", stdout=told)
    assert f"{ground.locations[1].name}: 1 left-over locks removed" in told.getvalue()


def test_a_place_that_is_away_is_named(ground: Ground, locked: Vault) -> None:
    ground.lose(0)
    assert "gone" in vault_unlock(locked, actor="alice")[0].error
