"""Google Cloud Storage against an emulator with Google's documented behaviour (see tests/servers/gcs.py)."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pickle
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from providers.stores.base import (
    AccessDenied,
    ChecksumMismatch,
    ClockSkewed,
    CredentialExpired,
    LocationFull,
    LocationMissing,
    NoAnswer,
    ObjectCorrupt,
    ObjectNotFound,
    Proof,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
    Unsupported,
)
from providers.stores.gcs import GCSStore
from providers.stores.gcs_options import MEBIBYTE, GCSOptions, Retention, StorageClass
from providers.stores.options import InvalidOptions, build_options
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from tests.providers.store_contract import StoreContract
from tests.servers.gcs import GCS, running_gcs
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock

pytestmark = pytest.mark.services

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()
LARGE = os.urandom(3 * MEBIBYTE + 1000)
IN_CHUNKS = {"single_put_bytes": MEBIBYTE, "chunk_bytes": MEBIBYTE}
QUICK = {"connect_seconds": 0.3, "read_seconds": 0.3}


@pytest.fixture(scope="module")
def gcs() -> Iterator[GCS]:
    with running_gcs() as server:
        yield server


@pytest.fixture
def proxy(gcs: GCS) -> Iterator[FaultProxy]:
    with FaultProxy(("127.0.0.1", gcs.port)) as proxy:
        yield proxy


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
def proxied(open_gcs: Callable[..., GCSStore], proxy: FaultProxy) -> GCSStore:
    """A store whose line goes through the fault proxy; silence is noticed after 0.3 s."""
    return open_gcs(endpoint_url=proxy.url, **IN_CHUNKS | {"single_put_bytes": 2 * MEBIBYTE}, **QUICK)


@pytest.fixture
def in_chunks(open_gcs: Callable[..., GCSStore], proxy: FaultProxy) -> GCSStore:
    return open_gcs(endpoint_url=proxy.url, **IN_CHUNKS)


@pytest.fixture
def held(gcs: GCS) -> Iterator[set[str]]:
    """The permissions that the account has, until the test ends."""
    gcs.held = set()
    yield gcs.held
    gcs.held = None


class TestPromisesOfAServiceAccount(StoreContract):
    @pytest.fixture
    def store(self, gcs: GCS, open_gcs: Callable[..., GCSStore]) -> GCSStore:
        return open_gcs(key_json=gcs.key_json(), list_page=3, **IN_CHUNKS)


class TestPromisesInAFolderOverTls(StoreContract):
    @pytest.fixture
    def store(self, gcs: GCS, open_gcs: Callable[..., GCSStore], tmp_path: Path) -> Iterator[GCSStore]:
        with behind_tls(gcs, tmp_path) as (proxy, ca_file):
            key = gcs.key_json(token_uri=f"{proxy.url}/token")
            yield open_gcs(endpoint_url=proxy.url, ca_file=ca_file, key_json=key, prefix="weddings/2026", **IN_CHUNKS)


@contextlib.contextmanager
def behind_tls(gcs: GCS, folder: Path) -> Iterator[tuple[FaultProxy, str]]:
    """Yield a TLS fault proxy in front of the server and the path of the CA file to trust."""
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(folder / "gcs-ca.pem"))
    with FaultProxy(("127.0.0.1", gcs.port), tls=context) as proxy:
        yield proxy, str(folder / "gcs-ca.pem")


# --- what goes over the line


def test_an_upload_carries_hashes_class_and_key_and_nothing_else_is_asked(
    open_gcs: Callable[..., GCSStore], proxy: FaultProxy
) -> None:
    """The SDK would fetch the bucket by a thread of its own."""
    key = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/k"
    store = open_gcs(endpoint_url=proxy.url, storage_class=StorageClass.NEARLINE, kms_key=key)
    info = store.put("pack", PACK, sha256=PACK_SHA256)
    assert (info.proof, info.storage_class) == (Proof.SERVER_MD5, "NEARLINE")
    with pytest.raises(ObjectNotFound):
        store.head("other")
    store.delete("other")
    assert [request.split()[0] for request in proxy.requests] == ["POST", "GET", "DELETE"]
    assert "kmsKeyName=projects%2Fp%2F" in proxy.requests[0]
    blob = store._client().sdk.bucket(store.options.bucket).get_blob("pack")
    assert blob.metadata["sha256"] == PACK_SHA256


def test_nothing_is_downloaded_to_verify(proxied: GCSStore, proxy: FaultProxy) -> None:
    for name, content in (("at once", PACK), ("in chunks", LARGE)):
        proxied.put(name, content)
        sha256 = hashlib.sha256(content).hexdigest()
        info = proxied.verify(name, sha256=sha256)
        assert (info.proof, info.sha256) == (Proof.SERVER_MD5, sha256)
    assert not any("alt=media" in request for request in proxy.requests)


def test_an_object_whose_metadata_does_not_bind_to_its_hash_is_read_back(
    open_gcs: Callable[..., GCSStore],
) -> None:
    store = open_gcs()
    blob = store._client().sdk.bucket(store.options.bucket).blob("foreign")
    blob.metadata = {"sha256": PACK_SHA256, "md5": "of something else"}
    blob.upload_from_string(b"something else", retry=None)
    with pytest.raises(ObjectCorrupt):
        store.verify("foreign", sha256=PACK_SHA256)
    expected = hashlib.sha256(b"something else").hexdigest()
    assert store.verify("foreign", sha256=expected).proof is Proof.READ_BACK


def test_a_content_that_is_not_what_its_hash_says_is_not_sent(proxied: GCSStore, proxy: FaultProxy) -> None:
    with pytest.raises(ChecksumMismatch):
        proxied.put("pack", PACK, sha256="0" * 64)
    assert proxy.requests == []


def test_what_is_stored_as_gzip_comes_as_it_is(proxied: GCSStore, proxy: FaultProxy) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    proxy.fault = Fault(match=b"alt=media", reply=Reply("200 OK", headers, b"\x1f\x8bno gzip at all"))
    assert proxied.get("pack") == b"\x1f\x8bno gzip at all"
    assert proxy.fault.hits == 1
    assert b"Accept-Encoding: gzip" in proxy.heads[0]


# --- answers


def error_body(reason: str, message: str) -> bytes:
    return json.dumps({"error": {"code": 0, "message": message, "errors": [{"reason": reason}]}}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "retryable"),
    [
        ("503 Service Unavailable", {}, b"", StoreUnavailable, True),
        ("503 Service Unavailable", {"Retry-After": "7"}, b"", Throttled, True),
        ("429 Too Many Requests", {"Retry-After": "7"}, error_body("rateLimitExceeded", "slow"), Throttled, True),
        ("403 Forbidden", {}, error_body("rateLimitExceeded", "slow"), Throttled, True),
        ("403 Forbidden", {}, error_body("quotaExceeded", "full"), LocationFull, False),
        ("403 Forbidden", {}, error_body("forbidden", "no access"), AccessDenied, False),
        ("401 Unauthorized", {}, error_body("authError", "Invalid Credentials"), CredentialExpired, False),
        ("500 Internal Server Error", {}, b"<html>", StoreUnavailable, True),
        ("404 Not Found", {}, b"", LocationMissing, False),
        ("412 Precondition Failed", {}, error_body("conditionNotMet", "no"), StoreUnavailable, True),
        ("400 Bad Request", {}, error_body("invalid", "CRC32C doesn't match calculated"), ChecksumMismatch, True),
        ("400 Bad Request", {}, error_body("invalid", "strange"), Rejected, False),
    ],
)
def test_an_answer_becomes_the_error_that_says_whether_to_try_again(
    proxied: GCSStore,
    proxy: FaultProxy,
    status: str,
    headers: dict[str, str],
    body: bytes,
    expected: type[StoreError],
    retryable: bool,
) -> None:
    proxy.fault = Fault(match=GCSStore.wire.put, reply=Reply(status, headers, body))
    with pytest.raises(StoreError) as caught:
        proxied.put("pack", PACK, sha256=PACK_SHA256)
    assert type(caught.value) is expected
    assert caught.value.retryable is retryable
    assert caught.value.retry_after == (7.0 if headers else None)
    assert caught.value.advice
    assert "http://" not in str(caught.value)
    assert proxy.fault.hits == 1
    assert len([request for request in proxy.requests if request.startswith("POST")]) == 1


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found"])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"x"', b'{"error": "x"}', b""])
def test_an_answer_that_is_not_googles_is_never_believed(
    proxied: GCSStore, proxy: FaultProxy, call: Callable[[GCSStore], object], status: str, body: bytes
) -> None:
    proxy.fault = Fault(match=b"/storage/v1/", reply=Reply(status, {}, body), times=9)
    try:
        found = call(proxied)
    except StoreError as error:
        assert error.advice
    else:  # a page may be an object's content, and what cannot be found is deleted
        assert found == body if status == "200 OK" else found is None
    assert proxy.fault.hits


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("subject to bucket's retention policy", "protected"),
        ("The billing account is disabled", "billing"),
        ("Permission denied on Cloud KMS key", "Encrypter"),
    ],
)
def test_a_refusal_says_what_to_do(proxied: GCSStore, proxy: FaultProxy, words: str, advice: str) -> None:
    proxy.fault = Fault(match=b"DELETE", reply=Reply("403 Forbidden", {}, error_body("forbidden", words)))
    with pytest.raises(AccessDenied) as caught:
        proxied.delete("pack")
    assert advice in caught.value.advice
    assert proxy.fault.hits == 1


CALLS: dict[str, Callable[[GCSStore], object]] = {
    "put": lambda store: store.put("a/pack", PACK),
    "put in chunks": lambda store: store.put("a/large", LARGE),
    "get": lambda store: store.get("a/pack"),
    "head": lambda store: store.head("a/pack"),
    "list": lambda store: [*store.list()],
    "delete": lambda store: store.delete("a/pack"),
    "verify": lambda store: store.verify("a/pack", sha256=PACK_SHA256),
    "change_class": lambda store: store.change_class("a/pack", "ARCHIVE"),
    "facts": lambda store: store.facts(),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Callable[[GCSStore], object]:
    return CALLS[request.param]


def test_a_missing_bucket_is_a_missing_location_everywhere(
    open_gcs: Callable[..., GCSStore], call: Callable[[GCSStore], object], request: pytest.FixtureRequest
) -> None:
    with pytest.raises(LocationMissing, match="nobody-made-this"):
        call(open_gcs(bucket="nobody-made-this", single_put_bytes=2 * MEBIBYTE))


def test_a_404_without_words_is_looked_into(proxied: GCSStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"alt=media", reply=Reply("404 Not Found"))
    with pytest.raises(ObjectNotFound):
        proxied.get("pack")
    proxy.fault = Fault(match=b"GET", reply=Reply("404 Not Found"), times=2)
    with pytest.raises(LocationMissing):
        proxied.get("pack")
    assert proxy.fault.hits == 2


def test_a_refused_connection_is_unavailable_everywhere(
    proxied: GCSStore, proxy: FaultProxy, call: Callable[[GCSStore], object]
) -> None:
    proxy.down()
    with pytest.raises(StoreUnavailable, match="refused"):
        call(proxied)
    proxy.up()
    proxied.put("a/pack", PACK)


def test_a_silent_server_is_asked_once(
    proxied: GCSStore, proxy: FaultProxy, call: Callable[[GCSStore], object]
) -> None:
    proxy.fault = Fault(black_hole=True, times=99)
    with pytest.raises(NoAnswer):
        call(proxied)
    assert proxy.fault.hits == 1


@pytest.mark.parametrize(
    ("fault", "expected", "attempts"),
    [
        (Fault(reply=Reply("503 Service Unavailable"), times=99), StoreUnavailable, 2),
        (Fault(black_hole=True, times=99), NoAnswer, 1),
        (None, StoreUnavailable, 2),
    ],
    ids=["503", "black hole", "refused"],
)
def test_a_dead_provider_is_reported_after_the_recommended_attempts(
    proxied: GCSStore, proxy: FaultProxy, fault: Fault | None, expected: type[StoreError], attempts: int
) -> None:
    tried: list[object] = []
    wrapped = wrap_store(proxied, retry=RetryPolicy(base_seconds=0.01), on_call=tried.append)
    if fault is None:
        proxy.down()
    proxy.fault = fault
    with pytest.raises(expected):
        wrapped.put("pack", PACK)
    assert len(tried) == attempts
    assert fault is None or fault.hits == attempts
    if fault is None:
        proxy.up()


def test_an_unknown_host_is_unavailable(gcs: GCS, open_gcs: Callable[..., GCSStore]) -> None:
    with pytest.raises(StoreUnavailable, match="name is not known"):
        open_gcs(endpoint_url="https://nowhere.invalid", key_json=gcs.key_json()).put("pack", PACK)


# --- lines


def test_a_cut_upload_leaves_the_old_object(proxied: GCSStore, proxy: FaultProxy) -> None:
    proxied.put("pack", b"old")
    proxy.fault = Fault(match=GCSStore.wire.put, reset_after_sent=MEBIBYTE)
    with pytest.raises(StoreUnavailable):
        proxied.put("pack", PACK)
    assert proxy.fault.hits == 1
    assert proxied.get("pack") == b"old"


def test_a_lost_answer_after_the_commit_is_settled_by_asking(proxied: GCSStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=GCSStore.wire.put, lose_answer=True)
    assert proxied.put("pack", PACK).proof is Proof.SERVER_MD5
    assert proxy.fault.hits == 1
    assert [request.split()[0] for request in proxy.requests] == ["POST", "GET"]
    assert proxied.get("pack") == PACK


def test_a_lost_answer_is_no_success_while_another_object_of_that_size_is_there(
    proxied: GCSStore, proxy: FaultProxy
) -> None:
    proxied.put("pack", bytes(len(PACK)))
    proxy.fault = Fault(match=GCSStore.wire.put, reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        proxied.put("pack", PACK)
    assert proxy.fault.hits == 1


@pytest.mark.parametrize("status", ["403 Forbidden", "409 Conflict", "412 Precondition Failed"])
def test_a_conflict_with_our_own_success_is_success(proxied: GCSStore, proxy: FaultProxy, status: str) -> None:
    proxied.put("pack", PACK)
    proxy.fault = Fault(match=GCSStore.wire.put, reply=Reply(status))
    assert proxied.put("pack", PACK).proof is Proof.SERVER_MD5
    assert proxy.fault.hits == 1


def test_a_store_that_never_replaces_accepts_its_own_object_and_refuses_to_change_it(
    open_gcs: Callable[..., GCSStore], proxy: FaultProxy, held: set[str]
) -> None:
    """Its account may not delete, and who may not delete may not replace."""
    store = open_gcs(endpoint_url=proxy.url, create_only=True, **IN_CHUNKS)
    for name, content in (("pack", b"content"), ("large", LARGE)):
        store.put(name, content)
        assert store.put(name, content).proof is Proof.SERVER_MD5
        with pytest.raises(Rejected, match="other content"):
            store.put(name, content + b"!")
        assert store.get(name) == content
    assert all("ifGenerationMatch=0" in request for request in proxy.requests if request.startswith("POST"))
    with pytest.raises(AccessDenied):
        store.delete("pack")


@pytest.mark.parametrize("content", [PACK, LARGE], ids=["at once", "in chunks"])
def test_a_bit_flipped_on_the_way_up_is_refused_by_the_server(
    gcs: GCS, proxied: GCSStore, proxy: FaultProxy, content: bytes
) -> None:
    before = gcs.sessions()
    proxy.fault = Fault(match=b"upload", larger_than=1000, flip_sent=MEBIBYTE - 1000)
    with pytest.raises(ChecksumMismatch) as caught:
        proxied.put("pack", content)
    assert caught.value.retryable
    assert proxy.fault.hits == 1
    with pytest.raises(ObjectNotFound):
        proxied.head("pack")
    assert gcs.sessions() == before
    assert proxied.put("pack", content).proof is Proof.SERVER_MD5


def test_a_server_that_checks_nothing_is_caught_by_the_hash_in_its_answer(proxied: GCSStore, proxy: FaultProxy) -> None:
    resource = {"kind": "storage#object", "md5Hash": "AAAAAAAAAAAAAAAAAAAAAA==", "size": str(len(PACK))}
    proxy.fault = Fault(match=GCSStore.wire.put, reply=Reply("200 OK", {}, json.dumps(resource).encode()))
    with pytest.raises(ChecksumMismatch):
        proxied.put("pack", PACK)
    assert proxy.fault.hits == 1


@pytest.mark.parametrize("end", ["end_after_received", "reset_after_received"])
def test_a_short_answer_is_an_error_never_a_short_result(proxied: GCSStore, proxy: FaultProxy, end: str) -> None:
    proxied.put("pack", PACK)
    proxy.fault = Fault(match=GCSStore.wire.get)
    setattr(proxy.fault, end, MEBIBYTE)
    with pytest.raises(StoreUnavailable):
        proxied.get("pack")
    assert proxy.fault.hits == 1


def test_a_server_that_ignores_ranges_still_gives_the_range(proxied: GCSStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=GCSStore.wire.get, reply=Reply("200 OK", {}, b"0123456789"))
    assert proxied.get("pack", offset=2, length=3) == b"234"
    assert proxy.fault.hits == 1


class RacingClock(ManualClock):
    """A hundred seconds pass whenever somebody looks."""

    def monotonic(self) -> float:
        self.advance(100)
        return super().monotonic()


@pytest.mark.parametrize("transfer", ["get", "put", "put in chunks"])
def test_a_transfer_that_crawls_is_given_up(open_gcs: Callable[..., GCSStore], transfer: str) -> None:
    open_gcs().put("a/pack", PACK)
    crawling = open_gcs(clock=RacingClock(), single_put_bytes=2 * MEBIBYTE, chunk_bytes=MEBIBYTE)
    with pytest.raises(NoAnswer):
        CALLS[transfer](crawling)


# --- in chunks


def ranges_sent(proxy: FaultProxy) -> list[str]:
    """Return the positions of all chunks and questions sent, in MiB of whole ones."""
    heads = [head.decode("latin-1") for head in proxy.heads]
    return [head.split("Content-Range: bytes ")[1].split("/")[0] for head in heads if "Content-Range: " in head]


def test_a_cut_upload_goes_on_with_what_the_server_has(gcs: GCS, in_chunks: GCSStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=600_000)
    with pytest.raises(StoreUnavailable) as caught:
        in_chunks.put("large", LARGE)
    assert proxy.fault.hits == 1
    assert "upload_id" not in f"{caught.value!r} {caught.value}"
    assert [*in_chunks.list()] == []
    before = gcs.sessions()
    assert in_chunks.put("large", LARGE).proof is Proof.SERVER_MD5
    sent = ranges_sent(proxy)
    assert sent[:3] == ["0-1048575", "1048576-2097151", "*"]
    assert int(sent[3].split("-")[0]) in (1048576, 1048576 + 512 * 1024)  # what of the cut chunk arrived
    assert len([request for request in proxy.requests if request.startswith("POST")]) == 1
    assert in_chunks.get("large") == LARGE
    assert gcs.sessions() == before - 1


def test_other_content_of_that_name_begins_its_own_session(in_chunks: GCSStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_chunks.put("large", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert proxy.fault.hits == 1
    in_chunks.put("large", LARGE)
    assert "*" not in ranges_sent(proxy)
    assert in_chunks.get("large") == LARGE


def test_a_session_that_the_server_forgot_begins_again(gcs: GCS, in_chunks: GCSStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reply=Reply("404 Not Found"))
    with pytest.raises(StoreUnavailable, match="begins again"):
        in_chunks.put("large", LARGE)
    assert proxy.fault.hits == 1
    proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_chunks.put("large", LARGE)
    assert proxy.fault.hits == 1
    gcs.storage.resumable.clear()
    assert in_chunks.put("large", LARGE).proof is Proof.SERVER_MD5
    assert in_chunks.get("large") == LARGE


def test_a_server_that_takes_nothing_is_given_up(in_chunks: GCSStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"Content-Range: bytes 0-", reply=Reply("308 Resume Incomplete"), times=99)
    with pytest.raises(StoreUnavailable, match="took nothing"):
        in_chunks.put("large", LARGE)
    assert proxy.fault.hits == 1


def test_a_lost_answer_to_the_last_chunk_is_settled_by_asking(in_chunks: GCSStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"Content-Range: bytes 3145728-", lose_answer=True)
    assert in_chunks.put("large", LARGE).proof is Proof.SERVER_MD5
    assert proxy.fault.hits == 1
    assert proxy.requests[-1].startswith("GET")


def test_a_silent_server_in_the_middle_keeps_the_session(
    gcs: GCS, open_gcs: Callable[..., GCSStore], proxy: FaultProxy
) -> None:
    store = open_gcs(endpoint_url=proxy.url, **IN_CHUNKS, **QUICK)
    proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", black_hole=True)
    with pytest.raises(NoAnswer):
        store.put("large", LARGE)
    assert proxy.fault.hits == 1
    store.put("large", LARGE)
    assert ranges_sent(proxy)[:4] == ["0-1048575", "1048576-2097151", "*", "1048576-2097151"]


def test_a_hopeless_upload_leaves_nothing_behind(gcs: GCS, in_chunks: GCSStore, proxy: FaultProxy) -> None:
    before = gcs.sessions()
    proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reply=Reply("403 Forbidden"))
    with pytest.raises(AccessDenied):
        in_chunks.put("large", LARGE)
    assert proxy.fault.hits == 1
    assert gcs.sessions() == before


def test_unfinished_sessions_are_cancelled_by_age_and_at_the_end(
    gcs: GCS, in_chunks: GCSStore, proxy: FaultProxy
) -> None:
    before, now = gcs.sessions(), SYSTEM_CLOCK.utcnow()
    for name in ("one", "two"):
        proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=1000)
        with pytest.raises(StoreUnavailable):
            in_chunks.put(name, LARGE)
        assert proxy.fault.hits == 1
    assert in_chunks.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert gcs.sessions() == before + 2
    assert in_chunks.remove_unfinished(before=now + timedelta(hours=1)) == 2
    assert gcs.sessions() == before
    proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_chunks.put("three", LARGE)
    in_chunks.close()
    assert gcs.sessions() == before


def test_a_session_is_only_ever_used_at_the_locations_own_address(in_chunks: GCSStore, proxy: FaultProxy) -> None:
    """Otherwise an answer could send our token anywhere."""
    elsewhere = {"Location": "http://elsewhere.invalid/upload/storage/v1/b/x/o?upload_id=1"}
    proxy.fault = Fault(match=b"uploadType=resumable", reply=Reply("200 OK", elsewhere))
    with pytest.raises(StoreUnavailable, match="begins again"):
        in_chunks.put("large", LARGE)
    assert proxy.fault.hits == 1
    assert proxy.requests[-1].startswith("PUT /upload/storage/v1/b/x/o?upload_id=1 ")


# --- the service account


@pytest.fixture
def with_key(gcs: GCS, proxy: FaultProxy, open_gcs: Callable[..., GCSStore]) -> Callable[..., GCSStore]:
    """Open stores that fetch tokens, and everything else, through the fault proxy."""

    def open_store(clock: Any = SYSTEM_CLOCK, **changes: str) -> GCSStore:
        key = gcs.key_json(token_uri=f"{proxy.url}/token", **changes)
        return open_gcs(clock, endpoint_url=proxy.url, key_json=key, **QUICK)

    return open_store


def tokens_asked(proxy: FaultProxy) -> int:
    return len([request for request in proxy.requests if request.startswith("POST /token")])


def test_one_token_serves_many_requests_until_it_ends(with_key: Callable[..., GCSStore], proxy: FaultProxy) -> None:
    clock = ManualClock(datetime.now(UTC))
    store = with_key(clock)
    store.put("pack", PACK)
    assert store.get("pack") == PACK
    assert tokens_asked(proxy) == 1
    clock.advance(3600 - 299)
    clock_before = clock.utcnow()
    assert clock_before > datetime.now(UTC)
    proxy.fault = Fault(match=b"/token", reply=Reply("200 OK", {}, b'{"access_token": "new", "expires_in": 3600}'))
    with pytest.raises(CredentialExpired):
        store.get("pack")
    assert (proxy.fault.hits, tokens_asked(proxy)) == (1, 2)


def test_a_token_that_the_server_refuses_is_replaced_for_the_next_call(
    gcs: GCS, with_key: Callable[..., GCSStore], proxy: FaultProxy
) -> None:
    store = with_key()
    store.put("pack", PACK)
    gcs.tokens.clear()
    with pytest.raises(CredentialExpired) as caught:
        store.get("pack")
    assert not any(token in str(caught.value) for token in ("Bearer", "token-"))
    assert store.get("pack") == PACK
    assert tokens_asked(proxy) == 2


@pytest.mark.parametrize(
    ("description", "date", "expected"),
    [
        ("Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.", "", ClockSkewed),
        ("Invalid grant.", "Fri, 12 Jun 2020 12:00:00 GMT", ClockSkewed),
        ("Invalid JWT Signature.", "", CredentialExpired),
        ("Invalid grant: account not found", "", AccessDenied),
    ],
)
def test_a_refused_key_is_told_from_a_wrong_clock(
    with_key: Callable[..., GCSStore], proxy: FaultProxy, description: str, date: str, expected: type[StoreError]
) -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": description}).encode()
    proxy.fault = Fault(match=b"/token", reply=Reply("400 Bad Request", {"Date": date} if date else {}, body))
    with pytest.raises(expected) as caught:
        with_key().get("pack")
    assert type(caught.value) is expected
    assert description in str(caught.value)
    assert (proxy.fault.hits, len(proxy.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(match=b"/token", black_hole=True, times=99), NoAnswer),
        (Fault(match=b"/token", reply=Reply("503 Service Unavailable"), times=99), StoreUnavailable),
        (Fault(match=b"/token", reply=Reply("429 Too Many Requests", {"Retry-After": "7"}), times=99), Throttled),
        (Fault(match=b"/token", reply=Reply("200 OK", {}, b"<html>"), times=99), StoreUnavailable),
        (Fault(match=b"/token", reply=Reply("401 Unauthorized"), times=99), AccessDenied),
    ],
    ids=["black hole", "503", "429", "no token", "401"],
)
def test_a_token_server_in_trouble_is_asked_once(
    with_key: Callable[..., GCSStore], proxy: FaultProxy, fault: Fault, expected: type[StoreError]
) -> None:
    proxy.fault = fault
    with pytest.raises(expected) as caught:
        with_key().put("pack", PACK)
    assert type(caught.value) is expected
    assert (fault.hits, len(proxy.requests)) == (1, 1)


def test_a_key_of_nobody_is_refused(with_key: Callable[..., GCSStore]) -> None:
    with running_gcs() as another:
        pem = json.loads(another.key_json())["private_key"]
    with pytest.raises(CredentialExpired, match="Invalid JWT Signature") as caught:
        with_key(private_key=pem).put("pack", PACK)
    assert "new one" in caught.value.advice


def test_the_key_stays_out_of_everything_that_is_shown(gcs: GCS, with_key: Callable[..., GCSStore]) -> None:
    store = with_key()
    store.put("pack", PACK)
    shown = repr(store.options) + repr(store) + repr(store._client()) + repr(store._client().line.session.credentials)
    assert "PRIVATE KEY" not in shown
    assert not any(token in shown for token in gcs.tokens)


# --- options


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint_url": "storage.googleapis.com"},
        {"endpoint_url": "https://storage.googleapis.com/bucket"},
        {"chunk_bytes": 300_000},
        {"key_json": ""},
        {"key_json": "/etc/key.json"},
        {"key_json": '{"type": "authorized_user"}'},
        {"key_json": '{"type": "service_account"}'},
    ],
)
def test_options_that_cannot_work_are_refused(gcs: GCS, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(changes))) as caught:
        GCSOptions(**{"bucket": "b", "key_json": gcs.key_json(), **changes})
    assert "/etc/key.json" not in str(caught.value)


def test_a_damaged_key_or_a_token_server_without_tls_is_refused(gcs: GCS) -> None:
    for changes, words in (({"private_key": "nonsense"}, "damaged"), ({"token_uri": "http://x.test"}, "https")):
        with pytest.raises(InvalidOptions, match=words):
            GCSOptions(bucket="b", key_json=gcs.key_json(**changes))


def test_options_come_from_plain_words(gcs: GCS) -> None:
    words = {"bucket": "b", "key_json": gcs.key_json(), "storage_class": "ARCHIVE", "retention": "Locked"}
    options = build_options(GCSOptions, words)
    assert (options.storage_class, options.retention) == (StorageClass.ARCHIVE, Retention.LOCKED)


# --- classes, protection, facts


def test_a_change_of_class_keeps_content_and_proof(open_gcs: Callable[..., GCSStore], proxy: FaultProxy) -> None:
    store = open_gcs(endpoint_url=proxy.url)
    store.put("pack", PACK)
    store.change_class("pack", "COLDLINE")
    assert store.head("pack").storage_class == "COLDLINE"
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    rewrites = [request for request in proxy.requests if "rewriteTo" in request]
    assert len(rewrites) == 2  # the server asked to be called again
    assert "rewriteToken=" in rewrites[1]
    assert all("ifGenerationMatch=" in one and "ifSourceGenerationMatch=" in one for one in rewrites)
    store.change_class("pack", "COLDLINE")
    assert len([request for request in proxy.requests if "rewriteTo" in request]) == 2
    with pytest.raises(Unsupported):
        store.change_class("pack", "GLACIER")


def test_a_protected_object_can_be_neither_deleted_nor_replaced_and_protection_only_grows(
    gcs: GCS, open_gcs: Callable[..., GCSStore]
) -> None:
    bucket = gcs.make_bucket(objectRetention={"mode": "Enabled"})
    store = open_gcs(bucket=bucket, retention=Retention.LOCKED)
    store.put("pack", PACK)
    until = SYSTEM_CLOCK.utcnow() + timedelta(days=30)
    store.protect("pack", until=until)
    store.protect("pack", until=until - timedelta(days=1))
    blob = store._looked_at("pack")
    assert (blob.retention.mode, blob.retention.retain_until_time) == ("Locked", until)
    with pytest.raises(AccessDenied) as caught:
        store.delete("pack")
    assert "protected" in caught.value.advice
    with pytest.raises(AccessDenied):
        store.put("pack", b"other")
    assert store.put("pack", PACK).proof  # the same again is there already
    assert store.facts().locked


def test_a_place_without_object_retention_says_so(open_gcs: Callable[..., GCSStore]) -> None:
    until = SYSTEM_CLOCK.utcnow() + timedelta(days=30)
    store = open_gcs()
    store.put("pack", PACK)
    with pytest.raises(Unsupported):
        store.protect("pack", until=until)
    assert not store.capabilities.object_lock
    with pytest.raises(Rejected, match="not enabled"):
        open_gcs(retention=Retention.UNLOCKED).protect("pack", until=until)


def test_the_bucket_tells_its_facts(gcs: GCS, open_gcs: Callable[..., GCSStore], held: set[str]) -> None:
    held |= {"storage.buckets.get", "storage.buckets.setIamPolicy"}
    rules = [
        {"action": {"type": "Delete"}, "condition": {"age": 30}},
        {"action": {"type": "Delete"}, "condition": {"numNewerVersions": 3}},
        {"action": {"type": "SetStorageClass", "storageClass": "ARCHIVE"}, "condition": {"age": 365}},
    ]
    bucket = gcs.make_bucket(
        location="EUROPE-WEST3",
        versioning={"enabled": True},
        lifecycle={"rule": rules},
        retentionPolicy={"retentionPeriod": str(7 * 86_400)},
        iamConfiguration={"publicAccessPrevention": "enforced", "uniformBucketLevelAccess": {"enabled": True}},
    )
    facts = open_gcs(bucket=bucket).facts()
    assert (facts.public, facts.versioned, facts.locked, facts.region) == (False, True, True, "europe-west3")
    assert facts.excess_rights == ("decide who may use the bucket",)
    assert facts.lifecycle[0] == "deletes objects when: age 30"
    assert "moves objects to ARCHIVE when: age 365" in facts.lifecycle
    assert any("7 days after" in words for words in facts.lifecycle)
    assert facts.dangers == ("deletes objects when: age 30",)


def test_a_public_bucket_is_noticed(gcs: GCS, open_gcs: Callable[..., GCSStore]) -> None:
    settings = {"publicAccessPrevention": "inherited", "uniformBucketLevelAccess": {"enabled": True}}
    bucket = gcs.make_bucket(iamConfiguration=settings)
    store = open_gcs(bucket=bucket)
    assert store.facts().public is False
    everybody = {"role": "roles/storage.objectViewer", "members": ["allUsers"]}
    gcs.storage.set_bucket_iam_policy(bucket, {"version": 1, "etag": "x", "bindings": [everybody]})
    assert store.facts().public is True


def test_an_account_that_may_not_look_at_the_bucket_still_tells_its_rights(
    open_gcs: Callable[..., GCSStore], held: set[str]
) -> None:
    held |= {"storage.buckets.delete"}
    facts = open_gcs().facts()
    assert (facts.public, facts.region, facts.excess_rights) == (None, None, ("delete the bucket",))


def test_the_roles_hold_what_is_needed_and_no_more() -> None:
    known = {"bucket": "wedding-copies", "project_id": "a-wedding", "prefix": "vaults"}
    policies = GCSStore.policies(known)
    assert "storage.objects.create" in policies["writer"]
    assert "delete" not in policies["writer"] + policies["writer"]
    assert "storage.objects.delete" in policies["pruner"]
    assert "setRetention" not in policies["writer"]
    assert "setRetention" in GCSStore.policies({**known, "retention": "Locked"})["writer"]
    assert 'startsWith("projects/_/buckets/wedding-copies/objects/vaults/")' in policies["commands"]
    assert GCSStore.policies({})["commands"].count("gs://BUCKET") == 2


# --- processes


def test_many_threads_share_one_client(open_gcs: Callable[..., GCSStore]) -> None:
    store, clients = open_gcs(), set()
    threads = [threading.Thread(target=lambda: clients.add(id(store._client()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 1


def test_a_process_that_inherits_a_client_makes_its_own(
    open_gcs: Callable[..., GCSStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_gcs()
    inherited = store._client()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert store._client() is not inherited


def test_a_store_travels_without_its_connections(gcs: GCS, open_gcs: Callable[..., GCSStore]) -> None:
    store = open_gcs(key_json=gcs.key_json())
    store.put("pack", PACK)
    travelled = pickle.loads(pickle.dumps(store))
    assert travelled.get("pack") == PACK
    travelled.close()


def test_nothing_is_taken_from_the_environment(
    gcs: GCS, open_gcs: Callable[..., GCSStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "HTTP_PROXY", "http_proxy", "API_ENDPOINT_OVERRIDE"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    open_gcs(key_json=gcs.key_json()).put("pack", PACK)
