"""Reads what happened, in order and once, keeps the alerts true, and hands the events on to the webhooks.

The cursor moves by compare-and-set in the transaction that raises and resolves the alerts: of two readers one does the
work, and a reader that dies in the middle has done nothing.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta

from django.db import DatabaseError, transaction

from monitoring.models import Cursor
from monitoring.rules import NOTHING, Judgement, concerns, judge
from monitoring.services.alerts import acknowledgements_end, alert_raise, alert_resolve
from monitoring.services.webhooks import deliveries_plan
from monitoring.surroundings import occurrence_of
from monitoring.watch import conditions_watch
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.events import events_after
from wedbackup.core.models import Event
from wedbackup.core.turns import turn_claim

log = logging.getLogger(__name__)

READER = "alerts"
BATCH = 200  # events per transaction: SQLite lets nobody else write meanwhile
WATCH = "monitoring"
WATCH_EVERY = timedelta(seconds=15)


def read(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Take note of all new events, and of all conditions when their time has come; return how many events were read.

    Safe to call from anywhere at any time; of several at once one does the work.
    """
    total = 0
    while count := _read_batch(clock):
        total += count
    if turn_claim(WATCH, WATCH_EVERY, clock=clock):
        conditions_watch(clock=clock)
        acknowledgements_end(clock=clock)
    return total


def _read_batch(clock: Clock) -> int:
    cursor, _ = Cursor.objects.get_or_create(reader=READER)
    fresh = events_after(cursor.last_event_id, limit=BATCH)
    if not fresh:
        return 0
    with transaction.atomic():
        moved = Cursor.objects.filter(reader=READER, last_event_id=cursor.last_event_id)
        if moved.update(last_event_id=fresh[-1].pk) != 1:
            return 0  # another reader was first, and has these events
        deliveries_plan(fresh, clock=clock)
        for event in fresh:
            _take_note(event, clock)
    return len(fresh)


def _take_note(event: Event, clock: Clock) -> None:
    if not concerns(event.tag, event.payload):
        return
    judgement = _understood(event, clock)
    for wish in judgement.wishes:
        alert_raise(**asdict(wish), clock=clock)
    for key in judgement.over:
        alert_resolve(key, clock=clock)


def _understood(event: Event, clock: Clock) -> Judgement:
    """Judge an event; one that nobody understands must not keep all later ones from being heard."""
    try:
        return judge(occurrence_of(event, clock.utcnow()))
    except DatabaseError:
        raise  # nothing is wrong with the event: the whole batch is read again
    except Exception:
        log.exception("event %s (%s) cannot be understood and is passed over", event.pk, event.tag)
        return NOTHING
