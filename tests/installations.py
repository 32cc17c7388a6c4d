"""Whole installations in processes of their own: set up, filled, started, killed, and looked at through their database.

installation = Installation(tmp_path)
installation.set_up(weddings=1, files=20, file_bytes=1_000_000)
with installation.serving() as server:
    installation.wait_until(installation.all_backups_completed)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.ports import free_port, wait_for_port

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 120


@dataclass
class Installation:
    """One installation below `root`. Without addresses it is the embedded shape."""

    root: Path
    database_url: str = ""
    redis_url: str = ""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def environment(self) -> dict[str, str]:
        given = {"HOME": str(self.home), "DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}
        settings = {f"WEDBACKUP_{name}": value for name, value in given.items()}
        return os.environ | settings | {"DJANGO_SETTINGS_MODULE": "wedbackup.settings", "PYTHONWARNINGS": "ignore"}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of manage.py to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    def set_up(self, *, weddings: int, files: int, file_bytes: int) -> None:
        """Make keys, tables, locations, and weddings with one vault each, whose first backup is due."""
        for arguments in (["migrate", "-v0"], ["setup"]):
            result = self.command(*arguments)
            assert result.returncode == 0, result.stderr
        wanted = json.dumps([str(self.root / "sources"), weddings, files, file_bytes])
        code = f"import django; django.setup(); from tests.installations import fill; fill(*{wanted})"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=self.environment, check=True)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start one process of the installation; its output goes to a file of its own in `root`."""
        with (self.root / f"process-{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        self.started.append(process)
        return process

    def serve(self, port: int | None = None) -> tuple[subprocess.Popen[bytes], int]:
        """Start the embedded server; return it and its port once it listens."""
        port = port or free_port()
        process = self.start("manage", "serve", "--port", str(port))
        wait_for_port(port, process)
        return process, port

    def celery(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a worker or the scheduler of the production shape."""
        return self.start("celery", "-A", "wedbackup", *arguments)

    @contextlib.contextmanager
    def ended_afterwards(self) -> Iterator[Installation]:
        """Kill whatever is left of the started processes at the end."""
        try:
            yield self
        finally:
            for process in self.started:
                if process.poll() is None:
                    process.kill()
                process.wait(30)

    def log(self) -> str:
        """What all processes wrote."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.root.glob("process-*.log")))

    def rows(self, query: str) -> Sequence[Sequence[Any]]:
        """Ask the installation's database."""
        if self.database_url:
            with psycopg.connect(self.database_url) as postgres:
                postgres.execute("SELECT set_config('wedbackup.organisations', '*', false)")
                return postgres.execute(query).fetchall()
        with contextlib.closing(sqlite3.connect(self.home / "wedbackup.sqlite3", timeout=20)) as sqlite:
            return sqlite.execute(query).fetchall()

    def states(self) -> list[str]:
        """The states of all backups."""
        return [row[0] for row in self.rows("SELECT state FROM backups_job WHERE kind = 'backup' ORDER BY created_at")]

    def reasons(self) -> list[str]:
        """Why backups moved, in order."""
        return [row[0] for row in self.rows("SELECT reason FROM backups_jobmove ORDER BY id")]

    def a_backup_is_running(self) -> bool:
        """Whether a backup has begun to report."""
        return bool(self.rows("SELECT 1 FROM backups_job WHERE state = 'running' AND progress_at IS NOT NULL"))

    def backups_ended(self, count: int) -> bool:
        return sum(state not in {"queued", "running"} for state in self.states()) >= count

    def wait_until(self, condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> float:
        """Return how long it took until `condition` held [s]; fail with the logs if it does not."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > seconds:
                raise AssertionError(f"not within {seconds} s; states {self.states()}\n{self.log()[-5000:]}")
            time.sleep(0.02)
        return time.monotonic() - begin


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9: no good-bye, nothing written."""
    process.send_signal(signal.SIGKILL)
    process.wait(30)


def fill(sources: str, weddings: int, files: int, file_bytes: int) -> None:
    """Runs in the installation's own process: an organisation with weddings, each with a vault and a source folder."""
    from datetime import date, timedelta

    from backups.models import Policy, Vault
    from backups.services.installation import EMBEDDED
    from backups.services.organisations import organisation_create
    from backups.services.vaults import source_add, vault_create
    from backups.services.weddings import wedding_create
    from providers.models import Location
    from tests.cast import PASSWORD
    from wedbackup.core.models import User

    User.objects.create_superuser("alice", password=PASSWORD, role=User.Role.ADMIN)
    for location in Location.objects.all():  # said to be on three disks, or nothing could be acknowledged
        location.medium = location.name
        location.save()
    organisation = organisation_create(name="Lumen Photography", vendor_type="photographer")
    for number in range(weddings):
        folder = Path(sources) / f"wedding {number}"
        folder.mkdir(parents=True)
        for file in range(files):
            (folder / f"IMG_{file:04}.jpg").write_bytes(os.urandom(file_bytes))
        wedding = wedding_create(
            couple=f"Couple {number}", date=date.today() + timedelta(days=20 + number), vendors=[organisation]
        )
        vault = vault_create(
            organisation=organisation,
            wedding=wedding,
            protection_class=Vault.ProtectionClass.MEDIA,
            policy=Policy.objects.get(name=EMBEDDED),
            locations=list(Location.objects.order_by("name")),
        )
        source_add(vault, str(folder))
