"""Box through its official SDK, against a fake that follows the documentation, over lines that fail on order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.stores.box import PARTS_FROM_BYTES, BoxOptions, BoxStore
from tests.providers.store_contract import StoreContract
from tests.servers.box import BoxCloud


@pytest.fixture
def cloud() -> Iterator[BoxCloud]:
    """A Box with an empty folder "Documents"."""
    cloud = BoxCloud()
    cloud.make_folder("Documents")
    with cloud.running():
        yield cloud


@pytest.fixture
def open_box(cloud: BoxCloud) -> Iterator[Callable[..., BoxStore]]:
    """Open stores on the folder; options are given by name."""
    opened: list[BoxStore] = []
    folder = cloud.child("0", "Documents")
    assert folder

    def open_store(**changes: Any) -> BoxStore:
        options = BoxOptions(
            client_id=cloud.client_id,
            client_secret=cloud.client_secret,
            enterprise_id=cloud.enterprise_id,
            folder_id=folder.id,
            endpoint_url=cloud.url,
        )
        opened.append(BoxStore(dataclasses.replace(options, **changes)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, open_box: Callable[..., BoxStore]) -> BoxStore:
        return open_box(single_put_bytes=PARTS_FROM_BYTES, list_page=3)
