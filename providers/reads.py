"""Locations with their health, in three queries for any number of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from providers import registry
from providers.forms import option_fields
from providers.health import Health, health_of
from providers.models import HealthSample, Location, Traffic, Validation
from providers.services.traffic import is_paused, traffic_row
from providers.stores.base import Holds
from providers.stores.options import InvalidOptions
from providers.validation import State

SHOWN = timedelta(minutes=30)


@dataclass(frozen=True)
class LocationCard:
    """One location as its card shows it; latencies oldest first, None for no answer [ms]."""

    location: Location
    health: Health
    latencies: list[float | None] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The sparkline in words."""
        answered = [value for value in self.latencies if value is not None]
        if not answered:
            return "no answers yet"
        missing = len(self.latencies) - len(answered)
        words = f"answers in {min(answered):.0f} to {max(answered):.0f} ms over the last half hour"
        return f"{words}, {missing} without an answer" if missing else words


def location_cards(locations: Iterable[Location], *, now: datetime) -> list[LocationCard]:
    """Return a card for each of `locations`."""
    locations = list(locations)
    latencies: dict[Any, list[float | None]] = defaultdict(list)
    rates: dict[Any, list[float]] = defaultdict(list)
    rows = HealthSample.objects.filter(location__in=locations, at__gte=now - SHOWN).order_by("at")
    fields = ("location_id", "ok", "latency_ms", "upload_bytes_per_second")
    for location_id, ok, latency, rate in rows.values_list(*fields):
        latencies[location_id].append(latency if ok else None)
        if rate is not None:
            rates[location_id].append(rate)
    traffic = traffic_row()
    return [_card(location, latencies[location.pk], rates[location.pk], traffic) for location in locations]


def _card(location: Location, latencies: list[float | None], rates: list[float], traffic: Traffic) -> LocationCard:
    health = health_of(
        latencies,
        enabled=location.enabled,
        left_alone=location.breaker == Location.Breaker.OPEN,
        paused=is_paused(location, traffic),
        rates=rates,
    )
    return LocationCard(location, health, latencies)


@dataclass(frozen=True)
class ValidationView:
    """One run of the promises against a location, as its page shows it.

    under_way: findings are still to come; waiting: it has not begun.
    """

    validation: Validation | None
    under_way: bool = False
    waiting: bool = False

    def _in_state(self, state: State) -> list[dict[str, Any]]:
        findings = self.validation.findings if self.validation else []
        return [finding for finding in findings if finding["state"] == state]

    @property
    def broken(self) -> list[dict[str, Any]]:
        return self._in_state(State.BROKEN)

    @property
    def warned(self) -> list[dict[str, Any]]:
        return self._in_state(State.WARNED)

    @property
    def exempt(self) -> list[dict[str, Any]]:
        return self._in_state(State.EXEMPT)

    @property
    def kept(self) -> list[dict[str, Any]]:
        """What was kept, warnings not counted, the newest first."""
        return self._in_state(State.KEPT)[::-1]

    @property
    def may_hold_vaults(self) -> bool:
        """Whether copies of vaults may go there now."""
        if not self.validation or not self.validation.passed:
            return False
        store_class = registry.kind_named(self.validation.location.kind).store_class()
        return bool(store_class.capabilities.holds is Holds.VAULTS)

    @property
    def tone(self) -> str:
        if self.broken or (self.validation and self.validation.passed is False):
            return "danger"
        if self.under_way or self.waiting:
            return "calm"
        return "safe" if self.validation and self.validation.passed else "attention"


def newest_validation(location: Location) -> ValidationView:
    """Return the newest run of the promises against `location`."""
    newest = location.validations.order_by("-started_at").first()
    return ValidationView(newest, under_way=newest is not None and newest.finished_at is None)


def option_lines(location: Location) -> list[tuple[str, Any]]:
    """Return what was entered for `location`, under the words of its form; what is as usual is left out."""
    try:
        described = option_fields(location.kind)
    except InvalidOptions:  # a kind of a newer version
        return sorted(location.options.items())
    return [
        (item.metadata.get("label", item.name), location.options[item.name])
        for item in described
        if item.name in location.options and location.options[item.name] not in ("", item.default)
    ]
