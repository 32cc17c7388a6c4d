"""What Google, or somebody else, may answer, and which error a person then sees."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    CredentialExpired,
    LocationFull,
    LocationMissing,
    NoAnswer,
    ObjectNotFound,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.stores.gcs import GCSStore
from providers.stores.gcs_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from tests.providers.stores.racing import RacingClock
from tests.servers.calls import Call, every_call
from tests.servers.gcs import GCS
from tests.servers.gcs_fixtures import LARGE, PACK, PACK_SHA256

pytestmark = pytest.mark.services


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
    gcs_proxied: GCSStore,
    gcs_proxy: FaultProxy,
    status: str,
    headers: dict[str, str],
    body: bytes,
    expected: type[StoreError],
    retryable: bool,
) -> None:
    gcs_proxy.fault = Fault(match=GCSStore.wire.put, reply=Reply(status, headers, body))
    with pytest.raises(StoreError) as caught:
        gcs_proxied.put("pack", PACK, sha256=PACK_SHA256)
    assert type(caught.value) is expected
    assert caught.value.retryable is retryable
    assert caught.value.retry_after == (7.0 if headers else None)
    assert caught.value.advice
    assert "http://" not in str(caught.value)
    assert gcs_proxy.fault.hits == 1
    assert len([request for request in gcs_proxy.requests if request.startswith("POST")]) == 1


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
@pytest.mark.parametrize("body", [b"<html>", b'"x"', b'{"error": "x"}'])
def test_an_answer_that_is_not_googles_is_never_believed(
    gcs_proxied: GCSStore, gcs_proxy: FaultProxy, call: Call, status: str, body: bytes
) -> None:
    gcs_proxy.fault = Fault(match=b"/storage/v1/", reply=Reply(status, {}, body), times=9)
    try:
        found = call(gcs_proxied)
    except StoreError as error:
        assert error.advice
    else:  # a page may be an object's content, and what cannot be found is deleted
        assert found == body if status == "200 OK" else found is None
    assert gcs_proxy.fault.hits


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("subject to bucket's retention policy", "protected"),
        ("The billing account is disabled", "billing"),
        ("Permission denied on Cloud KMS key", "Encrypter"),
    ],
)
def test_a_refusal_says_what_to_do(gcs_proxied: GCSStore, gcs_proxy: FaultProxy, words: str, advice: str) -> None:
    gcs_proxy.fault = Fault(match=b"DELETE", reply=Reply("403 Forbidden", {}, error_body("forbidden", words)))
    with pytest.raises(AccessDenied) as caught:
        gcs_proxied.delete("pack")
    assert advice in caught.value.advice
    assert gcs_proxy.fault.hits == 1


CALLS = every_call(
    PACK,
    LARGE,
    change_class=lambda store: store.change_class("a/pack", "ARCHIVE"),
    facts=lambda store: store.facts(),
)


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]


def test_a_missing_bucket_is_a_missing_location_everywhere(
    open_gcs: Callable[..., GCSStore], call: Call, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(LocationMissing, match="nobody-made-this"):
        call(open_gcs(bucket="nobody-made-this", single_put_bytes=2 * MEBIBYTE))


def test_a_404_without_words_is_looked_into(gcs_proxied: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxy.fault = Fault(match=b"alt=media", reply=Reply("404 Not Found"))
    with pytest.raises(ObjectNotFound):
        gcs_proxied.get("pack")
    gcs_proxy.fault = Fault(match=b"GET", reply=Reply("404 Not Found"), times=2)
    with pytest.raises(LocationMissing):
        gcs_proxied.get("pack")
    assert gcs_proxy.fault.hits == 2


def test_a_refused_connection_is_unavailable_everywhere(
    gcs_proxied: GCSStore, gcs_proxy: FaultProxy, call: Call
) -> None:
    gcs_proxy.down()
    with pytest.raises(StoreUnavailable, match="refused"):
        call(gcs_proxied)
    gcs_proxy.up()
    gcs_proxied.put("a/pack", PACK)


def test_a_silent_server_is_asked_once(gcs_impatient: GCSStore, gcs_proxy: FaultProxy, call: Call) -> None:
    gcs_proxy.fault = Fault(black_hole=True, times=99)
    with pytest.raises(NoAnswer):
        call(gcs_impatient)
    assert gcs_proxy.fault.hits == 1


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
    gcs_proxied: GCSStore,
    gcs_impatient: GCSStore,
    gcs_proxy: FaultProxy,
    fault: Fault | None,
    expected: type[StoreError],
    attempts: int,
) -> None:
    tried: list[object] = []
    wrapped = wrap_store(
        gcs_impatient if expected is NoAnswer else gcs_proxied,
        retry=RetryPolicy(base_seconds=0.01),
        on_call=tried.append,
    )
    if fault is None:
        gcs_proxy.down()
    gcs_proxy.fault = fault
    with pytest.raises(expected):
        wrapped.put("pack", PACK)
    assert len(tried) == attempts
    assert fault is None or fault.hits == attempts
    if fault is None:
        gcs_proxy.up()


def test_an_unknown_host_is_unavailable(gcs: GCS, open_gcs: Callable[..., GCSStore]) -> None:
    with pytest.raises(StoreUnavailable, match="name is not known"):
        open_gcs(endpoint_url="https://nowhere.invalid", key_json=gcs.key_json()).put("pack", PACK)


@pytest.mark.parametrize("transfer", ["get", "put", "put in parts"])
def test_a_transfer_that_crawls_is_given_up(open_gcs: Callable[..., GCSStore], transfer: str) -> None:
    open_gcs().put("a/pack", PACK)
    crawling = open_gcs(clock=RacingClock(), single_put_bytes=2 * MEBIBYTE, chunk_bytes=MEBIBYTE)
    with pytest.raises(NoAnswer):
        CALLS[transfer](crawling)
