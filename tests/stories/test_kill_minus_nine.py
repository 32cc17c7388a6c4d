"""The server is killed without a word while it backs up, and started again.

backup --(kill -9)--> restart --> the job goes on by itself --> stock restic finds every copy whole, nothing is lost

A small sample of `bin/kill9`, which does this two hundred times.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLS = 4  # and two of prunes


@pytest.mark.stock
def test_a_backup_killed_at_any_moment_goes_on_by_itself_and_no_acknowledged_snapshot_is_lost(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [f"{ROOT}/bin/kill9", "--count", str(KILLS), "--work", str(tmp_path), "--json", str(report)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rounds = json.loads(report.read_text())["rounds"]
    backups = [each for each in rounds if each["change"] != "prune"]
    assert len(backups) == KILLS
    assert {each["where"] for each in backups} == {"disk", "memory"}
    assert all(each["killed_after"] > 0 and each["stage"] for each in backups), "a kill missed the running job"
    assert any(each["restored"] for each in backups)
