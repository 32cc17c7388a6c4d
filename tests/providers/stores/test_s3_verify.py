"""Verifying without a download: what servers keep beside an object, and what it proves."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
from collections.abc import Callable

import boto3
import pytest

from providers.stores.base import Checksum, ObjectInfo, Proof
from providers.stores.errors import ObjectCorrupt
from providers.stores.s3 import S3Store
from providers.stores.s3_options import MEBIBYTE
from providers.validation import PROMISES, Room, State, judge
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.swift import Swift
from wedbackup.core.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.services

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()


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


@pytest.fixture(params=[Checksum.SHA256_HEADER_ONLY, Checksum.MD5])
def keeping(request: pytest.FixtureRequest, open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> S3Store:
    """A store whose server keeps no SHA-256 of its own."""
    return open_s3(endpoint_url=swift_proxy.url, checksum=request.param)


def test_metadata_stored_with_the_checked_content_spares_the_download(
    keeping: S3Store, swift_proxy: FaultProxy
) -> None:
    proof = Proof.SERVER_MD5 if keeping.options.dialect().checksum is Checksum.MD5 else Proof.SERVER_SHA256
    keeping.put("pack", PACK, sha256=PACK_SHA256)
    assert keeping.verify("pack", sha256=PACK_SHA256).proof is proof
    with pytest.raises(ObjectCorrupt):
        keeping.verify("pack", sha256="0" * 64)
    assert keeping.capabilities.proves_at_rest
    assert not any(request.startswith("GET") for request in swift_proxy.requests)


def test_the_metadata_goes_with_the_object_that_it_was_stored_with(keeping: S3Store) -> None:
    keeping.put("pack", PACK)
    keeping.put("pack", b"other")
    assert keeping.verify("pack", sha256=hashlib.sha256(b"other").hexdigest()).proof is not Proof.READ_BACK
    with pytest.raises(ObjectCorrupt):
        keeping.verify("pack", sha256=PACK_SHA256)


def test_without_metadata_the_content_is_read_back(keeping: S3Store, swift: Swift, swift_proxy: FaultProxy) -> None:
    """Somebody else's tool stored it."""
    client = boto3.client(
        "s3",
        endpoint_url=swift.url,
        region_name=swift.region,
        aws_access_key_id=swift.access_key,
        aws_secret_access_key=swift.secret_key,
    )
    client.put_object(Bucket=keeping.options.bucket, Key="pack", Body=PACK)
    client.close()
    assert keeping.verify("pack", sha256=PACK_SHA256).proof is Proof.READ_BACK
    assert any(request.startswith("GET") for request in swift_proxy.requests)


def test_metadata_that_does_not_fit_the_servers_own_md5_proves_nothing(
    open_s3: Callable[..., S3Store], swift_proxy: FaultProxy
) -> None:
    store = open_s3(endpoint_url=swift_proxy.url, checksum=Checksum.MD5)
    store.put("pack", bytes(len(PACK)))
    claimed = {"x-amz-meta-wedbackup-sha256": PACK_SHA256, "x-amz-meta-wedbackup-md5": "0" * 32}
    headers = {**claimed, "Last-Modified": "Fri, 12 Jun 2026 12:00:00 GMT", "ETag": f'"{"1" * 32}"'}
    swift_proxy.fault = Fault(match=b"HEAD", reply=Reply("200 OK", headers))
    with pytest.raises(ObjectCorrupt):
        store.verify("pack", sha256=PACK_SHA256)
    assert swift_proxy.fault.hits == 1


def test_only_a_server_that_keeps_sha256_is_asked_for_it(keeping: S3Store, swift_proxy: FaultProxy) -> None:
    """B2 refuses the very question."""
    keeping.put("pack", b"x")
    keeping.head("pack")
    assert b"x-amz-checksum-mode" not in swift_proxy.heads[-1].lower()


def test_a_server_that_keeps_the_sha256_breaks_nothing_where_it_was_not_expected_to(
    open_s3: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """localstack 4.9, and by their code MinIO and Ceph 20: refused, because `verify` had no need to download."""
    store = open_s3()
    assert not store.capabilities.proves_at_rest
    (promise,) = (each for each in PROMISES if each.name == "a bit that flips on the way down is found by verifying")
    room, verify = Room(store), S3Store.verify

    def told(self: S3Store, name: str, *, sha256: str) -> ObjectInfo:
        return dataclasses.replace(verify(self, name, sha256=sha256), proof=Proof.SERVER_SHA256)

    monkeypatch.setattr(S3Store, "verify", told)
    finding = judge(promise, room, SYSTEM_CLOCK)
    assert finding.state is State.EXEMPT and "needs no download" in finding.detail
    room.clean()
