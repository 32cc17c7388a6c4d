"""What a location's page says about its traffic: the present state and the reasons, in words."""

from __future__ import annotations

from dataclasses import dataclass

from providers.models import Location, Traffic
from providers.services.breakers import breaker_words
from providers.services.traffic import circumstances, is_behind_a_line, office_hours, rules_of
from providers.services.usage import Level, level_of
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.templatetags.words import size


@dataclass(frozen=True, slots=True)
class TrafficFacts:
    """For the page. Each of pause, limits, line and quota is a sentence; `filling` means that the quota is near."""

    breaker: str
    pause: str
    limits: str
    line: str
    quota: str
    filling: bool
    everything_paused: bool


def traffic_facts(location: Location, *, clock: Clock = SYSTEM_CLOCK) -> TrafficFacts:
    """Return what is to be said about `location` now."""
    around = circumstances(clock)
    in_office = around.now in office_hours(around.traffic)
    rules = rules_of(location, around)
    return TrafficFacts(
        breaker=breaker_words(location),
        pause=_pause(location, around.traffic),
        limits=_limits(rules.bytes_per_second, rules.requests_per_second, around.machines),
        line=_line(location, in_office),
        quota=_quota(location),
        filling=level_of(location.used_bytes, location.quota_bytes) is not Level.ROOMY,
        everything_paused=around.traffic.paused_at is not None,
    )


def _pause(location: Location, traffic: Traffic) -> str:
    sentences = [
        f"{what} since {at:%Y-%m-%d %H:%M} UTC, by {by}. Recoveries go on; copies are caught up afterwards."
        for what, at, by in (
            ("All traffic is paused", traffic.paused_at, traffic.paused_by),
            ("Paused", location.paused_at, location.paused_by),
        )
        if at is not None
    ]
    return " ".join(sentences) or "Not paused."


def _limits(bytes_per_second: float | None, requests_per_second: float | None, machines: int) -> str:
    parts = []
    if bytes_per_second is not None:
        parts.append(f"{size(bytes_per_second)} a second, up and down together")
    if requests_per_second is not None:
        parts.append(f"{requests_per_second:g} requests a second")
    if not parts:
        return "No limit at the moment."
    shared = f" on each of {machines} machines" if machines > 1 else ""
    return f"At most {' and '.join(parts)}{shared}. Recoveries are never slowed."


def _line(location: Location, in_office: bool) -> str:
    if not is_behind_a_line(location):
        return "A folder: there is no line to share."
    if location.line_bytes_per_second is None:
        return "Not measured yet, so office hours do not slow it. It is learned from backups, or measured by hand."
    carried = f"Carries {size(location.line_bytes_per_second)} a second upwards."
    if location.office_share_percent >= 100:
        return f"{carried} All of it may be used at any time."
    when = "now, in office hours" if in_office else "in office hours; now it is all ours"
    return f"{carried} {location.office_share_percent} % of it may be used {when}."


def _quota(location: Location) -> str:
    used = f"{size(location.used_bytes)} used"
    if location.quota_bytes is None:
        return f"{used}; no quota."
    share = 100 * location.used_bytes / max(1, location.quota_bytes)
    return f"{used} of {size(location.quota_bytes)} ({share:.0f} %). At the quota nothing more is stored here."
