"""How much damage is an alarm: each threshold from both sides."""

from __future__ import annotations

import pytest

from backups.policy.suspicion import Churn, churn_suspicion, is_rewritten, lost_files


@pytest.mark.parametrize(
    ("churn", "files", "alarm"),
    [
        (Churn(spoiled=2), 100, False),
        (Churn(spoiled=3), 100, True),
        (Churn(spoiled=2), 2, True),  # both contracts of a folder of two
        (Churn(spoiled=1), 1, False),
        (Churn(spoiled=19), 1000, False),
        (Churn(spoiled=20), 1000, True),
        (Churn(noisy=49), 100, False),
        (Churn(noisy=50), 100, True),
        (Churn(noisy=9), 9, False),
        (Churn(relabelled=9), 100, False),
        (Churn(relabelled=10), 100, True),
        (Churn(relabelled=4), 8, False),
        (Churn(relabelled=5), 8, True),
        (Churn(), 0, False),
    ],
)
def test_what_no_work_does_is_an_alarm_from_here_on(churn: Churn, files: int, alarm: bool) -> None:
    assert bool(churn_suspicion(churn, files)) is alarm


def test_no_more_files_are_said_to_be_damaged_than_there_are() -> None:
    assert churn_suspicion(Churn(spoiled=300), 100).startswith("100 of 100 files were overwritten")


def test_files_under_another_name_are_not_lost() -> None:
    assert lost_files(before=100, now=100, new=100, moved=100) == 0
    assert lost_files(before=100, now=100, new=100, moved=30) == 70
    assert lost_files(before=100, now=250, new=150, moved=0) == 0


def test_hardly_anybody_rewrites_nearly_all_files_with_noise() -> None:
    assert is_rewritten(80, 100) and not is_rewritten(79, 100) and not is_rewritten(4, 4)
