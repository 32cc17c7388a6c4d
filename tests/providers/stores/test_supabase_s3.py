"""Supabase's S3 endpoint: an S3 that checks nothing, so that we have to."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from providers.stores.base import Proof
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    InvalidName,
    LocationMissing,
    ObjectCorrupt,
    ObjectNotFound,
    StoreUnavailable,
)
from providers.stores.options import InvalidOptions
from providers.stores.supabase_s3 import SupabaseS3Options, SupabaseS3Store
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.store_contract import StoreContract
from tests.servers.supabase import running_supabase
from tests.servers.supabase_state import S3_ACCESS_KEY, S3_REGION, S3_SECRET_KEY, Bucket, Supabase

BUCKET = "backups"
MEBIBYTE = 1024 * 1024
PACK = os.urandom(MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()
LARGE = os.urandom(12 * MEBIBYTE)
LARGE_SHA256 = hashlib.sha256(LARGE).hexdigest()
IN_PARTS = {"single_put_bytes": 5 * MEBIBYTE, "part_bytes": 5 * MEBIBYTE}


@pytest.fixture
def supabase() -> Iterator[Supabase]:
    with running_supabase(backend="s3") as service:
        service.buckets[BUCKET] = Bucket()
        yield service


@pytest.fixture
def proxy(supabase: Supabase) -> Iterator[FaultProxy]:
    with FaultProxy(("127.0.0.1", supabase.port)) as proxy:
        yield proxy


def options_for(url: str, **changes: Any) -> SupabaseS3Options:
    options = SupabaseS3Options(
        url=url, bucket=BUCKET, access_key=S3_ACCESS_KEY, secret_key=S3_SECRET_KEY, region=S3_REGION
    )
    return dataclasses.replace(options, **changes)


@pytest.fixture
def store(supabase: Supabase) -> Iterator[SupabaseS3Store]:
    store = SupabaseS3Store(options_for(supabase.url, **IN_PARTS))
    yield store
    store.close()


@pytest.fixture
def proxied(proxy: FaultProxy) -> Iterator[SupabaseS3Store]:
    store = SupabaseS3Store(options_for(proxy.url, read_seconds=0.5, connect_seconds=0.5, **IN_PARTS))
    yield store
    store.close()


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, supabase: Supabase) -> Iterator[SupabaseS3Store]:
        store = SupabaseS3Store(options_for(supabase.url, prefix="weddings/2026"))
        yield store
        store.close()


def test_what_is_stored_is_proved_by_the_etag(store: SupabaseS3Store) -> None:
    assert store.put("pack", PACK).proof is Proof.SERVER_MD5
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    assert store.put("large", LARGE).proof is Proof.SERVER_MD5
    assert store.verify("large", sha256=LARGE_SHA256).proof is Proof.READ_BACK


def test_where_the_etag_is_no_md5_the_object_is_read_back(supabase: Supabase, store: SupabaseS3Store) -> None:
    supabase.encrypted = True
    assert store.put("pack", PACK).proof is Proof.READ_BACK
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.READ_BACK


@pytest.mark.parametrize(("content", "match"), [(PACK, b"PUT /"), (LARGE, b"partNumber=2")], ids=["small", "large"])
def test_a_bit_flipped_on_the_way_up_is_stored_by_the_server_and_removed_by_us(
    proxied: SupabaseS3Store, proxy: FaultProxy, content: bytes, match: bytes
) -> None:
    proxy.fault = Fault(match=match, flip_sent=1000)
    with pytest.raises(ChecksumMismatch, match="removed") as caught:
        proxied.put("pack", content)
    assert proxy.fault.hits == 1
    assert caught.value.retryable
    with pytest.raises(ObjectNotFound):
        proxied.head("pack")


def test_bytes_that_only_the_database_still_knows_are_missed_by_verify(
    supabase: Supabase, store: SupabaseS3Store
) -> None:
    store.put("pack", PACK)
    supabase.lose(BUCKET, "pack")
    assert store.head("pack").size_bytes == len(PACK)
    with pytest.raises(ObjectNotFound):
        store.verify("pack", sha256=PACK_SHA256)


def test_damage_on_the_servers_disk_is_found_by_reading_back(supabase: Supabase, store: SupabaseS3Store) -> None:
    store.put("large", LARGE)
    supabase.damage(BUCKET, "large")
    with pytest.raises(ObjectCorrupt):
        store.verify("large", sha256=LARGE_SHA256)


def test_a_lost_answer_after_the_commit_is_settled_by_asking(proxied: SupabaseS3Store, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"PUT /", lose_answer=True)
    assert proxied.put("pack", PACK).proof is Proof.SERVER_MD5
    assert proxy.fault.hits == 1


def test_a_broken_upload_goes_on_where_it_stopped(proxied: SupabaseS3Store, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"partNumber=3", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        proxied.put("large", LARGE)
    assert proxy.fault.hits == 1
    seen = len(proxy.requests)
    assert proxied.put("large", LARGE).proof is Proof.SERVER_MD5
    assert "partNumber=3" in " ".join(proxy.requests[seen:])
    assert proxied.get("large") == LARGE


def test_an_error_without_a_code_is_still_understood(proxied: SupabaseS3Store, proxy: FaultProxy) -> None:
    """The service's XML has a namespace, and boto3 finds no code in it."""
    with pytest.raises(ObjectNotFound):
        proxied.get("nothing")
    body = b'<?xml version="1.0"?><Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>SlowDown</Code></Error>'
    proxy.fault = Fault(match=b"PUT /", reply=Reply("503 Service Unavailable", {}, body))
    with pytest.raises(StoreUnavailable):
        proxied.put("pack", PACK)
    assert proxy.fault.hits == 1


def test_a_wrong_secret_and_a_missing_bucket_are_named(supabase: Supabase) -> None:
    with pytest.raises(AccessDenied):
        SupabaseS3Store(options_for(supabase.url, secret_key="another")).put("pack", PACK)
    with pytest.raises(LocationMissing, match="nobody"):
        [*SupabaseS3Store(options_for(supabase.url, bucket="nobody-made-this")).list()]


def test_names_are_those_of_supabase(store: SupabaseS3Store) -> None:
    with pytest.raises(InvalidName):
        store.put("Zoë.pdf", b"")


def test_the_facts_say_that_the_key_may_do_too_much(store: SupabaseS3Store) -> None:
    assert "cannot be narrowed" in store.facts().excess_rights[0]


@pytest.mark.parametrize("url", ["abc.supabase.co", "https://abc.supabase.co/storage/v1/s3/"])
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(InvalidOptions, match="url"):
        options_for(url)
