"""What Box answers when it refuses, and who it takes us for."""

from __future__ import annotations

import json
import os
from datetime import timedelta

import pytest

from providers.stores.box import BoxStore
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    InvalidName,
    LocationFull,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.stores.documents import TIMELINE, require_error_for
from tests.servers.box import BoxCloud
from tests.servers.box_fixtures import JSON, Open, asked
from wedbackup.core.clock import ManualClock

# --- answers


def refusal(code: str) -> bytes:
    return json.dumps({"type": "error", "code": code, "message": "no", "request_id": "abc"}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "retryable"),
    [
        ("403 Forbidden", JSON, refusal("storage_limit_exceeded"), LocationFull, False),
        ("403 Forbidden", JSON, refusal("access_denied_insufficient_permissions"), AccessDenied, False),
        ("403 Forbidden", JSON, refusal("file_size_limit_exceeded"), Rejected, False),
        ("400 Bad Request", JSON, refusal("bad_digest"), ChecksumMismatch, True),
        ("400 Bad Request", JSON, refusal("item_name_invalid"), InvalidName, False),
        ("400 Bad Request", JSON, refusal("bad_request"), Rejected, False),
        ("409 Conflict", JSON, refusal("name_temporarily_reserved"), StoreUnavailable, True),
        ("409 Conflict", JSON, refusal("operation_blocked_temporary"), StoreUnavailable, True),
        ("429 Too Many Requests", {"Retry-After": "7", **JSON}, refusal("rate_limit_exceeded"), Throttled, True),
        ("429 Too Many Requests", {"Retry-After": "7"}, b"slow down", Throttled, True),
        ("503 Service Unavailable", {"Retry-After": "7"}, b"", Throttled, True),
        ("503 Service Unavailable", {}, b"", StoreUnavailable, True),
        ("500 Internal Server Error", JSON, refusal("internal_server_error"), StoreUnavailable, True),
        ("200 OK", {"Content-Type": "text/html"}, b"<html>", StoreUnavailable, True),
    ],
)
def test_an_answer_becomes_the_error_that_says_whether_to_try_again(
    box_proxied: BoxStore,
    box_proxy: FaultProxy,
    status: str,
    headers: dict[str, str],
    body: bytes,
    expected: type[StoreError],
    retryable: bool,
) -> None:
    error = require_error_for(box_proxied, box_proxy, Reply(status, headers, body), expected, retryable)
    assert error.retry_after == (7.0 if "Retry-After" in headers else None)


def test_a_pause_may_be_asked_for_by_a_date(open_box: Open, box_proxy: FaultProxy, clock: ManualClock) -> None:
    store = BoxStore(open_box(endpoint_url=box_proxy.url).options, clock=clock)
    headers = {"retry-after": "Fri, 12 Jun 2026 12:00:07 GMT"}
    box_proxy.fault = Fault(reply=Reply("429 Too Many Requests", headers))
    with pytest.raises(Throttled) as caught:
        store.head("a.pdf")
    assert (caught.value.retry_after, box_proxy.fault.hits) == (7.0, 1)
    store.close()


# --- who we are


def test_a_token_that_expired_is_renewed_once_and_the_request_repeated_whole(
    box_proxied: BoxStore, box_proxy: FaultProxy, clock: ManualClock
) -> None:
    box_proxied.put("a.pdf", TIMELINE)
    clock.advance(timedelta(hours=2).total_seconds())
    content = os.urandom(500_000)
    box_proxied.put("b.pdf", content)
    assert box_proxied.get("b.pdf") == content
    assert asked(box_proxy, "/oauth2/token") == 2


def test_a_token_that_expires_between_check_and_upload_costs_no_bytes(
    box_proxied: BoxStore, box_proxy: FaultProxy
) -> None:
    content = os.urandom(500_000)
    box_proxy.fault = Fault(match=box_proxied.wire.put, reply=Reply("401 Unauthorized"))
    assert box_proxied.put("b.pdf", content).proof
    assert box_proxy.fault.hits == 1
    assert box_proxied.get("b.pdf") == content


def test_a_token_that_is_never_good_is_access_denied(box_proxied: BoxStore, box_proxy: FaultProxy) -> None:
    box_proxy.fault = Fault(match=b"OPTIONS", reply=Reply("401 Unauthorized"), times=99)
    with pytest.raises(AccessDenied):
        box_proxied.put("a.pdf", TIMELINE)
    assert box_proxy.fault.hits == 2


@pytest.mark.parametrize(("option", "code"), [("client_secret", "invalid_client"), ("enterprise_id", "invalid_grant")])
def test_a_wrong_credential_is_named_and_not_shown(open_box: Open, option: str, code: str) -> None:
    with pytest.raises(AccessDenied, match=code) as caught:
        open_box(**{option: "wrong-and-private"}).put("a.pdf", TIMELINE)
    shown = f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__cause__}"
    assert "wrong-and-private" not in shown
    assert "the-client-secret" not in shown


def test_an_account_that_may_only_look_cannot_write(open_box: Open, box: BoxCloud) -> None:
    store = open_box()
    store.put("a.pdf", TIMELINE)
    box.read_only = True
    with pytest.raises(AccessDenied):
        store.put("b.pdf", TIMELINE)
    with pytest.raises(AccessDenied):
        store.delete("a.pdf")
