"""Promises of providers.services.credentials: a secret goes in, opens a store, and is seen nowhere else."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from providers import registry
from providers.models import Credential, Location
from providers.services.credentials import PRUNER, credential_set, secrets_of
from providers.services.locations import (
    PRUNE,
    RECOVERY,
    CredentialUnreadable,
    location_create,
    location_open,
    location_report,
    store_of,
    store_with,
)
from providers.services.probes import location_probe
from providers.stores.errors import StoreError
from providers.stores.memory import MemoryStore
from providers.stores.options import InvalidOptions, LineOptions, option
from tests.bench.rotation import innermost_rotating
from tests.providers.django.conftest import CANARY
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry

pytestmark = pytest.mark.django_db


def whole_database() -> str:
    """Return every cell of every table as text."""
    cells: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            cells += [str(cell) for row in cursor.fetchall() for cell in row]
    return "\n".join(cells)


def test_a_secret_is_readable_nowhere(bucket: Location, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Sealed in the database, absent from reprs, errors, logs and the audit trail, also when the location fails."""
    caplog.set_level(logging.DEBUG)
    store = location_open(bucket, purpose="backup")
    assert secrets_of(bucket)["secret_key"] == CANARY, "the canary must be there to be missed elsewhere"
    result = location_probe(bucket, clock=clock)
    assert result is not None and result.error is not None, "the fault was not hit"
    location_report(bucket, ok=False, error=result.error, clock=clock)
    seen = [whole_database(), repr(store), repr(vars(store)), repr(result), repr(bucket), caplog.text]
    seen.append(repr(vars(bucket.credentials.get())))
    inner = store
    while hasattr(inner, "inner"):
        inner = inner.inner
        seen.append(repr(inner))
    seen.append(repr(inner.options))  # type: ignore[attr-defined]
    assert not [text for text in seen if CANARY in text]


def test_a_credential_set_at_once_lets_the_old_one_drain_and_is_audited(bucket: Location, clock: ManualClock) -> None:
    clock.advance(60)
    credential = credential_set(bucket, {"secret_key": "newer"}, actor="bob", clock=clock)
    assert (credential.version, credential.state, credential.entered_by) == (2, "current", "bob")
    assert secrets_of(bucket) == {"secret_key": "newer"}
    old = Credential.objects.get(version=1)
    assert (old.state, old.switched_at, old.retired_at) == ("draining", clock.utcnow(), None)
    entry = AuditEntry.objects.filter(tag="credential.set").latest("id")
    assert (entry.actor, entry.detail) == ("bob", {"location": "Bucket", "version": 2})


@pytest.mark.parametrize(
    ("secrets", "message"),
    [({"token": "x"}, "token: no secret option"), ({}, "missing secret: secret_key"), ({"secret_key": ""}, "missing")],
)
def test_a_wrong_set_of_secrets_is_refused_and_changes_nothing(
    bucket: Location, secrets: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidOptions, match=message):
        credential_set(bucket, secrets, actor="bob")
    assert secrets_of(bucket) == {"secret_key": CANARY, "access_key": "AKIA1"}


def test_a_credential_moved_to_another_location_does_not_open(bucket: Location, folder: Location) -> None:
    other = Location.objects.get(pk=folder.pk)
    Credential.objects.update(location=other)
    Location.objects.filter(pk=other.pk).update(kind="s3", options=bucket.options)
    other.refresh_from_db()
    with pytest.raises(CredentialUnreadable, match="does not open with this key file"):
        location_open(other, purpose="backup")


def test_a_new_keys_id_is_shown_among_the_settings_and_the_old_one_still_opens_with_its_own(
    bucket: Location, clock: ManualClock
) -> None:
    credential_set(bucket, {"secret_key": "newer", "access_key": "AKIA2"}, actor="bob", clock=clock)
    bucket.refresh_from_db()
    assert bucket.options["access_key"] == "AKIA2"
    credential_set(bucket, {"secret_key": "newest", "access_key": "AKIA3"}, actor="bob", clock=clock)
    second = Credential.objects.get(version=2)
    assert key_and_secret(store_with(bucket, second)) == ("AKIA2", "newer")
    assert key_and_secret(store_of(bucket)) == ("AKIA3", "newest")


def key_and_secret(store: Any) -> tuple[str, str]:
    """Return what the innermost store opens the bucket with."""
    while hasattr(store, "inner"):
        store = store.inner
    return store.options.access_key, store.options.secret_key


def test_prunes_use_the_pruners_credential_and_everything_else_the_writers(
    bucket: Location, clock: ManualClock
) -> None:
    def opened(purpose: str) -> tuple[str, str]:
        return key_and_secret(location_open(bucket, purpose=purpose, clock=clock))

    assert opened(PRUNE) == ("AKIA1", CANARY), "without a pruner the writer prunes"
    credential_set(bucket, {"secret_key": "may-delete", "access_key": "AKIA9"}, role=PRUNER, actor="bob", clock=clock)
    assert opened(PRUNE) == ("AKIA9", "may-delete")
    assert [opened(purpose) for purpose in ("backup", "check", RECOVERY)] == [("AKIA1", CANARY)] * 3
    bucket.refresh_from_db()
    assert bucket.options["access_key"] == "AKIA1", "the settings name the writer's key"


def test_secrets_with_a_default_are_optional_and_make_sense_only_together(
    db: None, key_file: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Azure: the account's key, or a token instead of it."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class KeyOrToken(LineOptions):
        place: str = option("Place")
        key: str = option("Key", default="", secret=True)
        token: str = option("Token", default="", secret=True)

        def __post_init__(self) -> None:
            if bool(self.key) == bool(self.token):
                raise InvalidOptions("give the key or the token")

    class Store(MemoryStore):
        Options = KeyOrToken

        def __init__(self, options: KeyOrToken) -> None:
            super().__init__()
            self.options = options

    monkeypatch.setattr(registry.Kind, "store_class", lambda kind: Store)
    made: dict[str, Any] = {"kind": "s3", "options": {"place": "p"}, "account": "x", "actor": "alice", "clock": clock}
    with pytest.raises(InvalidOptions, match="give the key or the token"):
        location_create(name="Neither", **made)
    location = location_create(name="Place", secrets={"key": "k"}, **made)
    with pytest.raises(InvalidOptions, match="give the key or the token"):
        credential_set(location, {"key": "k", "token": "t"}, actor="bob", clock=clock)
    credential_set(location, {"key": "", "token": "t"}, actor="bob", clock=clock)
    store = store_of(location)
    assert isinstance(store, Store)
    assert (store.options.key, store.options.token) == ("", "t"), "nothing of the old credential may remain"


@pytest.mark.django_db(transaction=True)
def test_an_open_store_takes_a_new_credential_over_and_its_threads_keep_no_connection(
    bucket: Location, clock: ManualClock
) -> None:
    store = location_open(bucket, purpose="backup", clock=clock)
    rotating = innermost_rotating(store)
    credential_set(bucket, {"secret_key": "newer"}, actor="bob", clock=clock)
    kept: list[object] = []

    def use() -> None:
        clock.advance(2)
        with contextlib.suppress(StoreError):  # nothing listens there
            rotating.head("a")
        kept.append(connection.connection)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert kept == [None]
    assert (rotating.version, key_and_secret(rotating.inner)) == (2, ("AKIA1", "newer"))


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_get_two_versions(bucket: Location, key_file: Path) -> None:
    def enter(secret: str) -> None:
        try:
            credential_set(Location.objects.get(pk=bucket.pk), {"secret_key": secret}, actor=secret)
        finally:
            connection.close()

    people = [threading.Thread(target=enter, args=(name,)) for name in ("bob", "carol")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(bucket.credentials.values_list("version", flat=True)) == [1, 2, 3]
    assert bucket.credentials.filter(state="current").count() == 1
