"""Supabase Storage against a fake with the real server's quirks: what is proved, and what is told of the place."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from providers.stores.base import Proof
from providers.stores.errors import ChecksumMismatch, ObjectCorrupt, ObjectNotFound, StoreError, StoreUnavailable
from providers.stores.supabase import SupabaseStore
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.store_contract import StoreContract
from tests.servers.supabase import running_supabase
from tests.servers.supabase_fixtures import BUCKET, LARGE, LARGE_SHA256, PACK, PACK_SHA256, PUT, Open, options_for
from tests.servers.supabase_state import SECRET_KEY, Bucket, Supabase


@pytest.fixture(params=["file", "s3"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, open_supabase: Open) -> SupabaseStore:
        return open_supabase()


class TestPromisesWithS3BehindAndAPrefixAndASecretKey(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[SupabaseStore]:
        with running_supabase(backend="s3") as service:
            service.buckets[BUCKET] = Bucket()
            store = SupabaseStore(options_for(service, prefix="weddings/2026", service_key=SECRET_KEY))
            yield store
            store.close()


# --- proof


@pytest.mark.parametrize("content", [PACK, LARGE], ids=["small", "large"])
def test_what_is_stored_is_proved_by_the_etag_without_a_download(backend: str, content: bytes) -> None:
    with running_supabase(backend=backend) as service, FaultProxy(("127.0.0.1", service.port)) as proxy:
        service.buckets[BUCKET] = Bucket()
        store = SupabaseStore(options_for(service, url=proxy.url))
        sha256 = hashlib.sha256(content).hexdigest()
        assert store.put("pack", content).proof is Proof.SERVER_MD5
        assert store.verify("pack", sha256=sha256).proof is Proof.SERVER_MD5
        assert [head for head in proxy.heads if b"/object/authenticated/" in head and b"bytes=0-0" not in head] == []
        store.close()


def test_content_that_is_not_what_the_caller_takes_it_for_is_not_sent(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    with pytest.raises(ChecksumMismatch, match="nothing was sent"):
        supabase_proxied.put("pack", PACK, sha256=LARGE_SHA256)
    assert supabase_proxy.requests == []


def test_where_the_etag_is_no_md5_the_object_is_read_back(supabase: Supabase, open_supabase: Open) -> None:
    supabase.encrypted, supabase.backend = True, "s3"
    store = open_supabase()
    assert store.put("pack", PACK).proof is Proof.READ_BACK
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.READ_BACK


@pytest.mark.parametrize(("content", "match"), [(PACK, PUT), (LARGE, b"PATCH ")], ids=["by one request", "in pieces"])
def test_a_bit_flipped_on_the_way_up_is_stored_by_the_server_and_removed_by_us(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy, content: bytes, match: bytes
) -> None:
    supabase_proxy.fault = Fault(match=match, flip_sent=1000)
    with pytest.raises(ChecksumMismatch, match="removed") as caught:
        supabase_proxied.put("pack", content)
    assert supabase_proxy.fault.hits == 1
    assert caught.value.retryable
    with pytest.raises(ObjectNotFound):
        supabase_proxied.head("pack")


def test_damage_on_the_servers_disk_is_found_by_verify(supabase: Supabase, open_supabase: Open) -> None:
    store = open_supabase()
    store.put("pack", PACK)
    supabase.damage(BUCKET, "pack")
    with pytest.raises(ObjectCorrupt):
        store.verify("pack", sha256=PACK_SHA256)


def test_bytes_that_only_the_database_still_knows_are_missed_by_verify(supabase: Supabase, open_supabase: Open) -> None:
    store = open_supabase()
    store.put("pack", PACK)
    supabase.lose(BUCKET, "pack")
    assert store.head("pack").size_bytes == len(PACK)
    with pytest.raises(ObjectNotFound):
        store.verify("pack", sha256=PACK_SHA256)


def test_an_object_that_somebody_else_made_is_read_back(supabase: Supabase, open_supabase: Open) -> None:
    supabase.complete(BUCKET, "pack", PACK, supabase.etag(PACK), None)
    assert open_supabase().verify("pack", sha256=PACK_SHA256).proof is Proof.READ_BACK


def test_an_answer_from_the_cdn_proves_nothing(supabase: Supabase, open_supabase: Open) -> None:
    store = open_supabase()
    store.put("pack", PACK)
    supabase.cached = True
    assert store.get("pack") == PACK
    with pytest.raises(StoreError, match="CDN") as caught:
        store.verify("pack", sha256=PACK_SHA256)
    assert not caught.value.retryable
    assert "supabase_s3" in caught.value.advice


def test_another_upload_of_the_same_name_meanwhile_is_not_taken_for_ours_nor_removed(
    supabase: Supabase, supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    """The other one comes between our upload and its proof."""
    other = b"other content"
    supabase.complete(BUCKET, "pack", other, supabase.etag(other), {"sha256": hashlib.sha256(other).hexdigest()})
    supabase_proxy.fault = Fault(match=PUT, reply=Reply("200 OK", {}, b"{}"))
    with pytest.raises(StoreUnavailable, match="somebody else"):
        supabase_proxied.put("pack", PACK)
    assert supabase_proxy.fault.hits == 1
    assert supabase_proxied.get("pack") == other


# --- the place


def test_the_facts_tell_of_a_public_bucket_and_of_too_many_rights(supabase: Supabase, open_supabase: Open) -> None:
    supabase.buckets[BUCKET].public = True
    facts = open_supabase(region="eu-central-1").facts()
    assert (facts.public, facts.region) == (True, "eu-central-1")
    assert "whole project" in facts.excess_rights[0]
    assert facts.dangers == ()


def test_the_facts_tell_of_limits_that_would_refuse_our_objects(supabase: Supabase, open_supabase: Open) -> None:
    supabase.buckets[BUCKET] = Bucket(file_size_limit=10_000_000, allowed_mime_types=["image/jpeg"])
    by_size, by_type = open_supabase().facts().dangers
    assert "10000000 bytes" in by_size
    assert "application/octet-stream" in by_type


def test_the_policy_says_that_the_key_cannot_be_narrowed() -> None:
    policies = SupabaseStore.policies({"bucket": "weddings"})
    assert "weddings" in policies["writer"]
    assert "cannot narrow" in policies["writer"]


def test_listings_longer_than_a_page_are_whole_and_leave_out_the_consoles_placeholders(
    supabase: Supabase, open_supabase: Open
) -> None:
    for number in range(2345):
        supabase.complete(BUCKET, f"data/{number:05}", b"", supabase.etag(b""), None)
    supabase.complete(BUCKET, "empty/.emptyFolderPlaceholder", b"", supabase.etag(b""), None)
    assert [info.name for info in open_supabase().list()] == [f"data/{number:05}" for number in range(2345)]


def test_of_several_writers_at_once_the_last_stays_whole_and_knows_it(open_supabase: Open) -> None:
    """The service lets all of them succeed: no lock can be made of a create."""
    store, line_up = open_supabase(), threading.Barrier(8)

    def put(number: int) -> str:
        line_up.wait()
        try:
            store.put("contended", b"%d" % number)
        except StoreUnavailable:  # replaced by another before it was proved
            return ""
        return str(number)

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(put, range(8)) if number]
    assert store.get("contended").decode() in winners
    assert not store.capabilities.conditional_create
