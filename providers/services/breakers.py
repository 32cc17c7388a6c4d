"""The breaker of a location, kept on its row and so shared by all workers."""

from __future__ import annotations

from django.db import transaction

from providers.models import Location
from providers.wrappers.breaker import Breaker, BreakerPolicy, BreakerReading, Phase
from wedbackup.core import events, live
from wedbackup.core.clock import Clock

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
            self._announce(old.phase, new.phase)
        for name, value in fields.items():
            setattr(self._location, name, value)
        return True

    def _announce(self, old: Phase, new: Phase) -> None:
        """Write the event of a location that went down or came back, and tell the open pages after the commit.

        Being tried again is neither.
        """
        if old is Phase.CLOSED and new is Phase.OPEN:
            tag = events.Tag.LOCATION_DOWN
        elif old is not Phase.CLOSED and new is Phase.CLOSED:
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
