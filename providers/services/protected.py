"""Folders that another program protects (Carbonite): keeping their marker fresh and watching that program for life."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from providers.models import Location
from providers.services.locations import store_of
from providers.stores.carbonite import CarboniteStore, Freshness, Life
from providers.stores.errors import StoreError

KIND = "carbonite"


def folder_freshness(location: Location) -> Freshness | None:
    """Return what can be said about the client behind `location`; None for other kinds, and when the folder is gone."""
    if location.kind != KIND:
        return None
    try:
        return _store(location).freshness()
    except StoreError:
        return None  # the probe tells what is wrong with the folder itself


def folders_tend() -> Iterator[tuple[Location, Freshness]]:
    """Renew the marker of each protected folder when it is a day old; yield those whose client is silent."""
    for location in Location.objects.filter(kind=KIND, enabled=True):
        try:
            store = _store(location)
            store.marker_renew()
            freshness = store.freshness()
        except StoreError:
            continue  # the probe tells what is wrong with the folder itself
        if freshness.life is Life.SILENT:
            yield location, freshness


def marker_moment(location: Location, text: str) -> datetime | None:
    """Return when the marker that a person brought back through Carbonite was written; None if it is not ours.

    Raises StoreError when the folder is gone.
    """
    return _store(location).marker_moment(text)


def _store(location: Location) -> CarboniteStore:
    store = store_of(location)
    assert isinstance(store, CarboniteStore), "the kind's own store"
    return store
