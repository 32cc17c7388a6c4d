"""A private Redis from Debian's binary, on a free port, in memory only: for tests."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.servers.ports import free_port, wait_for_port


@dataclass(frozen=True)
class Redis:
    """A running Redis on 127.0.0.1."""

    port: int

    @property
    def url(self) -> str:
        """What WEDBACKUP_REDIS_URL takes."""
        return f"redis://127.0.0.1:{self.port}/0"


@contextlib.contextmanager
def running_redis() -> Iterator[Redis]:
    """Start Redis; it is gone at the end."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise RuntimeError("redis-server is missing: install Debian's package redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="wedbackup-redis-") as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        try:
            wait_for_port(port, process)
            yield Redis(port)
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis for the whole session."""
    with running_redis() as server:
        yield server
