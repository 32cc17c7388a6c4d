"""Stores on the fake of Box, as pytest fixtures, and looks at what the fake was asked and keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.stores.box import PARTS_FROM_BYTES, BoxOptions, BoxStore
from providers.validation.faultproxy import FaultProxy
from tests.servers.box import BoxCloud, Entry
from tests.servers.ports import port_of
from wedbackup.core.clock import ManualClock

JSON = {"Content-Type": "application/json"}
PART = b"PUT /api/2.0/files/upload_sessions/"  # in the head of each part of a large upload
Open = Callable[..., BoxStore]


@pytest.fixture
def box(clock: ManualClock) -> Iterator[BoxCloud]:
    """A Box with an empty folder "Documents"."""
    box = BoxCloud(clock=clock)
    box.make_folder("Documents")
    with box.running():
        yield box


@pytest.fixture
def box_folder_id(box: BoxCloud) -> str:
    folder = box.child("0", "Documents")
    assert folder
    return folder.id


@pytest.fixture
def open_box(box: BoxCloud, box_folder_id: str) -> Iterator[Open]:
    """Open stores on the folder; options are given by name."""
    opened: list[BoxStore] = []

    def open_box(**changes: Any) -> BoxStore:
        options = BoxOptions(
            client_id=box.client_id,
            client_secret=box.client_secret,
            enterprise_id=box.enterprise_id,
            folder_id=box_folder_id,
            endpoint_url=box.url,
            single_put_bytes=PARTS_FROM_BYTES,
        )
        opened.append(BoxStore(dataclasses.replace(options, **changes)))
        return opened[-1]

    yield open_box
    for store in opened:
        store.close()


@pytest.fixture
def box_proxy(box: BoxCloud) -> Iterator[FaultProxy]:
    """A fault proxy in front of Box, downloads included."""
    with FaultProxy(("127.0.0.1", port_of(box.url))) as proxy:
        box.download_url = proxy.url
        yield proxy


@pytest.fixture
def box_proxied(open_box: Open, box_proxy: FaultProxy) -> BoxStore:
    """A store whose line goes through the fault proxy."""
    return open_box(endpoint_url=box_proxy.url)


def asked(proxy: FaultProxy, words: str) -> int:
    """Return how many requests had these words in their first line."""
    return sum(words in request for request in proxy.requests)


def entry_of(cloud: BoxCloud, folder_id: str, name: str) -> Entry:
    entry = cloud.child(folder_id, name)
    assert entry
    return entry
