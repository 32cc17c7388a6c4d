"""What transfers with a location have to obey now, from the rows to the valves that this machine's processes share.

`wrappers_for` is asked when a location is opened. As long as jobs run, their process calls `rules_refresh` every two
seconds: changed limits, a pause, an opened breaker reach running transfers so, and what they stored reaches the rows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from providers import registry
from providers.models import Location, Traffic
from providers.services.purposes import PRUNE, RECOVERY, VALIDATION
from providers.services.usage import usage_add
from providers.stores.errors import Paused
from providers.stores.options import InvalidOptions
from providers.wrappers.hours import OfficeHours
from providers.wrappers.noted import CallNotes
from providers.wrappers.valve import Rules, Valve, valve_at
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import Heartbeat

REFRESH_SECONDS = 2.0
LIVING = timedelta(seconds=30)  # a worker that was seen since is there
SPANS_NEEDED = 3
LINE_PERCENTILE = 0.9  # most busy times do not fill the line: a slow disk, a small backup
LINE_CHANGE = 0.05  # a smaller change of the measured line is noise


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What all locations have in common at one moment.

    machines: how many machines transfer; each may use its part of a limit.
    """

    traffic: Traffic
    machines: int
    now: datetime


def traffic_row() -> Traffic:
    """Return the one row that holds for all locations; as long as nobody changed anything, its defaults."""
    return Traffic.objects.first() or Traffic()


def circumstances(clock: Clock) -> Circumstances:
    """Read what holds now."""
    now = clock.utcnow()
    living = Heartbeat.objects.filter(name__startswith="worker ", at__gte=now - LIVING)
    hosts = {name.partition("/")[0] for name in living.values_list("name", flat=True)}
    return Circumstances(traffic_row(), max(1, len(hosts)), now)


def office_hours(traffic: Traffic) -> OfficeHours:
    """Return the hours in which the line is shared with people."""
    return OfficeHours(traffic.office_from, traffic.office_until, traffic.office_weekdays, traffic.office_zone)


def rules_of(location: Location, around: Circumstances) -> Rules:
    """Return what transfers with `location` have to obey on this machine now."""
    limits = [location.bytes_per_second, _office_limit(location, around)]
    bytes_per_second = min((limit for limit in limits if limit is not None), default=None)
    return Rules(
        requests_per_second=_part(location.requests_per_second, around.machines),
        bytes_per_second=_part(bytes_per_second, around.machines),
        room_bytes=None if location.quota_bytes is None else location.quota_bytes - location.used_bytes,
        paused=is_paused(location, around.traffic),
        left_alone=location.breaker == Location.Breaker.OPEN,
    )


def _office_limit(location: Location, around: Circumstances) -> float | None:
    """Return the share of the measured line that may be used now [bytes/s]; None means all of it.

    A folder has no line that people share.
    """
    share, line = location.office_share_percent, location.line_bytes_per_second
    if share >= 100 or line is None or not is_behind_a_line(location):
        return None
    return line * max(1, share) / 100 if around.now in office_hours(around.traffic) else None


def _part(limit: float | None, machines: int) -> float | None:
    return None if limit is None else limit / machines


def is_behind_a_line(location: Location) -> bool:
    """Say whether bytes go to `location` over a network that our stores know of; a mounted share counts as a folder."""
    try:
        return registry.kind_named(location.kind).store_class().wire is not None
    except InvalidOptions:
        return False


def is_paused(location: Location, traffic: Traffic) -> bool:
    """Say whether a person has paused `location`, or all of them."""
    return location.paused_at is not None or traffic.paused_at is not None


def all_paused() -> bool:
    """Say whether all traffic is paused: nothing but recoveries has to be begun then."""
    return Traffic.objects.filter(paused_at__isnull=False).exists()


def refuse_if_paused(location: Location) -> None:
    """Raise Paused if no work is to be begun at `location`."""
    row, traffic = Location.objects.get(pk=location.pk), traffic_row()
    for what, at, by in (
        ("all traffic", traffic.paused_at, traffic.paused_by),
        (row.name, row.paused_at, row.paused_by),
    ):
        if at is not None:
            raise Paused(f"{what} is paused since {at:%Y-%m-%d %H:%M} UTC, by {by}")


def wrappers_for(location: Location, purpose: str, clock: Clock = SYSTEM_CLOCK) -> dict[str, Any]:
    """Return what `wrap_store` needs to know about `location` when it is opened for `purpose`.

    Recoveries are never slowed or stopped; a validation is not stopped; pruning is not stopped by the quota.
    """
    valve = valve_of(location)
    _apply(Location.objects.get(pk=location.pk), circumstances(clock), clock)
    return {
        "valve": valve,
        "label": location.name,
        "gated": purpose not in {RECOVERY, VALIDATION},
        "throttled": purpose != RECOVERY,
        "quota": purpose != PRUNE,
        "on_call": CallNotes(location.name, purpose, valve, clock),
        "clock": clock,
    }


def valve_of(location: Location) -> Valve:
    """Return the valve of `location` on this machine."""
    folder = os.path.join(settings.CACHE_DIR, "traffic")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return valve_at(os.path.join(folder, str(location.pk)))


def rules_refresh(*, clock: Clock = SYSTEM_CLOCK) -> None:
    """Hand the present rules of all locations to this machine's transfers, and write down what those counted."""
    around = circumstances(clock)
    for location in Location.objects.filter(enabled=True):
        _apply(location, around, clock)


def _apply(location: Location, around: Circumstances, clock: Clock) -> None:
    valve = valve_of(location)
    if stored := valve.collect_sent():
        usage_add(location.pk, stored, clock=clock)
        location.used_bytes += stored
    _learn_line(location, valve.line_spans())
    valve.set_rules(rules_of(location, around), now=clock.monotonic())


def _learn_line(location: Location, spans: list[float]) -> None:
    """Take a high percentile of the latest busy times for what the line carries."""
    if len(spans) < SPANS_NEEDED:
        return
    speed = sorted(spans)[round(LINE_PERCENTILE * (len(spans) - 1))]
    if abs(speed - (location.line_bytes_per_second or 0.0)) > LINE_CHANGE * speed:
        Location.objects.filter(pk=location.pk).update(line_bytes_per_second=speed)
        location.line_bytes_per_second = speed
