"""The audit trail shows every change and the database refuses to make one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from wedbackup.core import audit_guard
from wedbackup.core.audit import AuditTag, record, verify_chain
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, AuditError

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = AuditEntry._meta.db_table


@pytest.fixture
def trail(clock: ManualClock) -> list[AuditEntry]:
    """Five lines."""
    for number in range(5):
        clock.advance(1)
        record(
            AuditTag.LOCATION_CHANGED,
            actor="alice",
            subject_type="location",
            subject_id=number,
            detail={"name": f"Ä {number}", "b": [1, 2.5], "a": None},
            clock=clock,
        )
    return list(AuditEntry.objects.all())


@pytest.fixture
def unguarded(trail: list[AuditEntry]) -> Iterator[None]:
    """Somebody with the database's own rights took the triggers away."""
    audit_guard.remove(connection)
    yield
    audit_guard.install(connection)


def _sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_an_untouched_trail_is_whole(trail: list[AuditEntry]) -> None:
    assert verify_chain() is None
    assert [line.previous_hash for line in trail[1:]] == [line.hash for line in trail[:-1]]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda: _sql(f"UPDATE {TABLE} SET actor = 'bob'"), id="update"),
        pytest.param(lambda: _sql(f"DELETE FROM {TABLE}"), id="delete"),
        pytest.param(lambda: AuditEntry.objects.update(tag="x"), id="update by the ORM"),
        pytest.param(lambda: AuditEntry.objects.all().delete(), id="delete by the ORM"),
    ],
)
def test_the_database_refuses_to_change_or_delete_a_line(trail: list[AuditEntry], change: Callable[[], None]) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change()
    assert AuditEntry.objects.count() == len(trail)
    assert verify_chain() is None


def test_the_program_refuses_as_well(trail: list[AuditEntry]) -> None:
    with pytest.raises(AuditError):
        trail[0].save()
    with pytest.raises(AuditError):
        trail[0].delete()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "2026-06-12 11:00:00+00:00"),
        ("actor", "bob"),
        ("tag", "user.signed_in"),
        ("organisation_id", "00000000000000000000000000000001"),
        ("subject_type", "job"),
        ("subject_id", "9"),
        ("detail", '{"name": "nobody"}'),
        ("previous_hash", "f" * 64),
        ("hash", "f" * 64),
    ],
)
def test_a_change_behind_the_programs_back_is_found(
    trail: list[AuditEntry], unguarded: None, column: str, value: str
) -> None:
    _sql(f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", value, trail[2].pk)
    assert verify_chain() == trail[2].pk


@pytest.mark.parametrize(("lost", "found"), [(0, 1), (2, 3), (4, 4)])
def test_a_missing_line_is_found_also_the_last(trail: list[AuditEntry], unguarded: None, lost: int, found: int) -> None:
    """The line after the missing one does not fit; for the last line, the head of the trail remembers it."""
    _sql(f"DELETE FROM {TABLE} WHERE id = %s", trail[lost].pk)
    assert verify_chain() == trail[found].pk


def test_an_emptied_trail_is_found(trail: list[AuditEntry], unguarded: None) -> None:
    _sql(f"DELETE FROM {TABLE}")
    assert verify_chain() == trail[-1].pk


def test_writers_at_the_same_time_make_one_chain(db: None) -> None:
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        for turn in range(5):
            record(AuditTag.SIGNED_IN, actor=f"person {number}", subject_type="user", subject_id=turn)
        connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert AuditEntry.objects.count() == 40
    assert verify_chain() is None
