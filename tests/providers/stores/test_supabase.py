"""Supabase Storage against a fake with the real server's quirks, over lines that fail on order."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from providers.stores.base import ObjectStore, Proof
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    CredentialExpired,
    InvalidName,
    LocationFull,
    LocationMissing,
    NoAnswer,
    ObjectCorrupt,
    ObjectNotFound,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.stores.options import InvalidOptions
from providers.stores.supabase import SupabaseOptions, SupabaseStore
from providers.stores.supabase_upload import CHUNK_BYTES
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from tests.providers.store_contract import StoreContract
from tests.servers.supabase import running_supabase
from tests.servers.supabase_state import SECRET_KEY, Bucket, Supabase
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock

BUCKET = "backups"
PACK = os.urandom(1024 * 1024)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()
LARGE = os.urandom(2 * CHUNK_BYTES + 1000)
LARGE_SHA256 = hashlib.sha256(LARGE).hexdigest()
PUT = b"x-metadata:"

Open = Callable[..., SupabaseStore]


@pytest.fixture(params=["file", "s3"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def supabase() -> Iterator[Supabase]:
    with running_supabase() as service:
        service.buckets[BUCKET] = Bucket()
        yield service


@pytest.fixture
def proxy(supabase: Supabase) -> Iterator[FaultProxy]:
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
def proxied(open_supabase: Open, proxy: FaultProxy) -> SupabaseStore:
    """A store whose line goes through the fault proxy; silence is noticed after 0.5 s."""
    return open_supabase(url=proxy.url, read_seconds=0.5, connect_seconds=0.5)


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
    proxied: SupabaseStore, proxy: FaultProxy
) -> None:
    with pytest.raises(ChecksumMismatch, match="nothing was sent"):
        proxied.put("pack", PACK, sha256=LARGE_SHA256)
    assert proxy.requests == []


def test_where_the_etag_is_no_md5_the_object_is_read_back(supabase: Supabase, open_supabase: Open) -> None:
    supabase.encrypted, supabase.backend = True, "s3"
    store = open_supabase()
    assert store.put("pack", PACK).proof is Proof.READ_BACK
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.READ_BACK


@pytest.mark.parametrize(("content", "match"), [(PACK, PUT), (LARGE, b"PATCH ")], ids=["by one request", "in pieces"])
def test_a_bit_flipped_on_the_way_up_is_stored_by_the_server_and_removed_by_us(
    proxied: SupabaseStore, proxy: FaultProxy, content: bytes, match: bytes
) -> None:
    proxy.fault = Fault(match=match, flip_sent=1000)
    with pytest.raises(ChecksumMismatch, match="removed") as caught:
        proxied.put("pack", content)
    assert proxy.fault.hits == 1
    assert caught.value.retryable
    with pytest.raises(ObjectNotFound):
        proxied.head("pack")


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
    supabase: Supabase, proxied: SupabaseStore, proxy: FaultProxy
) -> None:
    """The other one comes between our upload and its proof."""
    other = b"other content"
    supabase.complete(BUCKET, "pack", other, supabase.etag(other), {"sha256": hashlib.sha256(other).hexdigest()})
    proxy.fault = Fault(match=PUT, reply=Reply("200 OK", {}, b"{}"))
    with pytest.raises(StoreUnavailable, match="somebody else"):
        proxied.put("pack", PACK)
    assert proxy.fault.hits == 1
    assert proxied.get("pack") == other


# --- lost answers and broken lines


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (PACK, Fault(match=PUT, lose_answer=True)),
        (LARGE, Fault(match=b"Upload-Offset: 12582912", lose_answer=True)),
    ],
    ids=["by one request", "the last piece"],
)
def test_a_lost_answer_after_the_commit_is_settled_by_asking(
    proxied: SupabaseStore, proxy: FaultProxy, content: bytes, fault: Fault
) -> None:
    proxy.fault = fault
    assert proxied.put("pack", content).proof is Proof.SERVER_MD5
    assert fault.hits == 1
    assert proxied.get("pack") == content


def test_a_cut_upload_leaves_the_old_object(proxied: SupabaseStore, proxy: FaultProxy) -> None:
    proxied.put("pack", b"old")
    proxy.fault = Fault(match=PUT, reset_after_sent=200_000)
    with pytest.raises(StoreUnavailable):
        proxied.put("pack", PACK)
    assert proxy.fault.hits == 1
    assert proxied.get("pack") == b"old"


def pieces_sent(proxy: FaultProxy) -> list[int]:
    """Return where each piece that was sent began [bytes]."""
    heads = [head for head in proxy.heads if head.startswith(b"PATCH ")]
    return [int(head.split(b"Upload-Offset: ")[1].split(b"\r\n")[0]) for head in heads]


def test_a_broken_large_upload_goes_on_where_the_server_stopped_receiving(
    proxied: SupabaseStore, proxy: FaultProxy
) -> None:
    proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1_000_000)
    with pytest.raises(StoreUnavailable):
        proxied.put("large", LARGE)
    assert proxy.fault.hits == 1
    assert [*proxied.list()] == []
    assert proxied.put("large", LARGE).proof is Proof.SERVER_MD5
    first, second, resumed, *_ = pieces_sent(proxy)
    assert (first, second) == (0, CHUNK_BYTES)
    assert CHUNK_BYTES <= resumed <= CHUNK_BYTES + 1_000_000  # a reset may overtake what was sent before it
    assert proxied.get("large") == LARGE


def test_the_wrapper_resumes_within_one_call(proxied: SupabaseStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1_000_000)
    store = wrap_store(proxied, retry=RetryPolicy(base_seconds=0.01), rng=random.Random(1))
    assert store.put("large", LARGE).proof is Proof.SERVER_MD5
    assert proxy.fault.hits == 1
    assert pieces_sent(proxy).count(0) == 1


def test_a_session_of_other_content_is_not_gone_on_with(proxied: SupabaseStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        proxied.put("large", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert proxy.fault.hits == 1
    assert proxied.put("large", LARGE).proof is Proof.SERVER_MD5
    assert pieces_sent(proxy).count(0) == 2


def test_an_expired_session_is_begun_again() -> None:
    clock = ManualClock()
    with running_supabase(clock=clock) as service, FaultProxy(("127.0.0.1", service.port)) as proxy:
        service.buckets[BUCKET] = Bucket()
        store = SupabaseStore(options_for(service, url=proxy.url), clock=clock)
        proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1000)
        with pytest.raises(StoreUnavailable):
            store.put("large", LARGE)
        assert proxy.fault.hits == 1
        clock.advance(2 * 3600)
        assert store.put("large", LARGE).proof is Proof.SERVER_MD5
        assert pieces_sent(proxy).count(0) == 2
        store.close()


def test_a_hopeless_upload_leaves_nothing_behind(supabase: Supabase, proxied: SupabaseStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"Upload-Offset: 6291456", reply=Reply("403 Forbidden", {}, b"not any more"))
    with pytest.raises(AccessDenied):
        proxied.put("large", LARGE)
    assert proxy.fault.hits == 1
    assert supabase.uploads == {}


def test_unfinished_uploads_of_this_process_are_removed_by_age(
    supabase: Supabase, proxied: SupabaseStore, proxy: FaultProxy
) -> None:
    proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        proxied.put("large", LARGE)
    assert proxy.fault.hits == 1
    now = SYSTEM_CLOCK.utcnow()
    assert proxied.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert proxied.remove_unfinished(before=now + timedelta(hours=1)) == 1
    assert supabase.uploads == {}


def test_the_key_goes_to_no_other_host_than_ours(proxied: SupabaseStore, proxy: FaultProxy) -> None:
    """The server's answer names https://project.supabase.co for the pieces; all of them came to us."""
    proxied.put("large", LARGE)
    assert pieces_sent(proxy) == [0, CHUNK_BYTES, 2 * CHUNK_BYTES]
    assert b"project.supabase.co" in b"".join(proxy.answers)


@pytest.mark.parametrize("end", ["end_after_received", "reset_after_received"])
def test_a_short_answer_is_an_error_never_a_short_result(proxied: SupabaseStore, proxy: FaultProxy, end: str) -> None:
    proxied.put("pack", PACK)
    proxy.fault = Fault(match=b"/object/authenticated/")
    setattr(proxy.fault, end, 500_000)
    with pytest.raises(StoreUnavailable):
        proxied.get("pack")
    assert proxy.fault.hits == 1


def test_a_bit_flipped_on_the_way_down_is_found_by_reading_back(
    supabase: Supabase, proxied: SupabaseStore, proxy: FaultProxy
) -> None:
    supabase.encrypted, supabase.backend = True, "s3"
    proxied.put("pack", PACK)
    proxy.fault = Fault(match=b"Range: bytes=0-8388607", flip_received=1000)
    with pytest.raises(ObjectCorrupt):
        proxied.verify("pack", sha256=PACK_SHA256)
    assert proxy.fault.hits == 1


def test_a_gateway_that_ignores_ranges_still_gives_the_range(proxied: SupabaseStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"/object/authenticated/", reply=Reply("200 OK", {}, b"0123456789"))
    assert proxied.get("pack", offset=2, length=3) == b"234"
    assert proxy.fault.hits == 1


def test_a_page_of_some_gateway_is_no_answer(proxied: SupabaseStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(reply=Reply("200 OK", {}, b"<html>Log in to the venue's network</html>"), times=2)
    for call in (lambda: proxied.head("pack"), lambda: [*proxied.list()]):
        with pytest.raises(StoreUnavailable, match="venue's network"):
            call()
    assert proxy.fault.hits == 2


# --- refusals


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "retryable"),
    [
        ("503 Service Unavailable", {}, "", StoreUnavailable, True),
        ("429 Too Many Requests", {"Retry-After": "7"}, "", Throttled, True),
        ("400 Bad Request", {}, '{"statusCode": "429", "code": "SlowDown", "message": "m"}', Throttled, True),
        ("500 Internal Server Error", {}, '{"statusCode": "500", "code": "InternalError"}', StoreUnavailable, True),
        ("400 Bad Request", {}, '{"statusCode": "423", "code": "ResourceLocked"}', StoreUnavailable, True),
        ("400 Bad Request", {}, '{"statusCode": "503", "code": "LockTimeout"}', StoreUnavailable, True),
        ("544 Database Timeout", {}, '{"statusCode": "544", "code": "DatabaseTimeout"}', StoreUnavailable, True),
        ("540 Project Paused", {}, "", StoreUnavailable, True),
        ("402 Payment Required", {}, '{"message": "exceed_storage_size_quota"}', LocationFull, False),
        ("401 Unauthorized", {}, '{"message": "Invalid API key"}', AccessDenied, False),
        ("400 Bad Request", {}, '{"statusCode": "404", "error": "Bucket not found"}', LocationMissing, False),
        ("400 Bad Request", {}, '{"statusCode": "415", "code": "InvalidMimeType"}', Rejected, False),
        ("301 Moved Permanently", {"Location": "https://elsewhere.example"}, "", Rejected, False),
    ],
)
def test_an_answer_becomes_the_error_that_says_whether_to_try_again(
    proxied: SupabaseStore,
    proxy: FaultProxy,
    status: str,
    headers: dict[str, str],
    body: str,
    expected: type[StoreError],
    retryable: bool,
) -> None:
    proxy.fault = Fault(match=PUT, reply=Reply(status, headers, body.encode()))
    with pytest.raises(StoreError) as caught:
        proxied.put("pack", PACK)
    assert type(caught.value) is expected
    assert caught.value.retryable is retryable
    assert caught.value.retry_after == (7.0 if "Retry-After" in headers else None)
    assert caught.value.advice
    assert proxy.fault.hits == 1
    assert len(proxy.requests) == 1  # nothing is tried again, no redirection followed


CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "put": lambda store: store.put("a/pack", PACK),
    "put in pieces": lambda store: store.put("a/large", LARGE),
    "get": lambda store: store.get("a/pack"),
    "head": lambda store: store.head("a/pack"),
    "list": lambda store: [*store.list()],
    "delete": lambda store: store.delete("a/pack"),
    "verify": lambda store: store.verify("a/pack", sha256=PACK_SHA256),
    "facts": lambda store: store.facts(),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Callable[[ObjectStore], object]:
    return CALLS[request.param]


def test_a_key_of_another_project_is_access_denied_everywhere(
    supabase: Supabase, open_supabase: Open, call: Callable[[ObjectStore], object]
) -> None:
    key = supabase.key(secret="another project's secret")
    with pytest.raises(AccessDenied, match="signature verification failed") as caught:
        call(open_supabase(service_key=key))
    assert "service_role" in caught.value.advice
    assert key not in f"{caught.value!r} {caught.value}"


def test_an_expired_key_is_named_everywhere(
    supabase: Supabase, open_supabase: Open, call: Callable[[ObjectStore], object]
) -> None:
    with pytest.raises(CredentialExpired):
        call(open_supabase(service_key=supabase.key(days=-1)))


@pytest.mark.parametrize("role", ["anon", "authenticated", "publishable"])
def test_a_key_of_lesser_rights_is_refused_before_it_can_fail_silently(
    supabase: Supabase, open_supabase: Open, proxy: FaultProxy, role: str, call: Callable[[ObjectStore], object]
) -> None:
    key = "sb_publishable_x" if role == "publishable" else supabase.key(role)
    with pytest.raises(AccessDenied, match=f"the project's {role} key"):
        call(open_supabase(service_key=key, url=proxy.url))
    assert proxy.requests == []


def test_a_missing_bucket_is_a_missing_location_everywhere(
    open_supabase: Open, call: Callable[[ObjectStore], object]
) -> None:
    with pytest.raises(LocationMissing):
        call(open_supabase(bucket="nobody-made-this"))


def test_a_deletion_that_silently_does_nothing_is_access_denied(proxied: SupabaseStore, proxy: FaultProxy) -> None:
    proxied.put("pack", PACK)
    proxy.fault = Fault(match=b"DELETE ", reply=Reply("200 OK", {}, b"[]"))
    with pytest.raises(AccessDenied, match="still there"):
        proxied.delete("pack")
    assert proxy.fault.hits == 1


@pytest.mark.parametrize("content", [PACK, LARGE], ids=["small", "large"])
def test_an_object_above_the_buckets_limit_is_refused_with_advice(
    supabase: Supabase, open_supabase: Open, content: bytes
) -> None:
    supabase.buckets[BUCKET].file_size_limit = 1000
    with pytest.raises(Rejected) as caught:
        open_supabase().put("pack", content)
    assert "file size limit" in caught.value.advice


@pytest.mark.parametrize("name", ["Zoë.pdf", "a#b", "100%", "a~b", "[x]"])
def test_names_that_the_service_refuses_are_refused_before(open_supabase: Open, name: str) -> None:
    with pytest.raises(InvalidName):
        open_supabase().put(name, b"")


def test_signs_that_mean_something_in_addresses_are_only_letters_of_a_name(open_supabase: Open) -> None:
    store, name = open_supabase(), "a & b/(c+d)=$@;,!'.pdf"
    store.put(name, PACK)
    assert [info.name for info in store.list("a & b/")] == [name]
    assert store.get(name) == PACK
    store.delete(name)


@pytest.mark.parametrize(
    "changes",
    [{"url": "abc.supabase.co"}, {"url": "https://abc.supabase.co/storage/v1"}, {"service_key": "ey two\nlines"}],
    ids=["url", "url with a path", "service_key"],
)
def test_options_that_cannot_work_are_refused(open_supabase: Open, changes: dict[str, str]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(changes))) as caught:
        open_supabase(**changes)
    assert next(iter(changes.values())) not in str(caught.value)


# --- dead providers


def test_a_server_that_never_answers_is_asked_once(
    proxied: SupabaseStore, proxy: FaultProxy, call: Callable[[ObjectStore], object]
) -> None:
    proxy.fault = Fault(black_hole=True, times=99)
    with pytest.raises(NoAnswer):
        call(wrap_store(proxied))
    assert proxy.fault.hits == 1


def test_a_refused_connection_is_unavailable_everywhere(
    proxied: SupabaseStore, proxy: FaultProxy, call: Callable[[ObjectStore], object]
) -> None:
    proxy.down()
    with pytest.raises(StoreUnavailable, match="refused"):
        call(proxied)
    proxy.up()
    proxied.put("a/pack", PACK)


def test_a_server_that_is_down_for_maintenance_is_asked_twice(
    proxied: SupabaseStore, proxy: FaultProxy, call: Callable[[ObjectStore], object]
) -> None:
    proxy.fault = Fault(reply=Reply("503 Service Unavailable"), times=99)
    with pytest.raises(StoreUnavailable):
        call(wrap_store(proxied, retry=RetryPolicy(base_seconds=0.01)))
    assert proxy.fault.hits == 2


def test_the_default_time_limits_notice_silence_within_12_seconds(supabase: Supabase) -> None:
    options = options_for(supabase)
    assert options.connect_seconds + options.read_seconds <= 12


class RacingClock(ManualClock):
    """A hundred seconds pass whenever somebody looks."""

    def monotonic(self) -> float:
        self.advance(100)
        return super().monotonic()


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_transfer_that_crawls_is_given_up(supabase: Supabase, open_supabase: Open, direction: str) -> None:
    open_supabase().put("pack", PACK)
    crawling = SupabaseStore(options_for(supabase), clock=RacingClock())
    with pytest.raises(NoAnswer):
        crawling.get("pack") if direction == "down" else crawling.put("other", PACK)
    crawling.close()


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
