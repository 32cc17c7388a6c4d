"""Stores on the fake of Supabase Storage, as pytest fixtures, and contents to put there."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.stores.supabase import SupabaseOptions, SupabaseStore
from providers.stores.supabase_upload import CHUNK_BYTES
from providers.validation.faultproxy import FaultProxy
from tests.servers.calls import Call, every_call
from tests.servers.supabase import running_supabase
from tests.servers.supabase_state import Bucket, Supabase

BUCKET = "backups"
PACK = os.urandom(1024 * 1024)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()
LARGE = os.urandom(2 * CHUNK_BYTES + 1000)
LARGE_SHA256 = hashlib.sha256(LARGE).hexdigest()
PUT = b"x-metadata:"

Open = Callable[..., SupabaseStore]


@pytest.fixture
def supabase() -> Iterator[Supabase]:
    with running_supabase() as service:
        service.buckets[BUCKET] = Bucket()
        yield service


@pytest.fixture
def supabase_proxy(supabase: Supabase) -> Iterator[FaultProxy]:
    with FaultProxy(("127.0.0.1", supabase.port)) as proxy:
        yield proxy


def options_for(supabase: Supabase, **changes: Any) -> SupabaseOptions:
    options = SupabaseOptions(url=supabase.url, service_key=supabase.key(), bucket=BUCKET)
    return dataclasses.replace(options, **changes)


@pytest.fixture
def open_supabase(supabase: Supabase) -> Iterator[Open]:
    """Open stores on the bucket; options are given by name."""
    opened: list[SupabaseStore] = []

    def open_store(**changes: Any) -> SupabaseStore:
        opened.append(SupabaseStore(options_for(supabase, **changes)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def supabase_proxied(open_supabase: Open, supabase_proxy: FaultProxy) -> SupabaseStore:
    """A store whose line goes through the fault proxy; silence is noticed after 0.5 s."""
    return open_supabase(url=supabase_proxy.url, read_seconds=0.5, connect_seconds=0.5)


CALLS = every_call(PACK, LARGE, facts=lambda store: store.facts())


@pytest.fixture(params=CALLS)
def supabase_call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]
