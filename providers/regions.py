"""The regions that providers offer, with city, jurisdiction and coordinates; sources stand in regions.json itself."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

FILE = Path(__file__).with_name("regions.json")


@dataclass(frozen=True, slots=True)
class Region:
    """One region of one provider.

    name:         the provider's own word, as its option `region` takes it.
    jurisdiction: whose law holds there, e.g. "EU"; "" where the provider guarantees none.
    latitude, longitude: the city's centre [degrees]; None where the provider names no city.
    """

    provider: str
    name: str
    city: str
    country: str
    jurisdiction: str
    latitude: float | None
    longitude: float | None

    @property
    def words(self) -> str:
        """How a person picks it: "Frankfurt, DE (eu-central-1)"."""
        return f"{', '.join(part for part in (self.city, self.country) if part)} ({self.name})"


@functools.cache
def _regions() -> tuple[Region, ...]:
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return tuple(
        Region(
            row["provider"],
            row["region"],
            row["city"] or "",
            row["country"] or "",
            row["jurisdiction"] or "",
            row["lat"],
            row["lon"],
        )
        for row in rows
    )


def regions_of(provider: str) -> list[Region]:
    """Return the regions of `provider` (as a store's `regions` names it), by jurisdiction and city."""
    found = [region for region in _regions() if region.provider == provider]
    return sorted(found, key=lambda region: (region.jurisdiction, region.city, region.name))


def region_named(provider: str, name: str) -> Region | None:
    """Return the region `name` of `provider`; None if the list does not have it."""
    return next((region for region in _regions() if (region.provider, region.name) == (provider, name)), None)


def region_choices(provider: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the regions as choices of a form, grouped by jurisdiction."""
    return [
        (jurisdiction or "no law is guaranteed", [(region.name, region.words) for region in group])
        for jurisdiction, group in groupby(regions_of(provider), key=lambda region: region.jurisdiction)
    ]
