"""Google Cloud Storage against an emulator with Google's documented behaviour (see tests/servers/gcs.py)."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.stores.base import Proof
from providers.stores.errors import ChecksumMismatch, ObjectCorrupt, ObjectNotFound
from providers.stores.gcs import GCSStore
from providers.stores.gcs_options import GCSOptions, Retention, StorageClass
from providers.stores.options import InvalidOptions, build_options
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.store_contract import StoreContract
from tests.servers.gcs import GCS
from tests.servers.gcs_fixtures import IN_CHUNKS, LARGE, PACK, PACK_SHA256
from tests.servers.tls import tls_front

pytestmark = pytest.mark.services


BEYOND_THE_SERVER = {"nobody else can read it": "the server of the tests asks nobody who reads for a credential"}


class TestPromisesOfAServiceAccount(StoreContract):
    beyond_the_server = BEYOND_THE_SERVER

    @pytest.fixture
    def store(self, gcs: GCS, open_gcs: Callable[..., GCSStore], gcs_held: set[str]) -> GCSStore:
        """With the pruner's role."""
        role = GCSStore.policies({})["pruner"].partition("includedPermissions:")[2]
        gcs_held |= {line.removeprefix("- ") for line in role.split("\n")}
        return open_gcs(key_json=gcs.key_json(), list_page=3, **IN_CHUNKS)


class TestPromisesInAFolderOverTls(StoreContract):
    beyond_the_server = BEYOND_THE_SERVER

    @pytest.fixture
    def store(self, gcs: GCS, open_gcs: Callable[..., GCSStore], tmp_path: Path) -> Iterator[GCSStore]:
        with tls_front(gcs.port, tmp_path) as (proxy, ca_file):
            key = gcs.key_json(token_uri=f"{proxy.url}/token")
            yield open_gcs(endpoint_url=proxy.url, ca_file=ca_file, key_json=key, prefix="weddings/2026", **IN_CHUNKS)


def test_an_upload_carries_hashes_class_and_key_and_nothing_else_is_asked(
    open_gcs: Callable[..., GCSStore], gcs_proxy: FaultProxy
) -> None:
    """The SDK would fetch the bucket by a thread of its own."""
    key = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/k"
    store = open_gcs(endpoint_url=gcs_proxy.url, storage_class=StorageClass.NEARLINE, kms_key=key)
    info = store.put("pack", PACK, sha256=PACK_SHA256)
    assert (info.proof, info.storage_class) == (Proof.SERVER_MD5, "NEARLINE")
    with pytest.raises(ObjectNotFound):
        store.head("other")
    store.delete("other")
    assert [request.split()[0] for request in gcs_proxy.requests] == ["POST", "GET", "DELETE"]
    assert "kmsKeyName=projects%2Fp%2F" in gcs_proxy.requests[0]
    blob = store._client().sdk.bucket(store.options.bucket).get_blob("pack")
    assert blob.metadata["sha256"] == PACK_SHA256


def test_nothing_is_downloaded_to_verify(gcs_proxied: GCSStore, gcs_proxy: FaultProxy) -> None:
    for name, content in (("at once", PACK), ("in chunks", LARGE)):
        gcs_proxied.put(name, content)
        sha256 = hashlib.sha256(content).hexdigest()
        info = gcs_proxied.verify(name, sha256=sha256)
        assert (info.proof, info.sha256) == (Proof.SERVER_MD5, sha256)
    assert not any("alt=media" in request for request in gcs_proxy.requests)


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


def test_a_content_that_is_not_what_its_hash_says_is_not_sent(gcs_proxied: GCSStore, gcs_proxy: FaultProxy) -> None:
    with pytest.raises(ChecksumMismatch):
        gcs_proxied.put("pack", PACK, sha256="0" * 64)
    assert gcs_proxy.requests == []


def test_what_is_stored_as_gzip_comes_as_it_is(gcs_proxied: GCSStore, gcs_proxy: FaultProxy) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    gcs_proxy.fault = Fault(match=b"alt=media", reply=Reply("200 OK", headers, b"\x1f\x8bno gzip at all"))
    assert gcs_proxied.get("pack") == b"\x1f\x8bno gzip at all"
    assert gcs_proxy.fault.hits == 1
    assert b"Accept-Encoding: gzip" in gcs_proxy.heads[0]


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
        GCSOptions(**{"bucket": "bucket", "key_json": gcs.key_json(), **changes})
    assert "/etc/key.json" not in str(caught.value)


def test_a_damaged_key_or_a_token_server_without_tls_is_refused(gcs: GCS) -> None:
    for changes, words in (({"private_key": "nonsense"}, "damaged"), ({"token_uri": "http://x.test"}, "https")):
        with pytest.raises(InvalidOptions, match=words):
            GCSOptions(bucket="bucket", key_json=gcs.key_json(**changes))


def test_options_come_from_plain_words(gcs: GCS) -> None:
    words = {"bucket": "bucket", "key_json": gcs.key_json(), "storage_class": "ARCHIVE", "retention": "Locked"}
    options = build_options(GCSOptions, words)
    assert (options.storage_class, options.retention) == (StorageClass.ARCHIVE, Retention.LOCKED)


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
