"""Damage is over by proof only."""

from __future__ import annotations

import pytest

from backups.engine.upkeep.copies import CopyProblem, Trouble
from backups.models import Copy, DamagedFile, Vault
from backups.services.copystates import copy_confirm, copy_degrade, copy_heal
from backups.services.damage import damage_met, damage_note, damaged_names
from backups.states import CopyState
from wedbackup.core.clock import ManualClock


@pytest.fixture
def copy(vault: Vault) -> Copy:
    return Copy.unscoped.filter(vault=vault).select_related("location", "vault__organisation")[0]


def test_neither_a_confirmation_nor_a_place_that_is_silent_ends_damage(copy: Copy, clock: ManualClock) -> None:
    """truth-engine E1. Also when it was found by another process, after this one had read the row."""
    stale = Copy.unscoped.select_related("location", "vault").get(pk=copy.pk)
    damage_note(copy, {"data/ab/abcd": "rotten"}, clock=clock)
    copy_confirm(stale, [], proof="read_back", clock=clock)
    assert stale.state == CopyState.DAMAGED
    copy_degrade(stale, CopyState.UNREACHABLE, "silent", clock=clock)
    copy.refresh_from_db()
    assert (copy.state, copy.last_error) == (CopyState.DAMAGED, "1 file is damaged or missing: data/ab/abcd: rotten")
    copy_heal(copy, clock=clock)
    copy_confirm(copy, [], proof="read_back", clock=clock)
    copy.refresh_from_db()
    assert copy.state == CopyState.CURRENT


@pytest.mark.parametrize(
    ("trouble", "damaged", "read_data"),
    [(Trouble.DAMAGED, True, [True]), (Trouble.MISSING, False, [False]), (Trouble.UNANSWERED, False, [])],
)
def test_only_wrong_bytes_are_damage_and_a_line_that_broke_says_nothing(
    copy: Copy, clock: ManualClock, trouble: Trouble, damaged: bool, read_data: list[bool]
) -> None:
    problem = CopyProblem(copy.location.name, "data/ab/abcd", "as it was met", trouble)
    jobs = damage_met(Copy.unscoped.filter(vault=copy.vault), [problem], clock=clock)
    assert [job.parameters["read_data"] for job in jobs] == read_data
    assert bool(damaged_names(copy)) == damaged == DamagedFile.unscoped.exists()
