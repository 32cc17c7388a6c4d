"""Backblaze B2: its profile against Swift, and its refusals as it words them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import pytest

from providers.registry import open_store
from providers.stores.b2 import B2Options, B2Store
from providers.stores.base import Proof
from providers.stores.errors import LocationFull, Rejected, StoreError, StoreUnavailable, Throttled, Unsupported
from providers.stores.options import InvalidOptions
from providers.stores.s3_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.stack import wrap_store
from tests.providers.store_contract import StoreContract
from tests.providers.stores.dialects import PACK, PACK_SHA256, options_at, refusal, require_error_for
from tests.servers.swift import Swift
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.services


@pytest.fixture
def options(swift: Swift, swift_bucket: str, swift_proxy: FaultProxy) -> B2Options:
    return options_at(swift, swift_proxy, B2Options, swift_bucket, region=swift.region)


@pytest.fixture
def store(options: B2Options) -> Iterator[B2Store]:
    store = B2Store(options)
    yield store
    store.close()


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, store: B2Store) -> B2Store:
        return store


def test_the_address_follows_from_the_region() -> None:
    values = {"region": "eu-central-003", "bucket": "weddings", "access_key": "k", "secret_key": "s"}
    opened = open_store("b2", values)
    assert isinstance(opened, B2Store)
    assert opened.dialect.address == "https://s3.eu-central-003.backblazeb2.com"
    with pytest.raises(InvalidOptions, match="region"):
        open_store("b2", {**values, "region": "eu-central-003.backblazeb2.com"})


def test_everything_is_checked_by_md5_and_no_request_has_a_checksum_header(
    store: B2Store, swift_proxy: FaultProxy
) -> None:
    """B2 answers each of them with 400."""
    assert store.put("pack", PACK, sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    store.put("large", bytes(6 * MEBIBYTE))
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    store.get("pack")
    assert [*store.list()]
    store.delete("pack")
    heads = [head.lower() for head in swift_proxy.heads]
    assert not any(b"x-amz-checksum" in head or b"x-amz-sdk-checksum" in head for head in heads)
    bodies = [head for head in heads if head.startswith(b"put")]
    assert len(bodies) == 3 and all(b"content-md5" in head for head in bodies)


def test_locks_are_asked_for_with_md5_too(options: B2Options, store: B2Store, swift_proxy: FaultProxy) -> None:
    """Swift has no Object Lock: only what is asked can be seen."""
    store.put("6f1c/config", b"x")
    swift_proxy.fault = Fault(match=b"?retention", reply=Reply("200 OK"))
    store.protect("6f1c/config", until=ManualClock().utcnow())
    head = swift_proxy.heads[-1].lower()
    assert b"content-md5" in head and b"checksum" not in head
    assert swift_proxy.fault.hits == 1


def test_new_objects_are_locked_for_the_days_asked(options: B2Options, swift_proxy: FaultProxy) -> None:
    store = B2Store(dataclasses.replace(options, lock_days=30), clock=ManualClock())
    swift_proxy.fault = Fault(match=b"PUT /", reply=Reply("200 OK", {"ETag": '"x"'}))
    store.put("6f1c/data/3f/3f1a", b"x")
    head = swift_proxy.heads[-1].lower()
    assert b"x-amz-object-lock-mode: governance" in head
    assert b"x-amz-object-lock-retain-until-date: 2026-07-12t12:00:00z" in head
    assert swift_proxy.fault.hits == 1
    store.close()


@pytest.mark.parametrize(
    ("status", "code", "words", "expected"),
    [
        ("503 Service Unavailable", "ServiceUnavailable", "no tomes available", StoreUnavailable),
        ("500 Internal Server Error", "InternalError", "An internal error occurred. Please retry.", StoreUnavailable),
        ("503 Slow Down", "SlowDown", "", Throttled),
        ("403 Forbidden", "AccessDenied", "Cannot upload files, storage cap exceeded.", LocationFull),
        ("400 Bad Request", "InvalidArgument", "Unsupported header 'x-amz-checksum-sha256' received", Rejected),
    ],
)
def test_what_b2_refuses_becomes_an_error_with_advice(
    store: B2Store, swift_proxy: FaultProxy, status: str, code: str, words: str, expected: type[StoreError]
) -> None:
    error = require_error_for(store, swift_proxy, refusal(status, code, words), expected)
    if expected is LocationFull:
        assert "Caps & Alerts" in error.advice


def test_a_busy_server_of_b2_is_left_for_another_one_by_the_second_attempt(
    store: B2Store, swift_proxy: FaultProxy
) -> None:
    busy = refusal("503 Service Unavailable", "ServiceUnavailable", "no tomes available")
    swift_proxy.fault = Fault(match=b"PUT /", reply=busy)
    assert wrap_store(store, clock=ManualClock()).put("pack", PACK, sha256=PACK_SHA256).proof
    assert swift_proxy.fault.hits == 1
    assert len(swift_proxy.requests) == 2


def test_there_are_no_classes(store: B2Store) -> None:
    with pytest.raises(Unsupported):
        store.change_class("6f1c/data/3f/3f1a", "STANDARD_IA")


def test_the_writers_key_can_hide_but_not_destroy() -> None:
    policies = B2Store.policies({"bucket": "weddings", "prefix": "2026"})
    writer, pruner = json.loads(policies["writer"]), json.loads(policies["pruner"])
    assert "deleteFiles" not in writer["capabilities"]
    assert set(pruner["capabilities"]) - set(writer["capabilities"]) == {"deleteFiles"}
    assert writer["namePrefix"] == "2026/"
    locking = json.loads(B2Store.policies({"bucket": "weddings", "lock_days": "30"})["writer"])
    assert "writeFileRetentions" in locking["capabilities"] and "namePrefix" not in locking
