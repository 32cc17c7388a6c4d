"""Locations in a database: folders that can be broken and mended, and a bucket that is never called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from providers.models import Location
from providers.services.locations import location_create
from providers.stores.local import MARKER
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
