"""Dropbox through its official SDK, against a fake that follows the documentation, over lines that fail on order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.stores.dropbox import MEBIBYTE, DropboxOptions, DropboxStore
from tests.providers.store_contract import StoreContract
from tests.servers.dropbox import DropboxCloud

FOLDER = "Weddings/Documents"


@pytest.fixture
def cloud() -> Iterator[DropboxCloud]:
    """A Dropbox with the location's folder and nothing in it."""
    cloud = DropboxCloud()
    cloud.make_folder(FOLDER)
    with cloud.running():
        yield cloud


@pytest.fixture
def open_dropbox(cloud: DropboxCloud) -> Iterator[Callable[..., DropboxStore]]:
    """Open stores on the folder; options are given by name."""
    opened: list[DropboxStore] = []

    def open_store(**changes: Any) -> DropboxStore:
        options = DropboxOptions(
            app_key=cloud.app_key,
            app_secret=cloud.app_secret,
            refresh_token=cloud.refresh_token,
            folder=FOLDER,
            endpoint_url=cloud.url,
        )
        opened.append(DropboxStore(dataclasses.replace(options, **changes)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, open_dropbox: Callable[..., DropboxStore]) -> DropboxStore:
        return open_dropbox(single_put_bytes=8 * MEBIBYTE, part_bytes=4 * MEBIBYTE, list_page=3)
