"""Cloudflare R2: its profile against Swift (for the region "auto"), and its refusals as it documents them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from providers.registry import open_store
from providers.stores.base import Checksum, Proof
from providers.stores.errors import AccessDenied, ClockSkewed, Rejected, StoreError, Throttled, Unsupported
from providers.stores.options import InvalidOptions
from providers.stores.r2 import Jurisdiction, R2Class, R2Options, R2Store
from providers.stores.s3_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.store_contract import StoreContract
from tests.providers.stores.dialects import PACK, PACK_SHA256, options_at, refusal, require_error_for
from tests.servers.fixtures import make_bucket
from tests.servers.swift import Swift, running_swift

pytestmark = pytest.mark.services

ACCOUNT = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def auto_swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A Swift that accepts signatures for R2's one region."""
    with running_swift(tmp_path_factory.mktemp("swift-auto"), region="auto") as server:
        yield server


@pytest.fixture
def proxy(auto_swift: Swift) -> Iterator[FaultProxy]:
    with FaultProxy(("127.0.0.1", auto_swift.port)) as proxy:
        yield proxy


@pytest.fixture
def options(auto_swift: Swift, proxy: FaultProxy) -> R2Options:
    return options_at(auto_swift, proxy, R2Options, make_bucket(auto_swift), account_id=ACCOUNT)


@pytest.fixture
def store(options: R2Options) -> Iterator[R2Store]:
    store = R2Store(options)
    yield store
    store.close()


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, store: R2Store) -> R2Store:
        return store


@pytest.mark.parametrize(
    ("jurisdiction", "address"),
    [
        (Jurisdiction.NONE, f"https://{ACCOUNT}.r2.cloudflarestorage.com"),
        (Jurisdiction.EU, f"https://{ACCOUNT}.eu.r2.cloudflarestorage.com"),
        (Jurisdiction.FEDRAMP, f"https://{ACCOUNT}.fedramp.r2.cloudflarestorage.com"),
    ],
)
def test_the_address_follows_from_account_and_jurisdiction(
    options: R2Options, jurisdiction: Jurisdiction, address: str
) -> None:
    chosen = dataclasses.replace(options, endpoint_url="", jurisdiction=jurisdiction).dialect()
    assert (chosen.address, chosen.region, chosen.checksum) == (address, "auto", Checksum.SHA256_HEADER_ONLY)


def test_it_is_opened_from_what_a_person_enters() -> None:
    values = {"account_id": ACCOUNT, "bucket": "weddings", "access_key": "k", "secret_key": "s", "jurisdiction": "eu"}
    opened = open_store("r2", values)
    assert isinstance(opened, R2Store)
    with pytest.raises(InvalidOptions, match="account_id"):
        open_store("r2", {**values, "account_id": "evil.example/"})


def test_an_upload_carries_the_sha256_and_nothing_that_r2_refuses(store: R2Store, proxy: FaultProxy) -> None:
    assert store.put("pack", PACK, sha256=PACK_SHA256).proof is Proof.SERVER_SHA256
    head = next(head for head in proxy.heads if head.startswith(b"PUT")).lower()
    assert b"x-amz-checksum-sha256" in head
    for refused in (b"sdk-checksum-algorithm", b"x-amz-trailer", b"crc", b"x-amz-object-lock", b"x-amz-acl"):
        assert refused not in head
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.SERVER_SHA256
    assert not any(request.startswith("GET") for request in proxy.requests)


def test_a_large_upload_has_parts_of_one_size(store: R2Store, proxy: FaultProxy) -> None:
    store.put("large", bytes(12 * MEBIBYTE))
    sizes = [
        line.split(b":")[1].strip()
        for head in sorted(proxy.heads, key=lambda head: head.split(b"\r\n", 1)[0])
        if b"partNumber=" in head
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    assert sizes == [b"%d" % (5 * MEBIBYTE), b"%d" % (5 * MEBIBYTE), b"%d" % (2 * MEBIBYTE)]


@pytest.mark.parametrize(
    ("status", "code", "words", "expected"),
    [
        ("501 Not Implemented", "NotImplemented", "Header 'x-amz-checksum-crc32' not implemented", Rejected),
        ("429 Too Many Requests", "TooManyRequests", "Reduce your concurrent request rate", Throttled),
        ("401 Unauthorized", "Unauthorized", "", AccessDenied),
        ("403 Forbidden", "ObjectLockedByBucketPolicy", "", AccessDenied),
        ("400 Bad Request", "ExpiredRequest", "", ClockSkewed),
    ],
)
def test_what_r2_refuses_becomes_an_error_with_advice(
    store: R2Store, proxy: FaultProxy, status: str, code: str, words: str, expected: type[StoreError]
) -> None:
    error = require_error_for(store, proxy, refusal(status, code, words), expected)
    if code == "NotImplemented":
        assert "checksum profile" in error.advice


def test_packs_rest_in_the_class_that_was_chosen(options: R2Options, proxy: FaultProxy) -> None:
    """Swift has no classes: only what is asked can be seen."""
    store = R2Store(dataclasses.replace(options, storage_class=R2Class.STANDARD_IA))
    proxy.fault = Fault(match=b"PUT /", reply=Reply("200 OK", {"ETag": '"x"'}), times=2)
    for name in ("6f1c/data/3f/3f1a", "6f1c/config"):
        store.put(name, b"x")
    assert [b"x-amz-storage-class: standard_ia" in head.lower() for head in proxy.heads] == [True, False]
    assert (proxy.fault.hits, store.capabilities.online) == (2, True)
    store.close()


def test_what_r2_does_not_have_is_said(store: R2Store) -> None:
    assert not store.capabilities.object_lock
    assert store.capabilities.storage_classes == ("STANDARD", "STANDARD_IA")
    facts = store.facts()
    assert (facts.versioned, facts.locked) == (False, False)
    with pytest.raises(Unsupported):
        store.change_class("6f1c/data/3f/3f1a", "GLACIER")


def test_the_rights_name_the_bucket_and_what_r2_cannot_separate() -> None:
    known: dict[str, Any] = {"bucket": "weddings", "prefix": "2026"}
    policies = R2Store.policies(known)
    assert "only weddings" in policies["writer"] and "only weddings" in policies["pruner"]
    assert "Bucket lock rules" in policies["writer"] and "2026/" in policies["writer"]
