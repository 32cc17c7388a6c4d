"""The other programs, driven as their users drive them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from backups.engine.format import hash_hex
from backups.engine.format.key import FOR_SECRETS
from backups.engine.format.repository import new_vault
from tests.bench.measure import Measurement, output_of, run

PASSWORD = "bench-password"


class Restic:
    """Stock restic. Its repositories are made with our scrypt cost, so that no side pays for a slower key."""

    name = "restic"

    def __init__(self, work: Path, environment: Mapping[str, str] | None = None) -> None:
        self._work = work
        self._env = {
            "RESTIC_PASSWORD": PASSWORD,
            "RESTIC_FROM_PASSWORD": PASSWORD,
            "RESTIC_CACHE_DIR": str(work / "restic-cache"),
            **(environment or {}),
        }

    def init(self, name: str) -> str:
        """Make an empty local repository and return its path."""
        root = self._work / name
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        vault = new_vault(PASSWORD.encode(), now=time.time_ns(), cost=FOR_SECRETS)
        for folder in ("keys", "data", "index", "snapshots", "locks"):
            (root / folder).mkdir()
        (root / "config").write_bytes(vault.config_file)
        (root / "keys" / hash_hex(vault.key_file)).write_bytes(vault.key_file)
        return str(root)

    def backup(self, repository: str, source: Path) -> Measurement:
        return run(["restic", "-r", repository, "backup", "--quiet", *self._extra, str(source)], env=self._env)

    def copy(self, repository: str, target: str) -> Measurement:
        return run(["restic", "-r", target, "copy", "--quiet", "--from-repo", repository], env=self._env)

    def restore(self, repository: str, target: Path, *, proof: bool) -> Measurement:
        """proof: restic's own --verify, which reads the files back (from the system's cache)."""
        command = ["restic", "-r", repository, "restore", "latest", "--quiet", "--target", str(target)]
        return run([*command, "--verify"] if proof else command, env=self._env)

    def check(self, repository: str, password: str = PASSWORD) -> None:
        """Stock restic reads every byte; raises CommandFailed when anything is wrong."""
        env = {**self._env, "RESTIC_PASSWORD": password}
        output_of(["restic", "-r", repository, "check", "--read-data", "--no-cache", *self._extra], env=env)

    @property
    def _extra(self) -> list[str]:
        certificate = self._env.get("AWS_CA_BUNDLE")
        return ["--cacert", certificate] if certificate else []

    def version(self) -> str:
        return output_of(["restic", "version"]).split(" compiled")[0]


class Borg:
    """borg with authenticated encryption and its default compression."""

    name = "borg"

    def __init__(self, work: Path) -> None:
        self._work = work
        self._env = {
            "BORG_PASSPHRASE": PASSWORD,
            "BORG_BASE_DIR": str(work / "borg-base"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }

    def init(self, name: str) -> str:
        root = self._work / name
        shutil.rmtree(root, ignore_errors=True)
        output_of(["borg", "init", "--encryption", "repokey-blake2", str(root)], env=self._env)
        return str(root)

    def backup(self, repository: str, source: Path) -> Measurement:
        return run(["borg", "create", f"{repository}::{time.time_ns()}", str(source)], env=self._env)

    def check(self, repository: str) -> None:
        output_of(["borg", "check", repository], env=self._env)

    def version(self) -> str:
        return output_of(["borg", "--version"]).strip()


class Rclone:
    """rclone into an encrypting remote on the local disk: no snapshots, no deduplication, the plain floor."""

    name = "rclone"

    def __init__(self, work: Path) -> None:
        self._work = work
        secret = output_of(["rclone", "obscure", PASSWORD]).strip()
        self._env = {"RCLONE_CONFIG": str(work / "rclone.conf"), "RCLONE_CRYPT_PASSWORD": secret}
        (work / "rclone.conf").touch()

    def init(self, name: str) -> str:
        root = self._work / name
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        return str(root)

    def backup(self, repository: str, source: Path) -> Measurement:
        return run(["rclone", "copy", str(source), f":crypt,remote='{repository}':"], env=self._env)

    def check(self, repository: str, source: Path) -> None:
        output_of(["rclone", "cryptcheck", str(source), f":crypt,remote='{repository}':"], env=self._env)

    def version(self) -> str:
        return output_of(["rclone", "version"]).splitlines()[0]
