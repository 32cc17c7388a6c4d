"""The folder that Carbonite protects: what is proved ends at the disk, and that is what it says."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from providers.stores.base import Holds
from providers.stores.carbonite import MARKER_NAME, CarboniteOptions, CarboniteStore, Life
from providers.stores.errors import LocationMissing
from providers.stores.options import InvalidOptions
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock

NOON = datetime(2026, 6, 20, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CarboniteStore.create(str(tmp_path / "Protected"))
    return tmp_path / "Protected"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def store(folder: Path, tmp_path: Path, clock: ManualClock) -> CarboniteStore:
    return CarboniteStore(CarboniteOptions(str(folder), client_log=str(tmp_path / "client.log")), clock=clock)


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, folder: Path) -> CarboniteStore:
        return CarboniteStore(CarboniteOptions(str(folder)))


def client_writes(store: CarboniteStore, at: datetime) -> None:
    Path(store.options.client_log).touch()
    os.utime(store.options.client_log, (at.timestamp(), at.timestamp()))


def test_it_holds_documents_and_never_counts_as_a_copy(store: CarboniteStore) -> None:
    assert store.capabilities.holds is Holds.DOCUMENTS
    assert not store.capabilities.countable
    assert not store.capabilities.proves_at_rest


def test_a_running_client_is_still_called_unverifiable(store: CarboniteStore) -> None:
    client_writes(store, NOON - timedelta(hours=3))
    assert store.freshness().life is Life.SEEN
    assert "Unverifiable" in store.freshness().words


def test_a_client_that_stopped_writing_is_noticed(store: CarboniteStore) -> None:
    client_writes(store, NOON - timedelta(hours=49))
    assert store.freshness().life is Life.SILENT
    assert "49 hours" in store.freshness().words


def test_a_client_whose_log_is_gone_is_silent(store: CarboniteStore) -> None:
    assert store.freshness().life is Life.SILENT
    assert "cannot be looked at" in store.freshness().words


def test_without_a_log_to_watch_nothing_is_claimed(folder: Path) -> None:
    assert CarboniteStore(CarboniteOptions(str(folder))).freshness().life is Life.UNKNOWN


def test_a_folder_that_vanished_is_missing_whatever_the_client_does(store: CarboniteStore, folder: Path) -> None:
    client_writes(store, NOON)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(LocationMissing):
        store.freshness()


def test_the_marker_is_renewed_once_a_day(store: CarboniteStore, clock: ManualClock) -> None:
    assert store.marker_renew()
    assert not store.marker_renew()
    clock.advance(24 * 3600)
    assert store.marker_renew()
    assert store.marker_moment(store.get(MARKER_NAME).decode()) == NOON + timedelta(days=1)


def test_a_marker_that_came_back_from_carbonite_tells_its_age(store: CarboniteStore, clock: ManualClock) -> None:
    store.marker_renew()
    restored = store.get(MARKER_NAME).decode()
    clock.advance(5 * 24 * 3600)
    store.marker_renew()
    assert store.marker_moment(restored) == NOON


@pytest.mark.parametrize("change", [lambda text: text.replace("2026", "2027"), lambda text: "", lambda text: text[:-8]])
def test_a_marker_that_is_not_ours_proves_nothing(store: CarboniteStore, change) -> None:
    store.marker_renew()
    assert store.marker_moment(change(store.get(MARKER_NAME).decode())) is None


def test_a_marker_of_another_folder_proves_nothing(store: CarboniteStore, tmp_path: Path) -> None:
    CarboniteStore.create(str(tmp_path / "Other"))
    other = CarboniteStore(CarboniteOptions(str(tmp_path / "Other")))
    other.marker_renew()
    assert store.marker_moment(other.get(MARKER_NAME).decode()) is None


@pytest.mark.parametrize("changes", [{"client_log": "log"}, {"fresh_hours": 0.0}])
def test_options_that_cannot_work_are_refused(folder: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(changes))):
        CarboniteOptions(str(folder), **changes)
