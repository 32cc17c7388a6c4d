"""The stock `restic` program as a judge of what we wrote, and as a writer of what we must be able to read.

Every function runs the real binary without its cache and raises StockResticFailed with its words when it is not
content. A machine without restic fails the tests: this is the promise that nobody may skip.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 240


class StockResticFailed(AssertionError):
    """restic said no; the message holds its command and its output."""


def _program() -> str:
    found = shutil.which("restic")
    if found is None:
        raise StockResticFailed("restic is not installed; bin/test installs it (Debian: apt install restic)")
    return found


def run(repository: Path, secret: bytes, *arguments: str, cwd: Path | None = None, **environment: str) -> str:
    """Run one restic command on the repository folder and return what it printed."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "RESTIC_PASSWORD": secret.decode(),
        "RESTIC_PROGRESS_FPS": "0.01",
        **environment,
    }
    command = [_program(), "--no-cache", "-r", str(repository), *arguments]
    done = subprocess.run(
        command, env=variables, cwd=cwd, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS
    )
    if done.returncode != 0:
        raise StockResticFailed(
            f"restic {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def init(repository: Path, secret: bytes) -> None:
    """Make a repository of format v2."""
    run(repository, secret, "init", "--repository-version", "2")


def backup(
    repository: Path, secret: bytes, source: Path, *options: str, compression: str = "auto", relative: bool = False
) -> str:
    """Back up the folder `source` and return the snapshot's id.

    compression: "auto", "off" or "max".   relative: store "." instead of the absolute path.
    """
    what, cwd = (".", source) if relative else (str(source), None)
    printed = run(repository, secret, "backup", "--json", "--compression", compression, *options, what, cwd=cwd)
    summary = next(json.loads(line) for line in printed.splitlines() if '"summary"' in line)
    short: str = summary["snapshot_id"]
    return next(found["id"] for found in snapshots(repository, secret) if found["id"].startswith(short))


def check(repository: Path, secret: bytes, *options: str, read_data: bool = True) -> None:
    """Let restic check the repository, every byte of every pack unless told otherwise."""
    printed = run(repository, secret, "check", *options, *(["--read-data"] if read_data else []))
    if "no errors were found" not in printed:
        raise StockResticFailed(printed)


def restore(repository: Path, secret: bytes, snapshot_id: str, target: Path, *options: str) -> None:
    """Restore a snapshot ("latest" is allowed) into `target`."""
    run(repository, secret, "restore", snapshot_id, "--target", str(target), *options)


def snapshots(repository: Path, secret: bytes) -> list[dict[str, Any]]:
    """Return the snapshots as restic lists them."""
    found: list[dict[str, Any]] = json.loads(run(repository, secret, "snapshots", "--json")) or []
    return found


def ls(repository: Path, secret: bytes, snapshot_id: str) -> list[dict[str, Any]]:
    """Return all nodes of a snapshot as restic lists them."""
    lines = run(repository, secret, "ls", "--json", snapshot_id).splitlines()
    return [entry for entry in map(json.loads, lines) if entry["struct_type"] == "node"]


def copy(source: Path, target: Path, secret: bytes, *snapshot_ids: str) -> None:
    """Copy snapshots from one repository folder to another one with the same secret."""
    run(target, secret, "copy", "--from-repo", str(source), *snapshot_ids, RESTIC_FROM_PASSWORD=secret.decode())


def add_key(repository: Path, secret: bytes, new_secret: bytes, scratch: Path) -> None:
    """Add a second secret. scratch: a folder for the file in which restic wants to read it."""
    file = scratch / "new-secret"
    file.write_bytes(new_secret)
    run(repository, secret, "key", "add", "--new-password-file", str(file))
    file.unlink()
