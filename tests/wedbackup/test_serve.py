"""The embedded server as a process: it starts or says why not, stops in good order, and survives kill -9."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installations import Installation, kill

STOPS_WITHIN_SECONDS = 5.0


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """One wedding whose first backup is due and takes a few seconds."""
    made = Installation(tmp_path)
    made.set_up(weddings=1, files=30, file_bytes=10_000_000)
    with made.ended_afterwards():
        yield made


def _seconds_to_stop(process: subprocess.Popen[bytes], *signals: signal.Signals) -> float:
    begin = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    process.wait(30)
    return time.monotonic() - begin


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_hands_the_running_backup_back_and_the_next_start_goes_on(
    installation: Installation, number: signal.Signals
) -> None:
    server, port = installation.serve()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/sign-in/") as answer:
        assert answer.status == 200
    installation.wait_until(installation.a_backup_is_running)
    assert _seconds_to_stop(server, number) < STOPS_WITHIN_SECONDS
    assert server.returncode == 0
    assert installation.states() == ["queued"]
    assert installation.reasons()[-1] == "the server is shutting down"
    assert f"http://127.0.0.1:{port}/" in installation.log()
    assert installation.rows("SELECT name FROM core_heartbeat WHERE name LIKE 'worker %'") == []

    installation.serve()
    installation.wait_until(lambda: installation.backups_ended(1))
    assert set(installation.states()) <= {"completed", "degraded"}


def test_killed_in_the_middle_the_backup_goes_on_at_once_after_the_restart(installation: Installation) -> None:
    server, _ = installation.serve()
    installation.wait_until(installation.a_backup_is_running)
    kill(server)
    assert installation.states() == ["running"]  # nobody wrote a word

    installation.serve()
    seconds = installation.wait_until(lambda: "its worker's process ended" in installation.reasons())
    assert seconds < 6  # not the time of a lease
    installation.wait_until(lambda: installation.backups_ended(1))
    assert set(installation.states()) <= {"completed", "degraded"}


def test_a_second_signal_does_not_wait(installation: Installation) -> None:
    server, _ = installation.serve()
    installation.wait_until(installation.a_backup_is_running)
    assert _seconds_to_stop(server, signal.SIGINT, signal.SIGINT) < STOPS_WITHIN_SECONDS


def test_a_taken_port_is_named_with_a_way_out(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = installation.command("serve", "--port", str(port))
    assert result.returncode == 1
    assert f"127.0.0.1:{port}" in result.stderr
    assert "choose another with --port" in result.stderr
    assert "Traceback" not in result.stderr


def test_it_does_not_start_without_its_keys_or_tables(installation: Installation) -> None:
    key_file = installation.home / "keys" / "wrapping-keys.json"
    key_file.chmod(0o644)
    assert "chmod 600" in installation.command("serve").stderr
    key_file.unlink()
    assert "Put it back from your safe copy" in installation.command("serve").stderr
    (installation.home / "wedbackup.sqlite3").unlink()
    assert "manage.py migrate" in installation.command("serve").stderr
