"""S3 against a real server (Swift) over lines that fail on order."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from providers.stores.base import (
    AccessDenied,
    Checksum,
    ChecksumMismatch,
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
    WrongRegion,
)
from providers.stores.options import InvalidOptions
from providers.stores.s3 import MEBIBYTE, S3Options, S3Store
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.store_contract import StoreContract
from tests.servers.swift import Swift
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock

pytestmark = pytest.mark.services

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()


def options_for(swift: Swift, *, bucket: str, **changes: Any) -> S3Options:
    options = S3Options(
        bucket=bucket,
        access_key=swift.access_key,
        secret_key=swift.secret_key,
        region=swift.region,
        endpoint_url=swift.url,
    )
    return dataclasses.replace(options, **changes)


@pytest.fixture
def open_s3(swift: Swift, swift_bucket: str) -> Iterator[Callable[..., S3Store]]:
    """Open stores on a fresh bucket; options are given by name."""
    opened: list[S3Store] = []

    def open_store(**changes: Any) -> S3Store:
        opened.append(S3Store(options_for(swift, **{"bucket": swift_bucket, **changes})))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def proxied(open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> S3Store:
    """A store whose line goes through the fault proxy; silence is noticed after 0.3 s."""
    return open_s3(endpoint_url=swift_proxy.url, read_seconds=0.3, connect_seconds=0.3)


class TestS3StoreWithSha256(StoreContract):
    @pytest.fixture
    def store(self, open_s3: Callable[..., S3Store]) -> S3Store:
        return open_s3(single_put_bytes=8 * MEBIBYTE, part_bytes=5 * MEBIBYTE, list_page=3)


class TestS3StoreWithSha256HeaderOnly(StoreContract):
    @pytest.fixture
    def store(self, open_s3: Callable[..., S3Store]) -> S3Store:
        return open_s3(checksum=Checksum.SHA256_HEADER_ONLY, single_put_bytes=5 * MEBIBYTE, part_bytes=5 * MEBIBYTE)


class TestS3StoreWithMd5OverTls(StoreContract):
    @pytest.fixture
    def store(self, open_s3: Callable[..., S3Store], swift_tls: tuple[FaultProxy, str]) -> S3Store:
        proxy, ca_file = swift_tls
        return open_s3(
            checksum=Checksum.MD5,
            prefix="weddings/2026",
            endpoint_url=proxy.url,
            ca_file=ca_file,
            single_put_bytes=5 * MEBIBYTE,
            part_bytes=5 * MEBIBYTE,
        )


# --- what goes over the line


def head_of(proxy: FaultProxy, method: str) -> str:
    return next(head for head in proxy.heads if head.startswith(method.encode())).decode("latin-1").lower()


@pytest.mark.parametrize(
    ("profile", "sent", "not_sent", "proof"),
    [
        (Checksum.SHA256, ["x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm"], "md5", Proof.SERVER_SHA256),
        (Checksum.SHA256_HEADER_ONLY, ["x-amz-checksum-sha256"], "algorithm", Proof.SERVER_SHA256),
        (Checksum.MD5, ["content-md5"], "x-amz-checksum", Proof.SERVER_MD5),
    ],
)
def test_each_checksum_profile_sends_its_headers_and_no_trailer(
    open_s3: Callable[..., S3Store],
    swift_tls: tuple[FaultProxy, str],
    profile: Checksum,
    sent: list[str],
    not_sent: str,
    proof: Proof,
) -> None:
    proxy, ca_file = swift_tls
    store = open_s3(checksum=profile, endpoint_url=proxy.url, ca_file=ca_file)
    assert store.put("pack", PACK, sha256=PACK_SHA256).proof is proof
    head = head_of(proxy, "PUT")
    assert all(header in head for header in sent)
    assert not_sent not in head.split("authorization")[0]
    assert "x-amz-trailer" not in head
    assert "x-amz-content-sha256: unsigned-payload" in head  # TLS signs the line: no second hashing
    if profile is not Checksum.MD5:
        assert base64.b64encode(bytes.fromhex(PACK_SHA256)).decode().lower() in head


def test_a_certificate_of_nobody_is_refused(open_s3: Callable[..., S3Store], swift_tls: tuple[FaultProxy, str]) -> None:
    proxy, _ = swift_tls
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate") as caught:
        open_s3(endpoint_url=proxy.url).put("pack", PACK)
    assert "CA file" in caught.value.advice


def test_where_the_server_keeps_the_sha256_nothing_is_downloaded_to_verify(
    proxied: S3Store, swift_proxy: FaultProxy
) -> None:
    """Swift does not keep it; the proxy answers as AWS does."""
    encoded = base64.b64encode(bytes.fromhex(PACK_SHA256)).decode()
    headers = {"x-amz-checksum-sha256": encoded, "x-amz-checksum-type": "FULL_OBJECT"}
    headers |= {"Last-Modified": "Fri, 12 Jun 2026 12:00:00 GMT", "ETag": '"x"'}
    swift_proxy.fault = Fault(match=b"HEAD", reply=Reply("200 OK", headers), times=2)
    info = proxied.verify("pack", sha256=PACK_SHA256)
    assert (info.proof, info.sha256) == (Proof.SERVER_SHA256, PACK_SHA256)
    with pytest.raises(ObjectCorrupt):
        proxied.verify("pack", sha256="0" * 64)
    assert swift_proxy.fault.hits == 2
    assert not any(request.startswith("GET") for request in swift_proxy.requests)


# --- answers


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "retryable"),
    [
        ("503 Service Unavailable", {}, "", StoreUnavailable, True),
        ("503 Slow Down", {}, "<Error><Code>SlowDown</Code></Error>", Throttled, True),
        ("429 Too Many Requests", {"Retry-After": "7"}, "", Throttled, True),
        ("500 Internal Server Error", {}, "", StoreUnavailable, True),
        ("507 Insufficient Storage", {}, "", LocationFull, False),
        ("403 Forbidden", {}, "", AccessDenied, False),
        ("403 Forbidden", {}, "<Error><Code>QuotaExceeded</Code></Error>", LocationFull, False),
        ("404 Not Found", {}, "", LocationMissing, False),
        ("400 Bad Request", {}, "<Error><Code>BadDigest</Code></Error>", ChecksumMismatch, True),
        ("400 Bad Request", {}, "<Error><Code>RequestTimeout</Code></Error>", StoreUnavailable, True),
        ("400 Bad Request", {}, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>", WrongRegion, False),
        ("501 Not Implemented", {}, "", Rejected, False),
    ],
)
def test_an_answer_becomes_the_error_that_says_whether_to_try_again(
    proxied: S3Store,
    swift_proxy: FaultProxy,
    status: str,
    headers: dict[str, str],
    body: str,
    expected: type[StoreError],
    retryable: bool,
) -> None:
    swift_proxy.fault = Fault(match=b"PUT /", reply=Reply(status, headers, body.encode()))
    with pytest.raises(StoreError) as caught:
        proxied.put("pack", PACK, sha256=PACK_SHA256)
    assert type(caught.value) is expected
    assert caught.value.retryable is retryable
    assert caught.value.retry_after == (7.0 if headers else None)
    assert caught.value.advice
    assert swift_proxy.fault.hits == 1
    assert len(swift_proxy.requests) == 1  # the SDK does not try again by itself


def test_retry_after_may_be_a_date(open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> None:
    store = S3Store(open_s3(endpoint_url=swift_proxy.url).options, clock=ManualClock())
    headers = {"Retry-After": "Fri, 12 Jun 2026 12:00:09 GMT"}
    swift_proxy.fault = Fault(reply=Reply("503 Service Unavailable", headers))
    with pytest.raises(Throttled) as caught:
        store.get("pack")
    assert (caught.value.retry_after, swift_proxy.fault.hits) == (9.0, 1)
    store.close()


def test_a_wrong_clock_is_named(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    body = b"<Error><Code>RequestTimeTooSkewed</Code><Message>too different</Message></Error>"
    swift_proxy.fault = Fault(reply=Reply("403 Forbidden", {}, body))
    with pytest.raises(AccessDenied, match="this machine's clock is") as caught:
        proxied.get("pack")
    assert "NTP" in caught.value.advice
    assert swift_proxy.fault.hits == 1


CALLS: dict[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put("a/pack", PACK),
    "put in parts": lambda store: store.put("a/large", bytes(6 * MEBIBYTE)),
    "get": lambda store: store.get("a/pack"),
    "head": lambda store: store.head("a/pack"),
    "list": lambda store: [*store.list()],
    "delete": lambda store: store.delete("a/pack"),
    "verify": lambda store: store.verify("a/pack", sha256=PACK_SHA256),
    "remove_unfinished": lambda store: store.remove_unfinished(before=SYSTEM_CLOCK.utcnow()),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Callable[[S3Store], object]:
    return CALLS[request.param]


def test_a_wrong_secret_is_access_denied_everywhere(
    open_s3: Callable[..., S3Store], call: Callable[[S3Store], object]
) -> None:
    store = open_s3(secret_key="not-the-secret", single_put_bytes=5 * MEBIBYTE)
    with pytest.raises(AccessDenied) as caught:
        call(store)
    assert "not-the-secret" not in f"{caught.value!r} {caught.value}"


def test_a_missing_bucket_is_a_missing_location_everywhere(
    open_s3: Callable[..., S3Store], call: Callable[[S3Store], object]
) -> None:
    store = open_s3(bucket="nobody-made-this", single_put_bytes=5 * MEBIBYTE)
    with pytest.raises(LocationMissing, match="nobody-made-this"):
        call(store)


def test_a_refused_connection_is_unavailable_everywhere(
    proxied: S3Store, swift_proxy: FaultProxy, call: Callable[[S3Store], object]
) -> None:
    swift_proxy.down()
    with pytest.raises(StoreUnavailable, match="refused"):
        call(proxied)
    swift_proxy.up()
    proxied.put("a/pack", PACK)


def test_an_unknown_host_is_unavailable(open_s3: Callable[..., S3Store]) -> None:
    with pytest.raises(StoreUnavailable, match="storing pack"):
        open_s3(endpoint_url="https://nowhere.invalid").put("pack", PACK)


@pytest.mark.parametrize(
    "changes",
    [{"endpoint_url": "s3.example.org"}, {"checksum": Checksum.READ_BACK}, {"part_bytes": 1000}],
    ids=["address", "checksum", "part_bytes"],
)
def test_options_that_cannot_work_are_refused(open_s3: Callable[..., S3Store], changes: dict[str, object]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(changes))):
        open_s3(**changes)


# --- lines


def test_a_cut_upload_leaves_the_old_object(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    proxied.put("pack", b"old")
    swift_proxy.fault = Fault(match=b"PUT /", reset_after_sent=MEBIBYTE)
    with pytest.raises(StoreUnavailable):
        proxied.put("pack", PACK, sha256=PACK_SHA256)
    assert swift_proxy.fault.hits == 1
    assert proxied.get("pack") == b"old"


@pytest.mark.parametrize("profile", [Checksum.SHA256, Checksum.MD5])
def test_a_lost_answer_after_the_commit_is_settled_by_asking(
    open_s3: Callable[..., S3Store], swift_proxy: FaultProxy, profile: Checksum
) -> None:
    store = open_s3(endpoint_url=swift_proxy.url, checksum=profile)
    swift_proxy.fault = Fault(match=b"PUT /", lose_answer=True)
    assert store.put("pack", PACK, sha256=PACK_SHA256).proof
    assert swift_proxy.fault.hits == 1
    assert [request.split()[0] for request in swift_proxy.requests] == ["PUT", "HEAD"]
    assert store.get("pack") == PACK


def test_a_lost_answer_is_no_success_while_another_object_of_that_size_is_there(
    proxied: S3Store, swift_proxy: FaultProxy
) -> None:
    proxied.put("pack", bytes(len(PACK)))
    swift_proxy.fault = Fault(match=b"PUT /", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        proxied.put("pack", PACK)
    assert swift_proxy.fault.hits == 1
    assert swift_proxy.requests[-1].startswith("HEAD")


@pytest.mark.parametrize("status", ["409 Conflict", "412 Precondition Failed"])
def test_a_conflict_with_our_own_success_is_success(proxied: S3Store, swift_proxy: FaultProxy, status: str) -> None:
    proxied.put("pack", PACK)
    swift_proxy.fault = Fault(match=b"PUT /", reply=Reply(status))
    assert proxied.put("pack", PACK, sha256=PACK_SHA256).proof is Proof.SERVER_SHA256
    assert swift_proxy.fault.hits == 1


@pytest.mark.parametrize("profile", [Checksum.SHA256, Checksum.SHA256_HEADER_ONLY, Checksum.MD5])
def test_a_bit_flipped_on_the_way_up_is_refused_by_the_server(
    open_s3: Callable[..., S3Store], swift_tls: tuple[FaultProxy, str], profile: Checksum
) -> None:
    """Behind the TLS end, where neither TLS nor the signature sees it: only the checksum is left."""
    proxy, ca_file = swift_tls
    store = open_s3(endpoint_url=proxy.url, ca_file=ca_file, checksum=profile)
    proxy.fault = Fault(match=b"PUT /", flip_sent=MEBIBYTE)
    with pytest.raises(ChecksumMismatch) as caught:
        store.put("pack", PACK, sha256=PACK_SHA256)
    assert caught.value.retryable
    assert proxy.fault.hits == 1
    with pytest.raises(ObjectNotFound):
        store.head("pack")


def test_a_bit_flipped_on_the_way_down_is_found_by_verify_but_not_by_get(
    proxied: S3Store, swift_proxy: FaultProxy
) -> None:
    """A range has no hash, so `get` cannot know: the engine compares what it reads with the pack's name."""
    proxied.put("pack", PACK)
    swift_proxy.fault = Fault(match=b"GET /", flip_received=MEBIBYTE, times=2)
    assert hashlib.sha256(proxied.get("pack")).hexdigest() != PACK_SHA256
    with pytest.raises(ObjectCorrupt):
        proxied.verify("pack", sha256=PACK_SHA256)
    assert swift_proxy.fault.hits == 2


@pytest.mark.parametrize("end", ["end_after_received", "reset_after_received"])
def test_a_short_answer_is_an_error_never_a_short_result(proxied: S3Store, swift_proxy: FaultProxy, end: str) -> None:
    proxied.put("pack", PACK)
    swift_proxy.fault = Fault(match=b"GET /")
    setattr(swift_proxy.fault, end, MEBIBYTE)
    with pytest.raises(StoreUnavailable):
        proxied.get("pack")
    assert swift_proxy.fault.hits == 1


def test_a_server_that_never_answers_is_noticed_at_the_time_limit(
    proxied: S3Store, swift_proxy: FaultProxy, call: Callable[[S3Store], object]
) -> None:
    swift_proxy.fault = Fault(black_hole=True, times=99)
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        call(proxied)
    assert time.monotonic() - began < 5
    assert swift_proxy.fault.hits == 1  # asked once: the limit is the whole wait


def test_the_default_time_limits_notice_silence_within_12_seconds() -> None:
    options = S3Options(bucket="b", access_key="a", secret_key="s")
    waiting_for_continue = 1  # [s], botocore's own
    assert options.connect_seconds + waiting_for_continue + options.read_seconds <= 12


def test_only_a_large_body_waits_for_the_servers_leave(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    proxied.put("small", b"1")
    proxied.put("large", PACK)
    small, large = (head.decode("latin-1").lower() for head in swift_proxy.heads)
    assert "expect" not in small
    assert "expect: 100-continue" in large


def test_an_answer_that_stops_in_the_middle_is_noticed(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    proxied.put("pack", PACK)
    swift_proxy.fault = Fault(match=b"GET /", stall_received_seconds=1)
    with pytest.raises(NoAnswer):
        proxied.get("pack")
    assert swift_proxy.fault.hits == 1


class RacingClock(ManualClock):
    """A hundred seconds pass whenever somebody looks."""

    def monotonic(self) -> float:
        self.advance(100)
        return super().monotonic()


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_transfer_that_crawls_is_given_up(open_s3: Callable[..., S3Store], direction: str) -> None:
    """Each piece is in time, but all of them together are not."""
    open_s3().put("pack", PACK)
    crawling = S3Store(open_s3().options, clock=RacingClock())
    with pytest.raises(NoAnswer):
        crawling.get("pack") if direction == "down" else crawling.put("other", PACK)
    crawling.close()


def test_a_server_that_ignores_ranges_still_gives_the_range(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"GET /", reply=Reply("200 OK", {}, b"0123456789"))
    assert proxied.get("pack", offset=2, length=3) == b"234"
    assert swift_proxy.fault.hits == 1


# --- in parts

LARGE = os.urandom(12 * MEBIBYTE)


@pytest.fixture
def in_parts(open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> S3Store:
    return open_s3(endpoint_url=swift_proxy.url, single_put_bytes=5 * MEBIBYTE, part_bytes=5 * MEBIBYTE)


def parts_sent(proxy: FaultProxy) -> list[str]:
    return [request.split("partNumber=")[1][0] for request in proxy.requests if "partNumber=" in request]


@pytest.mark.parametrize("profile", [Checksum.SHA256, Checksum.SHA256_HEADER_ONLY, Checksum.MD5])
def test_a_broken_upload_goes_on_where_it_stopped(
    open_s3: Callable[..., S3Store], swift_proxy: FaultProxy, profile: Checksum
) -> None:
    changes = {"single_put_bytes": 5 * MEBIBYTE, "part_bytes": 5 * MEBIBYTE, "checksum": profile}
    store = open_s3(endpoint_url=swift_proxy.url, **changes)
    swift_proxy.fault = Fault(match=b"partNumber=3", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        store.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    assert [*store.list()] == []
    restarted = open_s3(endpoint_url=swift_proxy.url, **changes)
    assert restarted.put("large", LARGE).proof
    assert parts_sent(swift_proxy) == ["1", "2", "3", "3"]
    assert restarted.get("large") == LARGE


def test_kept_parts_of_other_content_are_sent_again(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"partNumber=3", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_parts.put("large", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert swift_proxy.fault.hits == 1
    in_parts.put("large", LARGE)
    assert parts_sent(swift_proxy) == ["1", "2", "3", "1", "3"]
    assert in_parts.get("large") == LARGE


def test_a_part_that_arrives_damaged_is_refused(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"partNumber=2", flip_sent=1000)
    with pytest.raises(StoreError):
        in_parts.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    with pytest.raises(ObjectNotFound):
        in_parts.head("large")


def test_a_lost_answer_to_the_last_step_is_settled_by_asking(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"POST /", lose_answer=True)
    with pytest.raises(StoreUnavailable):  # to the first step: there is nothing yet
        in_parts.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    swift_proxy.fault = Fault(match=b"POST /", lose_answer=True)
    assert in_parts.put("large", LARGE).proof
    assert swift_proxy.fault.hits == 1
    assert swift_proxy.requests[-1].startswith("HEAD")


def test_a_hopeless_upload_leaves_nothing_behind(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"partNumber=2", reply=Reply("403 Forbidden"))
    with pytest.raises(AccessDenied):
        in_parts.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    assert in_parts.remove_unfinished(before=SYSTEM_CLOCK.utcnow() + timedelta(hours=1)) == 0


def test_unfinished_uploads_are_removed_by_age(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"partNumber=2", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_parts.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    now = SYSTEM_CLOCK.utcnow()
    assert in_parts.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert in_parts.remove_unfinished(before=now + timedelta(hours=1)) == 1
    assert in_parts.remove_unfinished(before=now + timedelta(hours=1)) == 0


# --- processes


def test_many_threads_share_one_client(open_s3: Callable[..., S3Store]) -> None:
    store, clients = open_s3(), set()
    threads = [threading.Thread(target=lambda: clients.add(id(store._s3()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 1


def test_a_process_that_inherits_a_client_makes_its_own(
    open_s3: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_s3()
    inherited = store._s3()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert store._s3() is not inherited
