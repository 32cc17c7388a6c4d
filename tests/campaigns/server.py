"""The real server as a process of its own, to be killed without a word and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.servers.ports import wait_for_port

ROOT = Path(__file__).resolve().parents[2]
ORPHANS_SECONDS = 2.0  # how long children of a killed server may outlive it
START_SECONDS = 60.0


class Server:
    """`manage.py serve` in a session of its own, by which its children are found whatever becomes of it."""

    def __init__(self, environment: Mapping[str, str], port: int, log: Path) -> None:
        self._environment = dict(environment)
        self._port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it listens when `wait` returns."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "serve", "--port", str(self._port)],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return once it listens. Raises RuntimeError when it ends instead, or takes too long."""
        assert self._process is not None
        wait_for_port(self._port, self._process, seconds=START_SECONDS)

    @property
    def children(self) -> list[int]:
        """The processes that it has started and that are at work."""
        assert self._process is not None
        return [pid for pid in _members(self._process.pid) if pid != self._process.pid]

    def kill(self) -> int:
        """SIGKILL to the server alone, as the kernel does it when memory is short; return its session."""
        assert self._process is not None
        session = self._process.pid
        self._process.kill()
        self._process.wait()
        self._process = None
        return session

    def stop(self) -> None:
        """End it in good order; after ten seconds in bad order."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


def wait_for_orphans(session: int) -> tuple[float, int]:
    """Wait until all processes of a killed server's session are gone.

    Returns how long that took [s] and how many were left after ORPHANS_SECONDS; those are killed.
    """
    began = time.monotonic()
    while left := list(_members(session)):
        if time.monotonic() - began > ORPHANS_SECONDS:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return time.monotonic() - began, len(left)
        time.sleep(0.01)
    return time.monotonic() - began, 0


def _members(session: int) -> Iterator[int]:
    """Yield the living processes of a session."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = Path("/proc", name, "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in {"Z", "X"}:
            yield int(name)
