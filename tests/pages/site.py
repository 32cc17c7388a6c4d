"""A whole installation of its own, as a person would start it: `manage.py serve` in a process, SQLite, folders."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 15.0


def environment(home: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("WEDBACKUP_")}
    return own | {"WEDBACKUP_HOME": str(home), "WEDBACKUP_ENGINE_PROCESSES": "1"}


def run(home: Path, *arguments: str) -> str:
    """Run a Python command in the installation and return what it printed."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def set_up(home: Path, folder: Path) -> None:
    """Make the installation in `home` with the cast; `folder` holds the source files."""
    home.mkdir()
    run(home, "manage.py", "migrate", "-v0")
    run(home, "manage.py", "setup")
    run(home, "-m", "tests.pages.furnish", str(folder))


@contextlib.contextmanager
def serving(home: Path) -> Iterator[str]:
    """Run the site and give its address; it must end by itself when asked."""
    port = free_port()
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    log = home / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(home), stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/sign-in/", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"the site did not start: {log.read_text()}")
