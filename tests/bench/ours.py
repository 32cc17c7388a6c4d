"""The product under test: a fresh installation, driven by its own commands (jobs, database and progress on)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import Measurement, output_of, run

ROOT = Path(__file__).resolve().parents[2]
MANAGE = [sys.executable, str(ROOT / "manage.py")]


@dataclass(frozen=True)
class Copy:
    """One copy of the vault: its repository path (or URL) as stock restic takes it."""

    repository: str


@dataclass(frozen=True)
class Installed:
    """A vault that is ready to be backed up."""

    vault_id: str
    secret: str
    copies: list[Copy]


class Wedbackup:
    """One installation with its own home, so that runs do not know of each other."""

    name = "wedbackup"

    def __init__(self, work: Path, environment: Mapping[str, str] | None = None) -> None:
        self._work = work
        self._env = dict(environment or {})
        self._home = work / "home"

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **self._env,
            "WEDBACKUP_HOME": str(self._home),
            "DJANGO_SETTINGS_MODULE": "wedbackup.settings",
            "PYTHONPATH": str(ROOT),
        }

    def install(self, source: Path, locations: Sequence[Mapping[str, object]]) -> Installed:
        """Start from nothing: keys, database, `locations` (kind, options, secrets) and one vault with `source`."""
        shutil.rmtree(self._home, ignore_errors=True)
        (self._home / "locations").mkdir(parents=True)
        request = json.dumps({"source": str(source), "locations": list(locations)})
        answer = output_of([sys.executable, "-m", "tests.bench.install", request], env=self._environment, cwd=ROOT)
        fields = json.loads(answer.splitlines()[-1])
        return Installed(fields["vault"], fields["secret"], [Copy(path) for path in fields["repositories"]])

    def folders(self, count: int) -> list[Mapping[str, object]]:
        """Return `count` folder locations below the installation's home."""
        return [
            {"kind": "local", "options": {"root": str(self._home / "locations" / str(number))}}
            for number in range(count)
        ]

    def backup(self, installed: Installed) -> Measurement:
        return run([*MANAGE, "backup", "--vault", installed.vault_id], env=self._environment, cwd=ROOT)

    def restore(self, installed: Installed, target: Path, *, proof: bool) -> Measurement:
        """proof: read every file back from the disk and compare it, as the command does unless told not to."""
        command = [*MANAGE, "restore", "latest", str(target), "--vault", installed.vault_id]
        return run(command if proof else [*command, "--no-verify"], env=self._environment, cwd=ROOT)

    def engine_backup(self, installed: Installed) -> Measurement:
        """The bare engine on the same vault: no job, no database."""
        command = [sys.executable, "-m", "tests.bench.engine_only", installed.vault_id]
        return run(command, env=self._environment, cwd=ROOT)
