"""Locations in a database: folders that can be broken and mended, and a bucket that is never called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from providers import registry
from providers.models import Location
from providers.services.locations import location_create
from providers.stores.local import MARKER
from providers.stores.memory import MemoryStore
from tests.providers.django.cloud import Cloud
from wedbackup.core.clock import ManualClock

CANARY = "canary-7d1f-secret"


@pytest.fixture
def folder(db: None, tmp_path: Path, clock: ManualClock) -> Location:
    """A location on this machine's disk."""
    options = {"root": str(tmp_path / "shelf")}
    return location_create(name="Shelf", kind="local", options=options, actor="alice", clock=clock)


@pytest.fixture
def bucket(db: None, key_file: Path, clock: ManualClock) -> Location:
    """A location whose credential is the canary; nothing listens at its address."""
    return location_create(
        name="Bucket",
        kind="s3",
        options={"bucket": "weddings", "access_key": "AKIA1", "endpoint_url": "http://127.0.0.1:9"},
        secrets={"secret_key": CANARY},
        account="studio@aws",
        region="eu-west-2",
        private_address_allowed=True,
        actor="alice",
        clock=clock,
    )


@pytest.fixture
def broken(folder: Location) -> Iterator[Callable[[bool], None]]:
    """Break the folder (its disk is unmounted) with True, mend it with False."""
    marker = Path(folder.options["root"]) / MARKER
    hidden = marker.with_name("hidden")

    def set_broken(is_broken: bool) -> None:
        source, target = (marker, hidden) if is_broken else (hidden, marker)
        source.rename(target)

    yield set_broken


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A provider in memory, as one more kind of location; its key "first" leads to a place."""
    cloud = Cloud(keys={"first": MemoryStore()})
    theirs = registry.Kind.store_class
    kind = registry.Kind("cloud", "Cloud", "", family="CLOUD")
    monkeypatch.setitem(registry.KINDS, kind.name, kind)
    monkeypatch.setattr(
        registry.Kind, "store_class", lambda it: cloud.store_class() if it.name == kind.name else theirs(it)
    )
    return cloud


@pytest.fixture
def in_cloud(db: None, key_file: Path, cloud: Cloud, clock: ManualClock) -> Location:
    """A location at that provider, whose credential is the key "first"."""
    return location_create(
        name="Sky",
        kind="cloud",
        options={"bucket": "weddings", "key_id": "id-1"},
        secrets={"key": "first"},
        account="studio",
        actor="alice",
        clock=clock,
    )
