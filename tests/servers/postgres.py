"""A private PostgreSQL from Debian's binaries, on a free port, without durability: for tests."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.servers.ports import free_port, wait_for_port

USER = "wedbackup"  # owns its databases and is no superuser, as in production: row-level security holds for it
SUPERUSER = "postgres"
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL, which trusts everybody on 127.0.0.1."""

    port: int

    @property
    def url(self) -> str:
        """What WEDBACKUP_DATABASE_URL takes."""
        return self._url(USER)

    def fresh_database(self) -> str:
        """Make an empty database and return its url."""
        name = f"wedbackup_{secrets.token_hex(4)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # the name is made above
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgres://{USER}:any@127.0.0.1:{self.port}/{database}"


def _binary(name: str) -> str:
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)
    if found is None:
        raise RuntimeError(f"{name} is missing: install Debian's package postgresql")
    return found


def _as_user() -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as the system's user for it."""
    if os.getuid() != 0:
        return []
    entry = pwd.getpwnam("postgres")
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def _make_owner(port: int) -> None:
    """Make the application's role and its first database."""
    url = f"postgres://{SUPERUSER}:any@127.0.0.1:{port}/{SUPERUSER}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB")
        connection.execute(f"CREATE DATABASE {USER} OWNER {USER}")


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start PostgreSQL with an empty cluster; it and its files are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="wedbackup-postgres-"))  # not below root's 0700 folders
    prefix = _as_user()
    try:
        if prefix:
            shutil.chown(folder, "postgres")
        cluster = folder / "cluster"
        initdb = [_binary("initdb"), "--no-sync", "--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8"]
        subprocess.run([*prefix, *initdb, f"--pgdata={cluster}"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        port = free_port()
        settings = QUICK | {"listen_addresses": "127.0.0.1", "port": str(port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*prefix, _binary("postgres"), "-D", str(cluster), "-k", str(folder), *options],
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for_port(port, process)
            _make_owner(port)
            yield Postgres(port)
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown: does not wait for clients
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for the whole session."""
    with running_postgres() as server:
        yield server
