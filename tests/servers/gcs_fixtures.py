"""Stores at the server for Google Cloud Storage, as pytest fixtures, and contents to put there."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.stores.gcs import GCSStore
from providers.stores.gcs_options import MEBIBYTE, GCSOptions
from providers.validation.faultproxy import FaultProxy
from tests.servers.gcs import GCS, running_gcs
from wedbackup.core.clock import SYSTEM_CLOCK

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()
LARGE = os.urandom(3 * MEBIBYTE + 1000)
IN_CHUNKS = {"single_put_bytes": MEBIBYTE, "chunk_bytes": MEBIBYTE}


@pytest.fixture(scope="session")
def gcs() -> Iterator[GCS]:
    """A server for the whole session (one per worker of pytest-xdist)."""
    with running_gcs() as server:
        yield server


@pytest.fixture
def gcs_proxy(gcs: GCS) -> Iterator[FaultProxy]:
    """A fault proxy in front of it."""
    with FaultProxy(("127.0.0.1", gcs.port)) as gcs_proxy:
        yield gcs_proxy


@pytest.fixture
def open_gcs(gcs: GCS) -> Iterator[Callable[..., GCSStore]]:
    """Open stores on a fresh bucket; options are given by name."""
    bucket, opened = gcs.make_bucket(), []

    def open_store(clock: Any = SYSTEM_CLOCK, **changes: Any) -> GCSStore:
        options = GCSOptions(bucket=bucket, key_json="", endpoint_url=gcs.url)
        opened.append(GCSStore(dataclasses.replace(options, **changes), clock=clock))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def gcs_proxied(open_gcs: Callable[..., GCSStore], gcs_proxy: FaultProxy) -> GCSStore:
    """A store whose line goes through the fault proxy; above 2 MiB it sends in chunks."""
    return open_gcs(endpoint_url=gcs_proxy.url, single_put_bytes=2 * MEBIBYTE, chunk_bytes=MEBIBYTE)


@pytest.fixture
def gcs_impatient(open_gcs: Callable[..., GCSStore], gcs_proxy: FaultProxy) -> GCSStore:
    """As `gcs_proxied`, for a server that is silent, which it notices after 0.3 s; a busy machine may be slower."""
    limits = {"connect_seconds": 0.3, "read_seconds": 0.3}
    return open_gcs(endpoint_url=gcs_proxy.url, single_put_bytes=2 * MEBIBYTE, chunk_bytes=MEBIBYTE, **limits)


@pytest.fixture
def gcs_in_chunks(open_gcs: Callable[..., GCSStore], gcs_proxy: FaultProxy) -> GCSStore:
    """A store behind the fault proxy that sends all above 1 MiB in chunks of 1 MiB."""
    return open_gcs(endpoint_url=gcs_proxy.url, **IN_CHUNKS)


@pytest.fixture
def gcs_held(gcs: GCS) -> Iterator[set[str]]:
    """The permissions that the account has, until the test ends."""
    gcs.held = set()
    yield gcs.held
    gcs.held = None
