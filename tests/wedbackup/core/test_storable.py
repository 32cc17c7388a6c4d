"""Any text can be stored, on SQLite and (run again by test_postgresql.py) on PostgreSQL."""

from __future__ import annotations

import os

import pytest

from tests.cast import Cast
from wedbackup.core.audit import AuditTag, record, verify_chain
from wedbackup.core.events import Tag, emit, events_after
from wedbackup.core.models import Heartbeat
from wedbackup.core.storable import storable

pytestmark = pytest.mark.django_db(transaction=True)

LATIN = os.fsdecode(b"caf\xe9 \x00.jpg")  # a name that is not UTF-8, and a character that no row takes


def test_a_name_that_is_not_utf8_or_holds_nul_can_be_stored_as_text_and_in_json(cast: Cast) -> None:
    """restic's and borg's odd names: on PostgreSQL a list of problems with one of them lost the snapshot's row."""
    Heartbeat.objects.create(name=LATIN, at=cast.clock.utcnow())
    Heartbeat.objects.filter(name=LATIN).update(name=f"again {LATIN}")
    assert Heartbeat.objects.get(name=f"again {LATIN}").name == "again caf\ufffd \ufffd.jpg"
    before = events_after(0)
    emit(Tag.JOB_MOVED, subject_type="job", subject_id=1, payload={"files": [[LATIN, "denied"]]}, clock=cast.clock)
    (event,) = events_after(before[-1].pk if before else 0)
    assert event.payload["files"][0][0] in (LATIN, storable(LATIN))


def test_the_audit_trail_proves_a_line_about_such_a_name(cast: Cast) -> None:
    record(AuditTag.SOURCE_ADDED, actor="root", subject_type="vault", subject_id=1, detail={"path": LATIN})
    assert verify_chain() is None


def test_what_can_be_stored_is_left_as_it_is() -> None:
    assert storable("naïve 💍") == "naïve 💍"
    assert storable({"a": ["\0", 1, None]}) == {"a": ["\ufffd", 1, None]}
