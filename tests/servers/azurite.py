"""Azurite, Microsoft's emulator of Azure Storage: the blob service for tests, from npm.

It checks shared keys, SAS tokens with their rights and expiry, and Content-MD5; it keeps uncommitted blocks, pages its
listings and knows access tiers. It has no immutability policies, no versions and no soft delete
(https://github.com/Azure/Azurite#support-matrix). It is installed once below $WEDBACKUP_TEST_CACHE, needs Node.js with
npm, keeps everything in memory and starts in about 2 s:

    with running_azurite(Path("/tmp/somewhere")) as azurite:
        AzureOptions(account=azurite.account, account_key=azurite.account_key, endpoint_url=azurite.url, ...)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from tests.servers.ports import free_port, wait_for_port
from tests.servers.swift import cache_folder
from wedbackup.core.clock import SYSTEM_CLOCK

AZURITE_VERSION = "3.37.0"
ACCOUNT = "devstoreaccount1"
# Published by Microsoft for every emulator; no secret of anybody:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azurite:
    """A running Azurite. `port` speaks plain HTTP on 127.0.0.1."""

    port: int
    account: str = ACCOUNT
    account_key: str = ACCOUNT_KEY

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def service(self) -> BlobServiceClient:
        """Return the SDK's own client, for what a store never does; the caller closes it."""
        credential = {"account_name": self.account, "account_key": self.account_key}
        return BlobServiceClient(f"{self.url}/{self.account}", credential=credential)

    def make_container(self, *, public: bool = False) -> str:
        """Make an empty container and return its name."""
        name = f"container-{secrets.token_hex(6)}"
        with self.service() as service:
            service.create_container(name, public_access="container" if public else None)
        return name

    def sas_token(self, container: str, rights: str, *, hours: float = 24) -> str:
        """Return a token for `container` with these rights ("rcwl"), which ends `hours` [h] from now."""
        now = SYSTEM_CLOCK.utcnow()
        return generate_container_sas(
            self.account,
            container,
            self.account_key,
            permission=ContainerSasPermissions.from_string(rights),
            start=now - timedelta(days=2),
            expiry=now + timedelta(hours=hours),
        )


@contextlib.contextmanager
def running_azurite(folder: Path) -> Iterator[Azurite]:
    """Start Azurite with its log below `folder`, yield it, stop it.

    Raises RuntimeError with the end of the log if it does not come up.
    """
    port, log_path = free_port(), folder / "azurite.log"
    program = _installed() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    command = ["node", str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        try:
            wait_for_port(port, process)
        except RuntimeError as exc:
            raise RuntimeError(f"Azurite did not start: {log_path.read_text(errors='replace')[-2000:]}") from exc
        yield Azurite(port)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _installed() -> Path:
    """Return the folder of Azurite's packages, installing them at the first use; several processes may ask at once."""
    home = cache_folder() / f"azurite-{AZURITE_VERSION}"
    home.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            install = ["npm", "install", "--prefix", str(home), "--no-save", "--no-audit", "--no-fund"]
            package = ["--ignore-scripts", "--loglevel=error", f"azurite@{AZURITE_VERSION}"]
            ran = subprocess.run([*install, *package], capture_output=True, text=True, env={**os.environ, "CI": "1"})
            if ran.returncode:
                raise RuntimeError(f"npm could not install Azurite: {ran.stderr[-2000:]}")
            (home / "complete").touch()
    return home
