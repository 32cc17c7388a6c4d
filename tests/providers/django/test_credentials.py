"""Promises of providers.services.credentials: a secret goes in, opens a store, and is seen nowhere else."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
from django.db import connection

from providers.models import Credential, Location
from providers.services.credentials import credential_set, secrets_of
from providers.services.locations import CredentialUnreadable, location_open, location_report
from providers.services.probes import location_probe
from providers.stores.options import InvalidOptions
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
    assert secrets_of(bucket) == {"secret_key": CANARY}, "the canary must be there to be missed elsewhere"
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


def test_a_new_credential_retires_the_old_one_and_is_audited(bucket: Location, clock: ManualClock) -> None:
    clock.advance(60)
    credential = credential_set(bucket, {"secret_key": "newer"}, actor="bob", clock=clock)
    assert credential.version == 2
    assert secrets_of(bucket) == {"secret_key": "newer"}
    assert Credential.objects.get(version=1).retired_at == clock.utcnow()
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
    assert secrets_of(bucket) == {"secret_key": CANARY}


def test_a_credential_moved_to_another_location_does_not_open(bucket: Location, folder: Location) -> None:
    other = Location.objects.get(pk=folder.pk)
    Credential.objects.update(location=other)
    Location.objects.filter(pk=other.pk).update(kind="s3", options=bucket.options)
    other.refresh_from_db()
    with pytest.raises(CredentialUnreadable, match="does not open with this key file"):
        location_open(other, purpose="backup")


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
    assert bucket.credentials.filter(retired_at=None).count() == 1
