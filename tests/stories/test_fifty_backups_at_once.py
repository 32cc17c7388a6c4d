"""Saturday evening: fifty weddings are due at the same moment, and people look at their pages meanwhile.

In both shapes all fifty backups complete, each was started once, and the pages go on answering. How fast the pages
are depends on the machine, so it is written down (the test suite's properties in the JUnit report), not judged.
"""

from __future__ import annotations

import http.cookiejar
import statistics
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cast import PASSWORD
from tests.installations import Installation
from tests.servers.ports import free_port, wait_for_port
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis

WEDDINGS = 50
Record = Callable[[str, Any], None]


class Visitor:
    """Alice with a browser."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.cookies = http.cookiejar.CookieJar()
        self._browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.seconds: list[float] = []

    def sign_in(self) -> None:
        self._browser.open(f"{self.address}/sign-in/").read()
        token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
        form = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": token}
        request = urllib.request.Request(
            f"{self.address}/sign-in/",
            urllib.parse.urlencode(form).encode(),
            {"Referer": f"{self.address}/sign-in/"},
        )
        self._browser.open(request).read()
        assert any(cookie.name == "sessionid" for cookie in self.cookies)

    def look(self) -> None:
        """Open the overview and note how long it took."""
        begin = time.perf_counter()
        with self._browser.open(f"{self.address}/") as answer:
            assert answer.status == 200
            assert answer.url == f"{self.address}/"  # not sent away to sign in
            answer.read()
        self.seconds.append(time.perf_counter() - begin)


def _all_backed_up(installation: Installation, visitor: Visitor, shape: str, record: Record) -> None:
    """Look at pages until all backups have ended; then check that each ran once and every copy is recorded."""
    peak = 0

    def ended() -> bool:
        nonlocal peak
        visitor.look()
        peak = max(peak, installation.states().count("running"))
        return installation.backups_ended(WEDDINGS)

    seconds = installation.wait_until(ended, seconds=240)
    record(f"fifty backups, {shape}: seconds", round(seconds, 1))
    record(f"fifty backups, {shape}: at once", peak)
    record(f"fifty backups, {shape}: page, median ms", round(statistics.median(visitor.seconds) * 1000, 1))
    record(f"fifty backups, {shape}: page, slowest ms", round(max(visitor.seconds) * 1000, 1))
    assert installation.states() == ["completed"] * WEDDINGS, installation.log()[-5000:]
    starts = installation.rows("SELECT count(*) FROM backups_jobmove WHERE new_state = 'running' GROUP BY job_id")
    assert [count for (count,) in starts] == [1] * WEDDINGS
    assert installation.rows("SELECT count(*) FROM backups_snapshot WHERE acknowledged_at IS NOT NULL") == [(WEDDINGS,)]
    assert installation.rows("SELECT count(*) FROM backups_snapshotcopy") == [(3 * WEDDINGS,)]


def test_in_one_process(tmp_path: Path, record_testsuite_property: Record) -> None:
    installation = Installation(tmp_path)
    installation.set_up(weddings=WEDDINGS, files=12, file_bytes=300_000)
    with installation.ended_afterwards():
        _, port = installation.serve()
        visitor = Visitor(port)
        visitor.sign_in()
        _all_backed_up(installation, visitor, "one process", record_testsuite_property)


@pytest.mark.services
def test_with_two_worker_processes_redis_and_postgresql(
    tmp_path: Path, postgres: Postgres, redis: Redis, record_testsuite_property: Record
) -> None:
    installation = Installation(tmp_path, postgres.fresh_database(), redis.url)
    installation.set_up(weddings=WEDDINGS, files=12, file_bytes=300_000)
    with installation.ended_afterwards():
        port = free_port()
        web = installation.start("daphne", "-p", str(port), "wedbackup.asgi:application")
        for name in ("one", "two"):
            installation.celery("worker", "-P", "threads", "-c", "64", "-n", f"{name}@%h")
        wait_for_port(port, web)
        visitor = Visitor(port)
        visitor.sign_in()
        installation.celery("beat")
        _all_backed_up(installation, visitor, "two workers", record_testsuite_property)
        owners = installation.rows("SELECT DISTINCT actor FROM backups_jobmove WHERE new_state = 'running'")
        assert len(owners) == 2  # both took part
