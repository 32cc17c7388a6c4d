"""Timing whole commands: wall clock and the memory of the whole process tree."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Measurement:
    """seconds: wall clock [s].  pss_mb: peak proportional set size of the process tree [MB]."""

    seconds: float
    pss_mb: float


class CommandFailed(RuntimeError):
    """A contestant's command ended with an error: the row is void, not slow."""


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue  # ended between the listing and the reading
    return found


def _pss_kb(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        return 0  # ended, or not ours to read
    return 0


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Measurement:
    """Run `command` to its end and measure it; raises CommandFailed with its last lines."""
    os.sync()
    peak = 0
    ended = threading.Event()
    started = time.monotonic()
    with subprocess.Popen(
        command, env={**os.environ, **(env or {})}, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:

        def watch() -> None:
            nonlocal peak
            while not ended.wait(SAMPLE_SECONDS):
                peak = max(peak, sum(_pss_kb(pid) for pid in _tree(process.pid)))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        output, _ = process.communicate()
        seconds = time.monotonic() - started
        ended.set()
        watcher.join()
    if process.returncode:
        tail = output.decode("utf-8", "replace")[-1500:]
        raise CommandFailed(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    return Measurement(seconds, peak / 1000)


def output_of(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run `command` unmeasured and return what it printed; raises CommandFailed."""
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-1500:]}")
    return done.stdout
