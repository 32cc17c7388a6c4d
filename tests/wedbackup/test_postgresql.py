"""The promises that lean on the database hold on PostgreSQL as well: the same tests, run again on a private server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.postgres import Postgres

ROOT = Path(__file__).parents[2]
SAME_TESTS = (
    "tests/backups/services/test_jobs.py",
    "tests/backups/test_worker.py",
    "tests/wedbackup/core/test_audit.py",
    "tests/wedbackup/core/test_events.py",
    "tests/wedbackup/core/test_storable.py",
    "tests/wedbackup/test_tick.py",
    "tests/backups/test_consumers.py",
    "tests/wedbackup/on_postgresql/row_security_promises.py",
)


@pytest.mark.services
@pytest.mark.parametrize("tests", SAME_TESTS)
def test_the_same_promises_hold_on_postgresql(postgres: Postgres, tests: str, tmp_path: Path) -> None:
    environment = os.environ | {"WEDBACKUP_DATABASE_URL": postgres.url, "PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": ""}
    options = ["-q", "-p", "no:cacheprovider", "--create-db", "--reuse-db", f"--basetemp={tmp_path / 'again'}"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert "passed" in run.stdout
