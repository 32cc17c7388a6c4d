"""Free ports for the servers of the tests, and waiting until they listen."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
from urllib.parse import urlsplit

PORTS = range(20000, 30000)


def free_port() -> int:
    """Return a port of 127.0.0.1 between 20000 and 29999 that nothing listens on."""
    for port in random.SystemRandom().sample(PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 20000 and 29999")


def wait_for_port(port: int, process: subprocess.Popen[bytes], *, seconds: float = 30) -> None:
    """Return once something listens on `port`; raise RuntimeError if `process` ends or `seconds` [s] pass before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on port {port} after {seconds} s")


def port_of(url: str) -> int:
    """Return the port in the address of a server of the tests."""
    port = urlsplit(url).port
    assert port
    return port
