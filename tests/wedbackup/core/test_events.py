"""Events can be read in order, and none is overtaken."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction

from wedbackup.core import events
from wedbackup.core.clock import ManualClock
from wedbackup.core.events import Tag, emit, events_after

pytestmark = pytest.mark.django_db(transaction=True)


def _emit(number: int, clock: ManualClock) -> int:
    return emit(Tag.JOB_MOVED, subject_type="job", subject_id=number, payload={"n": number}, clock=clock).pk


def test_an_event_is_there_exactly_when_its_transaction_is(clock: ManualClock) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        _emit(1, clock)
        raise ZeroDivisionError
    with transaction.atomic():
        _emit(2, clock)
    assert [event.payload["n"] for event in events_after(0)] == [2]


def test_a_reader_gets_what_is_new_in_order_and_in_portions(clock: ManualClock) -> None:
    ids = [_emit(number, clock) for number in range(5)]
    assert [event.pk for event in events_after(0, limit=3)] == ids[:3]
    assert [event.pk for event in events_after(ids[2])] == ids[3:]
    assert events_after(ids[-1]) == []


def test_an_event_that_commits_late_is_not_overtaken(clock: ManualClock) -> None:
    """On PostgreSQL a later event may be committed first; the reader waits for the earlier one."""
    if connection.vendor == "sqlite":
        return _assert_writers_are_alone(clock)
    written, may_commit = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            _emit(1, clock)
            written.set()
            may_commit.wait(10)
        connections.close_all()

    writer = threading.Thread(target=slow)
    writer.start()
    assert written.wait(10)
    _emit(2, clock)
    threading.Timer(0.3, may_commit.set).start()
    assert [event.payload["n"] for event in events_after(0)] == [1, 2]
    writer.join()
    return None


def _assert_writers_are_alone(clock: ManualClock) -> None:
    """SQLite has one writer at a time, so ids are handed out in the order of the commits."""
    with transaction.atomic(), connection.cursor() as cursor:
        _emit(1, clock)
        cursor.execute("SELECT 1")
    assert connection.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_what_concerns_a_provider_is_logged_once_it_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[str, object]] = []
    monkeypatch.setattr(events, "integration_event", lambda name, detail: logged.append((name, detail)))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        emit(Tag.LOCATION_DOWN, subject_type="location", subject_id="1")
        raise ZeroDivisionError
    emit(Tag.CREDENTIAL_CHANGED, subject_type="location", subject_id="2", payload={"version": 3})
    emit(Tag.JOB_MOVED, subject_type="job", subject_id="3")
    assert logged == [("credential.changed", {"subject": "2", "version": 3})]
