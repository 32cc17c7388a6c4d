"""Fixtures for everybody: the cast, a clock that moves when told, places for copies, and a database that threads share.

Tests that start threads or run jobs ask for `transactional_db` (or `django_db(transaction=True)`): other threads cannot
see what a test's open transaction holds, and on SQLite they would wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.test import TransactionTestCase

from backups.models import Vault
from providers.models import Location
from tests.cast import Cast, make_cast, make_location, make_vault
from tests.servers.postgres import postgres
from tests.servers.redis import redis
from wedbackup.core import audit_guard
from wedbackup.core.clock import ManualClock
from wedbackup.core.sealing import create_key_file

__all__ = ["postgres", "redis"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SQLite in a file, as in production: a database in memory has other locks. Nothing here must survive a crash."""
    database = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
        database["OPTIONS"]["init_command"] = database["OPTIONS"]["init_command"].replace("FULL", "OFF")


@pytest.fixture(scope="session", autouse=True)
def audit_trail_can_be_emptied_between_tests() -> Iterator[None]:
    """The database refuses to delete audit lines; Django's clean-up after a test with threads has to."""
    flush: Callable[[Any], None] = vars(TransactionTestCase)["_fixture_teardown"]

    def without_guard(case: Any) -> None:
        audit_guard.remove(connection)
        flush(case)
        audit_guard.install(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", without_guard)
        yield


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of its own for each test: key file, caches."""
    home = tmp_path_factory.mktemp("home")
    settings.HOME = home
    settings.KEY_FILE = home / "keys" / "wrapping-keys.json"
    settings.CACHE_DIR = home / "cache"
    return home


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Hashing the cast's passwords properly took a second and a half per test."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def key_file(home: Path, settings: Any) -> Path:
    """The file with the keys that seal the secrets."""
    create_key_file(settings.KEY_FILE)
    return settings.KEY_FILE


@pytest.fixture
def clock() -> ManualClock:
    """Friday, 12 June 2026, 12:00 UTC; stands still until told to move."""
    return ManualClock()


@pytest.fixture
def cast(db: None, clock: ManualClock) -> Cast:
    """Alice, Sam, Vera, Carl and the wedding of Okafor & Lindqvist."""
    return make_cast(clock)


@pytest.fixture
def locations(cast: Cast, tmp_path: Path) -> list[Location]:
    """Three folders that count as three failure domains."""
    return [
        make_location(cast.clock, tmp_path / name.lower(), name=name, account=f"{name.lower()} account")
        for name in ("Attic", "Bank", "Cloud")
    ]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a few files, one of them larger than a chunk."""
    folder = tmp_path / "photos"
    (folder / "ceremony").mkdir(parents=True)
    (folder / "timeline.txt").write_text("13:00 ceremony\n15:00 dinner\n")
    for number in range(5):
        (folder / "ceremony" / f"IMG_{number:04}.jpg").write_bytes(os.urandom(200_000))
    (folder / "film.mp4").write_bytes(os.urandom(3_000_000))
    return folder


@pytest.fixture
def vault(cast: Cast, key_file: Path, locations: list[Location], photos: Path) -> Vault:
    """Lumen's photos of the wedding, with three places for copies and nothing stored yet."""
    return make_vault(cast, locations, photos)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process of the tests is left with it alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/stories/", "tests/wedbackup/", "tests/pages/")))
