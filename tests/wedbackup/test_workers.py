"""The production shape as processes: Redis, PostgreSQL, two workers and a scheduler."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installations import Installation, kill
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis

pytestmark = pytest.mark.services


@pytest.fixture
def installation(tmp_path: Path, postgres: Postgres, redis: Redis) -> Iterator[Installation]:
    """One wedding whose first backup is due and takes a few seconds; two workers and a scheduler."""
    made = Installation(tmp_path, postgres.fresh_database(), redis.url)
    made.set_up(weddings=1, files=30, file_bytes=10_000_000)
    with made.ended_afterwards():
        yield made


def _worker_at_work(installation: Installation) -> int:
    """Return the pid of the worker that runs the backup; 0 while nobody does."""
    owners = installation.rows("SELECT lease_owner FROM backups_job WHERE state = 'running'")
    return int(owners[0][0].split("/")[1]) if owners else 0


def test_when_a_worker_is_killed_the_other_one_goes_on_within_ten_seconds(installation: Installation) -> None:
    workers = {process.pid: process for process in (installation.celery("worker", "-n", n) for n in ("one", "two"))}
    installation.celery("beat")
    installation.wait_until(installation.a_backup_is_running)
    first = _worker_at_work(installation)
    kill(workers[first])
    seconds = installation.wait_until(lambda: _worker_at_work(installation) not in {0, first}, seconds=30)
    assert seconds < 10
    installation.wait_until(lambda: installation.backups_ended(1))
    assert set(installation.states()) <= {"completed", "degraded"}


def test_a_worker_that_is_told_to_end_hands_its_job_back(installation: Installation) -> None:
    worker = installation.celery("worker", "-n", "one")
    beat = installation.celery("beat")
    installation.wait_until(installation.a_backup_is_running)
    kill(beat)
    begin = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    assert time.monotonic() - begin < 5
    assert installation.states() == ["queued"]
    assert installation.reasons()[-1] == "the server is shutting down"


def test_two_schedulers_start_each_backup_once(installation: Installation) -> None:
    for name in ("one", "two"):
        installation.celery("worker", "-n", name)
        installation.celery("beat")
    installation.wait_until(lambda: installation.backups_ended(1))
    time.sleep(3)  # a few more ticks of both
    assert len(installation.states()) == 1
    assert installation.reasons().count("") <= 2  # queued once, started once
