"""What must be right before the server or a worker starts: keys, database, settings. Each finding says what to do."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Critical, Error, Warning, register
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from wedbackup.core.sealing import SealingError, seal

SET_UP = "Run `bin/run`, or `manage.py setup`."


def start_problems() -> list[CheckMessage]:
    """Return everything that keeps this installation from starting; empty when it may start."""
    return [*check_settings(), *check_key_file(), *check_database()]


@register(deploy=True)
def check_settings(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings themselves."""
    del app_configs
    problems: list[CheckMessage] = []
    if settings.SECRET_KEY == "unsafe-until-setup-has-run":  # noqa: S105 - the name of the default
        problems.append(Error("There is no secret key for sessions.", hint=SET_UP, id="wedbackup.E001"))
    if settings.LEASE_SECONDS < 2 * settings.HEARTBEAT_SECONDS:
        hint = "Set WEDBACKUP_LEASE_SECONDS to at least three times WEDBACKUP_HEARTBEAT_SECONDS."
        problems.append(Error("Leases end before they can be renewed.", hint=hint, id="wedbackup.E002"))
    if settings.WORKER_CONCURRENCY < 1:
        hint = "Set WEDBACKUP_WORKER_CONCURRENCY to 1 or more."
        problems.append(Error("No job could ever run.", hint=hint, id="wedbackup.E003"))
    if settings.PRODUCTION and connection.vendor == "sqlite":
        hint = "Set WEDBACKUP_DATABASE_URL to a PostgreSQL database."
        problems.append(Warning("SQLite holds one machine's work only.", hint=hint, id="wedbackup.W001"))
    if settings.PRODUCTION and not settings.REDIS_URL:
        hint = "Set WEDBACKUP_REDIS_URL, so that processes can ring each other and pages hear of all workers."
        problems.append(Warning("Messages stay inside one process.", hint=hint, id="wedbackup.W002"))
    return problems


def check_key_file() -> list[CheckMessage]:
    """Return what is wrong with the file whose keys seal all secrets."""
    path = settings.KEY_FILE
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        seal(b"", purpose="check")
    except FileNotFoundError:
        hint = f"Put it back from your safe copy; on a new installation: {SET_UP}"
        return [Critical(f"The key file {path} is missing.", hint=hint, id="wedbackup.C001")]
    except (OSError, SealingError) as exc:
        hint = "Put the key file back from your safe copy."
        return [Critical(f"The key file {path} cannot be used: {exc}", hint=hint, id="wedbackup.C002")]
    if mode & 0o077:
        hint = f"Run `chmod 600 {path}`, and think about who could have read it."
        return [Error(f"Others on this machine may read the key file {path}.", hint=hint, id="wedbackup.E004")]
    return []


def check_database() -> list[CheckMessage]:
    """Return whether the database answers and has the tables that this version needs."""
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as exc:
        hint = "Start the database server, or correct WEDBACKUP_DATABASE_URL."
        if connection.vendor == "sqlite":
            hint = f"Check that the folder {settings.HOME} exists, is writable, and its disk is not full."
        problem = f"The database does not answer ({type(exc).__name__})."
        return [Critical(problem, hint=hint, id="wedbackup.C003")]
    if missing:
        hint = f"{SET_UP} Or run `manage.py migrate`."
        return [Error(f"The database lacks {len(missing)} changes of this version.", hint=hint, id="wedbackup.E005")]
    return []
