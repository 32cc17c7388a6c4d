"""The breaker of a location, kept on its row and so shared by all workers."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from providers.models import Location
from providers.wrappers.breaker import Breaker, BreakerPolicy, BreakerReading, Phase
from wedbackup.core import audit, events, live
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.logs import integration_event

# The prober calls every 30 s, at times every 15 s. A shorter pause lets each of its rounds be the one probe of an open
# breaker, and two failures in a row (each after retries) make a dead location known within a minute.
ROW_POLICY = BreakerPolicy(failures_to_open=2, open_seconds=12.0, probe_seconds=60.0)


class RowBreakerState:
    """Keeps the reading on the location's row; opening and closing write their events in the same transaction.

    reason: why the next change happens, for the event's readers; set by whoever has the error at hand.
    """

    def __init__(self, location: Location, clock: Clock) -> None:
        self._location = location
        self._clock = clock
        self.reason = ""
        self.advice = ""

    def load(self) -> BreakerReading:
        fields = ("breaker", "breaker_failures", "breaker_changed_at")
        phase, failures, since = Location.objects.values_list(*fields).get(pk=self._location.pk)
        return BreakerReading(Phase(phase), failures, since)

    def compare_and_set(self, old: BreakerReading, new: BreakerReading) -> bool:
        fields = {"breaker": new.phase.value, "breaker_failures": new.failures, "breaker_changed_at": new.since}
        if new.phase is Phase.HALF_OPEN:
            fields["breaker_probe_at"] = new.since
        with transaction.atomic():
            changed = Location.objects.filter(
                pk=self._location.pk,
                breaker=old.phase.value,
                breaker_failures=old.failures,
                breaker_changed_at=old.since,
            ).update(**fields)
            if changed != 1:
                return False
            self._announce(old, new)
        for name, value in fields.items():
            setattr(self._location, name, value)
        return True

    def _announce(self, old: BreakerReading, new: BreakerReading) -> None:
        """Log every move; write the event of a location that went down or came back, and tell the open pages.

        Being tried again is neither.
        """
        if old.phase is not new.phase:
            integration_event(
                "breaker moved",
                level=logging.WARNING if new.phase is Phase.OPEN else logging.INFO,
                location=self._location.name,
                before=old.phase,
                after=new.phase,
                failures=new.failures,
                reason=self.reason,
            )
        if old.phase is Phase.CLOSED and new.phase is Phase.OPEN:
            tag = events.Tag.LOCATION_DOWN
        elif old.phase is not Phase.CLOSED and new.phase is Phase.CLOSED:
            tag = events.Tag.LOCATION_RECOVERED
        else:
            return
        events.emit(
            tag,
            subject_type="location",
            subject_id=str(self._location.pk),
            payload={"name": self._location.name, "reason": self.reason, "advice": self.advice},
            clock=self._clock,
        )
        message = {"type": "location.changed", "location": self._location.pk}
        transaction.on_commit(lambda: live.publish(live.PLATFORM, message))


def breaker_of(location: Location, clock: Clock, *, error: BaseException | None = None) -> Breaker:
    """Return the breaker on the row of `location`; `error` is what events shall give as the reason."""
    state = RowBreakerState(location, clock)
    if error is not None:
        state.reason, state.advice = str(error), getattr(error, "advice", "")
    return Breaker(state, ROW_POLICY, clock=clock)


def breaker_reset(location: Location, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Ask `location` again from now on, because a person says that it is well; return whether that was a change.

    If it is not, two failures leave it alone again.
    """
    state = RowBreakerState(location, clock)
    state.reason = f"reset by {actor}"
    with transaction.atomic():
        if not Breaker(state, ROW_POLICY, clock=clock).reset():
            return False
        audit.record(
            audit.AuditTag.BREAKER_RESET,
            actor=actor,
            subject_type="location",
            subject_id=str(location.pk),
            detail={"location": location.name},
            clock=clock,
        )
    return True


def breaker_words(location: Location) -> str:
    """Say in a sentence or two how `location` stands with its breaker: since when, why, and when it is asked again."""
    failures = f"{location.breaker_failures} failure{'' if location.breaker_failures == 1 else 's'} in a row"
    if location.breaker == Location.Breaker.CLOSED:
        return f"In use, after {failures}. One more and it is left alone." if location.breaker_failures else "In use."
    since, why = _moment(location.breaker_changed_at), _why(location)
    if location.breaker == Location.Breaker.HALF_OPEN:
        return f"Being tried since {since} by one single call, after {failures}{why}. Its answer decides."
    again_at = (location.breaker_changed_at or location.created_at) + timedelta(seconds=ROW_POLICY.open_seconds)
    return (
        f"Left alone since {since}, after {failures}{why}. It is asked again by one single call from "
        f"{_moment(again_at)} on: the next probe, or the next work that needs it."
    )


def _why(location: Location) -> str:
    return f": {location.last_error.rstrip('.')}" if location.last_error else ""


def _moment(at: datetime | None) -> str:
    return f"{at:%H:%M:%S} UTC" if at else "just now"
