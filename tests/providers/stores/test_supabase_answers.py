"""What Supabase Storage refuses, and what is refused before it is asked."""

from __future__ import annotations

import pytest

from providers.stores.errors import (
    AccessDenied,
    CredentialExpired,
    InvalidName,
    LocationFull,
    LocationMissing,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.stores.options import InvalidOptions
from providers.stores.supabase import SupabaseStore
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.calls import Call
from tests.servers.supabase_fixtures import BUCKET, LARGE, PACK, PUT, Open
from tests.servers.supabase_state import Supabase


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
    supabase_proxied: SupabaseStore,
    supabase_proxy: FaultProxy,
    status: str,
    headers: dict[str, str],
    body: str,
    expected: type[StoreError],
    retryable: bool,
) -> None:
    supabase_proxy.fault = Fault(match=PUT, reply=Reply(status, headers, body.encode()))
    with pytest.raises(StoreError) as caught:
        supabase_proxied.put("pack", PACK)
    assert type(caught.value) is expected
    assert caught.value.retryable is retryable
    assert caught.value.retry_after == (7.0 if "Retry-After" in headers else None)
    assert caught.value.advice
    assert supabase_proxy.fault.hits == 1
    assert len(supabase_proxy.requests) == 1  # nothing is tried again, no redirection followed


def test_a_key_of_another_project_is_access_denied_everywhere(
    supabase: Supabase, open_supabase: Open, supabase_call: Call
) -> None:
    key = supabase.key(secret="another project's secret")
    with pytest.raises(AccessDenied, match="signature verification failed") as caught:
        supabase_call(open_supabase(service_key=key))
    assert "service_role" in caught.value.advice
    assert key not in f"{caught.value!r} {caught.value}"


def test_an_expired_key_is_named_everywhere(supabase: Supabase, open_supabase: Open, supabase_call: Call) -> None:
    with pytest.raises(CredentialExpired):
        supabase_call(open_supabase(service_key=supabase.key(days=-1)))


@pytest.mark.parametrize("role", ["anon", "authenticated", "publishable"])
def test_a_key_of_lesser_rights_is_refused_before_it_can_fail_silently(
    supabase: Supabase,
    open_supabase: Open,
    supabase_proxy: FaultProxy,
    role: str,
    supabase_call: Call,
) -> None:
    key = "sb_publishable_x" if role == "publishable" else supabase.key(role)
    with pytest.raises(AccessDenied, match=f"the project's {role} key"):
        supabase_call(open_supabase(service_key=key, url=supabase_proxy.url))
    assert supabase_proxy.requests == []


def test_a_missing_bucket_is_a_missing_location_everywhere(open_supabase: Open, supabase_call: Call) -> None:
    with pytest.raises(LocationMissing):
        supabase_call(open_supabase(bucket="nobody-made-this"))


def test_a_deletion_that_silently_does_nothing_is_access_denied(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    supabase_proxied.put("pack", PACK)
    supabase_proxy.fault = Fault(match=b"DELETE ", reply=Reply("200 OK", {}, b"[]"))
    with pytest.raises(AccessDenied, match="still there"):
        supabase_proxied.delete("pack")
    assert supabase_proxy.fault.hits == 1


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
