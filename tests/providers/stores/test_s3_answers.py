"""What S3 servers answer when something is wrong, and what a person is told."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import pytest

from providers.stores.errors import (
    AccessDenied,
    Archived,
    ChecksumMismatch,
    ClockSkewed,
    CredentialExpired,
    LocationFull,
    LocationMissing,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
    WrongRegion,
)
from providers.stores.s3 import S3Store
from providers.stores.s3_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.calls import Call
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.services

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()


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
        ("400 Bad Request", {}, "<Error><Code>ExpiredToken</Code></Error>", CredentialExpired, False),
        ("403 Forbidden", {}, "<Error><Code>InvalidObjectState</Code></Error>", Archived, False),
        ("400 Bad Request", {}, "<Error><Code>KMS.DisabledException</Code></Error>", Rejected, False),
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


def test_a_wrong_secret_is_access_denied_everywhere(open_s3: Callable[..., S3Store], call: Call) -> None:
    store = open_s3(secret_key="not-the-secret", single_put_bytes=5 * MEBIBYTE)
    with pytest.raises(AccessDenied) as caught:
        call(store)
    assert "not-the-secret" not in f"{caught.value!r} {caught.value}"


def test_a_missing_bucket_is_a_missing_location_everywhere(open_s3: Callable[..., S3Store], call: Call) -> None:
    store = open_s3(bucket="nobody-made-this", single_put_bytes=5 * MEBIBYTE)
    with pytest.raises(LocationMissing, match="nobody-made-this"):
        call(store)


def test_a_refused_connection_is_unavailable_everywhere(proxied: S3Store, swift_proxy: FaultProxy, call: Call) -> None:
    swift_proxy.down()
    with pytest.raises(StoreUnavailable, match="refused"):
        call(proxied)
    swift_proxy.up()
    proxied.put("a/pack", PACK)


def test_an_unknown_host_is_unavailable(open_s3: Callable[..., S3Store]) -> None:
    with pytest.raises(StoreUnavailable, match="storing pack"):
        open_s3(endpoint_url="https://nowhere.invalid").put("pack", PACK)


@pytest.mark.parametrize(
    ("told", "headers"),
    [
        ("<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>", {}),
        ("<Error><Code>PermanentRedirect</Code></Error>", {"x-amz-bucket-region": "eu-west-1"}),
    ],
)
@pytest.mark.parametrize("status", ["301 Moved Permanently", "400 Bad Request"])
def test_a_bucket_elsewhere_is_named_and_not_followed(
    proxied: S3Store, swift_proxy: FaultProxy, status: str, told: str, headers: dict[str, str]
) -> None:
    swift_proxy.fault = Fault(reply=Reply(status, headers, told.encode()), times=9)
    with pytest.raises(WrongRegion, match="eu-west-1") as caught:
        proxied.get("pack")
    assert "eu-west-1" in caught.value.advice
    assert swift_proxy.fault.hits == 1


def test_a_bucket_elsewhere_is_named_even_by_an_answer_without_a_body(
    proxied: S3Store, swift_proxy: FaultProxy
) -> None:
    swift_proxy.fault = Fault(reply=Reply("400 Bad Request", {"x-amz-bucket-region": "eu-west-1"}), match=b"HEAD")
    with pytest.raises(WrongRegion, match="eu-west-1"):
        proxied.head("pack")
    assert swift_proxy.fault.hits == 1


def test_why_a_question_without_a_body_in_its_answer_was_refused_is_asked_for(
    open_s3: Callable[..., S3Store], swift_proxy: FaultProxy
) -> None:
    """HEAD with an expired token is 400 and nothing more: it could be anything."""
    store = open_s3(endpoint_url=swift_proxy.url)
    body = b"<Error><Code>ExpiredToken</Code></Error>"
    swift_proxy.fault = Fault(reply=Reply("400 Bad Request", {}, body), times=2)
    with pytest.raises(CredentialExpired):
        store.head("pack")
    assert [request.split()[0] for request in swift_proxy.requests] == ["HEAD", "GET"]


def test_a_refusal_by_a_server_whose_clock_is_far_from_ours_is_a_matter_of_clocks(
    open_s3: Callable[..., S3Store], swift_proxy: FaultProxy
) -> None:
    store = S3Store(open_s3(endpoint_url=swift_proxy.url).options, clock=ManualClock())  # noon of 12 June 2026
    for time, expected in (("12:14:00", AccessDenied), ("12:16:00", ClockSkewed)):
        headers = {"Date": f"Fri, 12 Jun 2026 {time} GMT"}
        swift_proxy.fault = Fault(reply=Reply("403 Forbidden", headers), match=b"PUT")
        with pytest.raises(AccessDenied) as caught:
            store.put("pack", b"")
        assert (type(caught.value), swift_proxy.fault.hits) == (expected, 1)
    store.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_login_page_is_no_answer(proxied: S3Store, swift_proxy: FaultProxy, method: str) -> None:
    """The network of a hotel answers everything with 200 and a page."""
    page = Reply("200 OK", {"Content-Type": "text/html"}, b"<html><body>Room number?</body></html>")
    swift_proxy.fault = Fault(match=method.encode(), reply=page)
    calls = {"GET": lambda: proxied.get("a"), "HEAD": lambda: proxied.head("a"), "PUT": lambda: proxied.put("a", b"")}
    with pytest.raises(StoreUnavailable, match="no S3 server"):
        calls[method]()
    assert swift_proxy.fault.hits == 1
