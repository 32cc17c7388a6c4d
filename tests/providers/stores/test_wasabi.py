"""Wasabi: its profile against Swift, and its refusals as it words them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from providers.registry import open_store
from providers.stores.base import Proof
from providers.stores.errors import AccessDenied, StoreError, Throttled, WrongRegion
from providers.stores.options import InvalidOptions
from providers.stores.wasabi import WasabiOptions, WasabiStore
from providers.validation.faultproxy import FaultProxy
from tests.providers.store_contract import StoreContract
from tests.providers.stores.dialects import PACK, PACK_SHA256, options_at, refusal, require_error_for
from tests.servers.swift import Swift

pytestmark = pytest.mark.services


@pytest.fixture
def options(swift: Swift, swift_bucket: str, swift_proxy: FaultProxy) -> WasabiOptions:
    return options_at(swift, swift_proxy, WasabiOptions, swift_bucket, region=swift.region)


@pytest.fixture
def store(options: WasabiOptions) -> Iterator[WasabiStore]:
    store = WasabiStore(options)
    yield store
    store.close()


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, store: WasabiStore) -> WasabiStore:
        return store


def test_the_address_follows_from_the_region() -> None:
    values = {"region": "eu-central-2", "bucket": "weddings", "access_key": "k", "secret_key": "s"}
    opened = open_store("wasabi", values)
    assert isinstance(opened, WasabiStore)
    assert opened.dialect.address == "https://s3.eu-central-2.wasabisys.com"
    with pytest.raises(InvalidOptions, match="region"):
        open_store("wasabi", {**values, "region": "EU Central"})


def test_an_upload_is_checked_by_md5_and_verified_without_a_download(
    store: WasabiStore, swift_proxy: FaultProxy
) -> None:
    assert store.put("pack", PACK, sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    head = next(head for head in swift_proxy.heads if head.startswith(b"PUT")).lower()
    assert b"content-md5" in head and b"x-amz-checksum" not in head and b"x-amz-trailer" not in head
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    assert not any(request.startswith("GET") for request in swift_proxy.requests)


@pytest.mark.parametrize(
    ("status", "code", "headers", "expected"),
    [
        ("400 Bad Request", "RequestRateLimitExceeded", {}, Throttled),
        ("301 Moved Permanently", "PermanentRedirect", {"x-amz-bucket-region": "eu-central-1"}, WrongRegion),
        ("403 Forbidden", "AccountProblem", {}, AccessDenied),
    ],
)
def test_what_wasabi_refuses_becomes_an_error_with_advice(
    store: WasabiStore,
    swift_proxy: FaultProxy,
    status: str,
    code: str,
    headers: dict[str, str],
    expected: type[StoreError],
) -> None:
    require_error_for(store, swift_proxy, refusal(status, code, **headers), expected)


def test_rights_are_written_as_at_aws() -> None:
    policies = WasabiStore.policies({"bucket": "weddings"})
    assert json.loads(policies["writer"])["Version"] == "2012-10-17"
    assert "arn:aws:s3:::weddings/*" in policies["pruner"]
