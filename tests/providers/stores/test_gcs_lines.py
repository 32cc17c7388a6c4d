"""Google Cloud Storage over lines that break on order."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from providers.stores.base import Proof
from providers.stores.errors import AccessDenied, ChecksumMismatch, ObjectNotFound, Rejected, StoreUnavailable
from providers.stores.gcs import GCSStore
from providers.stores.gcs_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.gcs import GCS
from tests.servers.gcs_fixtures import IN_CHUNKS, LARGE, PACK

pytestmark = pytest.mark.services


def test_a_cut_upload_leaves_the_old_object(gcs_proxied: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxied.put("pack", b"old")
    gcs_proxy.fault = Fault(match=GCSStore.wire.put, reset_after_sent=MEBIBYTE)
    with pytest.raises(StoreUnavailable):
        gcs_proxied.put("pack", PACK)
    assert gcs_proxy.fault.hits == 1
    assert gcs_proxied.get("pack") == b"old"


def test_a_lost_answer_after_the_commit_is_settled_by_asking(gcs_proxied: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxy.fault = Fault(match=GCSStore.wire.put, lose_answer=True)
    assert gcs_proxied.put("pack", PACK).proof is Proof.SERVER_MD5
    assert gcs_proxy.fault.hits == 1
    assert [request.split()[0] for request in gcs_proxy.requests] == ["POST", "GET"]
    assert gcs_proxied.get("pack") == PACK


def test_a_lost_answer_is_no_success_while_another_object_of_that_size_is_there(
    gcs_proxied: GCSStore, gcs_proxy: FaultProxy
) -> None:
    gcs_proxied.put("pack", bytes(len(PACK)))
    gcs_proxy.fault = Fault(match=GCSStore.wire.put, reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        gcs_proxied.put("pack", PACK)
    assert gcs_proxy.fault.hits == 1


@pytest.mark.parametrize("status", ["403 Forbidden", "409 Conflict", "412 Precondition Failed"])
def test_a_conflict_with_our_own_success_is_success(gcs_proxied: GCSStore, gcs_proxy: FaultProxy, status: str) -> None:
    gcs_proxied.put("pack", PACK)
    gcs_proxy.fault = Fault(match=GCSStore.wire.put, reply=Reply(status))
    assert gcs_proxied.put("pack", PACK).proof is Proof.SERVER_MD5
    assert gcs_proxy.fault.hits == 1


def test_a_store_that_never_replaces_accepts_its_own_object_and_refuses_to_change_it(
    open_gcs: Callable[..., GCSStore], gcs_proxy: FaultProxy, gcs_held: set[str]
) -> None:
    """Its account may not delete, and who may not delete may not replace."""
    store = open_gcs(endpoint_url=gcs_proxy.url, create_only=True, **IN_CHUNKS)
    for name, content in (("pack", b"content"), ("large", LARGE)):
        store.put(name, content)
        assert store.put(name, content).proof is Proof.SERVER_MD5
        with pytest.raises(Rejected, match="other content"):
            store.put(name, content + b"!")
        assert store.get(name) == content
    assert all("ifGenerationMatch=0" in request for request in gcs_proxy.requests if request.startswith("POST"))
    with pytest.raises(AccessDenied):
        store.delete("pack")


@pytest.mark.parametrize("content", [PACK, LARGE], ids=["at once", "in chunks"])
def test_a_bit_flipped_on_the_way_up_is_refused_by_the_server(
    gcs: GCS, gcs_proxied: GCSStore, gcs_proxy: FaultProxy, content: bytes
) -> None:
    before = gcs.sessions()
    gcs_proxy.fault = Fault(match=b"upload", larger_than=1000, flip_sent=MEBIBYTE - 1000)
    with pytest.raises(ChecksumMismatch) as caught:
        gcs_proxied.put("pack", content)
    assert caught.value.retryable
    assert gcs_proxy.fault.hits == 1
    with pytest.raises(ObjectNotFound):
        gcs_proxied.head("pack")
    assert gcs.sessions() == before
    assert gcs_proxied.put("pack", content).proof is Proof.SERVER_MD5


def test_a_server_that_checks_nothing_is_caught_by_its_answer(gcs_proxied: GCSStore, gcs_proxy: FaultProxy) -> None:
    resource = {"kind": "storage#object", "md5Hash": "AAAAAAAAAAAAAAAAAAAAAA==", "size": str(len(PACK))}
    gcs_proxy.fault = Fault(match=GCSStore.wire.put, reply=Reply("200 OK", {}, json.dumps(resource).encode()))
    with pytest.raises(ChecksumMismatch):
        gcs_proxied.put("pack", PACK)
    assert gcs_proxy.fault.hits == 1


@pytest.mark.parametrize("end", ["end_after_received", "reset_after_received"])
def test_a_short_answer_is_an_error_not_a_short_result(gcs_proxied: GCSStore, gcs_proxy: FaultProxy, end: str) -> None:
    gcs_proxied.put("pack", PACK)
    gcs_proxy.fault = Fault(match=GCSStore.wire.get)
    setattr(gcs_proxy.fault, end, MEBIBYTE)
    with pytest.raises(StoreUnavailable):
        gcs_proxied.get("pack")
    assert gcs_proxy.fault.hits == 1


def test_a_server_that_ignores_ranges_still_gives_the_range(gcs_proxied: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxy.fault = Fault(match=GCSStore.wire.get, reply=Reply("200 OK", {}, b"0123456789"))
    assert gcs_proxied.get("pack", offset=2, length=3) == b"234"
    assert gcs_proxy.fault.hits == 1
