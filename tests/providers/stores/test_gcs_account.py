"""The service account: tokens, and what can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.stores.errors import (
    AccessDenied,
    ClockSkewed,
    CredentialExpired,
    NoAnswer,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.stores.gcs import GCSStore
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.gcs import GCS, running_gcs
from tests.servers.gcs_fixtures import PACK
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock

pytestmark = pytest.mark.services


@pytest.fixture
def with_key(gcs: GCS, gcs_proxy: FaultProxy, open_gcs: Callable[..., GCSStore]) -> Callable[..., GCSStore]:
    """Open stores that fetch tokens, and everything else, through the fault proxy."""

    def open_store(clock: Any = SYSTEM_CLOCK, read_seconds: float = 8, **changes: str) -> GCSStore:
        key = gcs.key_json(token_uri=f"{gcs_proxy.url}/token", **changes)
        return open_gcs(clock, endpoint_url=gcs_proxy.url, key_json=key, read_seconds=read_seconds)

    return open_store


def tokens_asked(gcs_proxy: FaultProxy) -> int:
    return len([request for request in gcs_proxy.requests if request.startswith("POST /token")])


def test_one_token_serves_many_requests_until_it_ends(with_key: Callable[..., GCSStore], gcs_proxy: FaultProxy) -> None:
    clock = ManualClock(datetime.now(UTC))
    store = with_key(clock)
    store.put("pack", PACK)
    assert store.get("pack") == PACK
    assert tokens_asked(gcs_proxy) == 1
    clock.advance(3600 - 299)
    clock_before = clock.utcnow()
    assert clock_before > datetime.now(UTC)
    gcs_proxy.fault = Fault(match=b"/token", reply=Reply("200 OK", {}, b'{"access_token": "new", "expires_in": 3600}'))
    with pytest.raises(CredentialExpired):
        store.get("pack")
    assert (gcs_proxy.fault.hits, tokens_asked(gcs_proxy)) == (1, 2)


def test_a_token_that_the_server_refuses_is_replaced_for_the_next_call(
    gcs: GCS, with_key: Callable[..., GCSStore], gcs_proxy: FaultProxy
) -> None:
    store = with_key()
    store.put("pack", PACK)
    gcs.tokens.clear()
    with pytest.raises(CredentialExpired) as caught:
        store.get("pack")
    assert not any(token in str(caught.value) for token in ("Bearer", "token-"))
    assert store.get("pack") == PACK
    assert tokens_asked(gcs_proxy) == 2


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
    with_key: Callable[..., GCSStore], gcs_proxy: FaultProxy, description: str, date: str, expected: type[StoreError]
) -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": description}).encode()
    gcs_proxy.fault = Fault(match=b"/token", reply=Reply("400 Bad Request", {"Date": date} if date else {}, body))
    with pytest.raises(expected) as caught:
        with_key().get("pack")
    assert type(caught.value) is expected
    assert description in str(caught.value)
    assert (gcs_proxy.fault.hits, len(gcs_proxy.requests)) == (1, 1)


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
    with_key: Callable[..., GCSStore], gcs_proxy: FaultProxy, fault: Fault, expected: type[StoreError]
) -> None:
    gcs_proxy.fault = fault
    with pytest.raises(expected) as caught:
        with_key(read_seconds=0.3 if expected is NoAnswer else 8).put("pack", PACK)
    assert type(caught.value) is expected
    assert (fault.hits, len(gcs_proxy.requests)) == (1, 1)


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
