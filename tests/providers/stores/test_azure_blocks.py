"""Large objects at Azure: blocks that are resumed, and what is left of uploads that nobody finished."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from providers.stores.azure import AzureStore
from providers.stores.azure_options import MEBIBYTE
from providers.stores.base import Proof
from providers.stores.errors import AccessDenied, ChecksumMismatch, ObjectNotFound, StoreUnavailable
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault
from tests.servers.azure import LARGE, SMALL_BLOCKS, refusal
from tests.servers.azurite import Azurite
from tests.servers.tls import tls_front
from wedbackup.core.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.services


@pytest.fixture
def in_blocks(open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy) -> AzureStore:
    return open_azure(endpoint_url=azure_proxy.url, **SMALL_BLOCKS)


def blocks_sent(azure_proxy: FaultProxy) -> list[int]:
    """The positions of the blocks that were sent, in order of position."""
    ids = [
        unquote(request.split("blockid=")[1].split()[0]) for request in azure_proxy.requests if "comp=block&" in request
    ]
    return sorted(int(base64.b64decode(block_id.split("&")[0]).decode()[:5]) for block_id in ids)


def block(number: int, content: bytes = LARGE) -> bytes:
    """What the request for this block is recognised by."""
    piece = content[number * MEBIBYTE : (number + 1) * MEBIBYTE]
    return quote(base64.b64encode(f"{number:05d}-{hashlib.sha256(piece).hexdigest()[:40]}".encode()), safe="").encode()


def test_a_broken_upload_goes_on_where_it_stopped(
    in_blocks: AzureStore, open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy
) -> None:
    azure_proxy.fault = Fault(match=block(5), reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_blocks.put("large", LARGE)
    assert azure_proxy.fault.hits == 1
    assert [*in_blocks.list()] == []
    restarted = open_azure(endpoint_url=azure_proxy.url, **SMALL_BLOCKS)
    assert restarted.put("large", LARGE).proof is Proof.SERVER_MD5
    assert blocks_sent(azure_proxy) == [0, 1, 2, 3, 4, 5, 5]
    assert restarted.get("large") == LARGE
    assert restarted.verify("large", sha256=hashlib.sha256(LARGE).hexdigest()).proof is Proof.SERVER_MD5


def test_kept_blocks_of_other_content_are_sent_again(in_blocks: AzureStore, azure_proxy: FaultProxy) -> None:
    azure_proxy.fault = Fault(match=block(5), reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_blocks.put("large", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert azure_proxy.fault.hits == 1
    in_blocks.put("large", LARGE)
    assert blocks_sent(azure_proxy) == [0, 0, 1, 2, 3, 4, 5, 5]
    assert in_blocks.get("large") == LARGE


def test_a_block_that_arrives_damaged_is_refused(
    azurite: Azurite, open_azure: Callable[..., AzureStore], tmp_path: Path
) -> None:
    with tls_front(azurite.port, tmp_path) as (azure_proxy, ca_file):
        store = open_azure(endpoint_url=azure_proxy.url, ca_file=ca_file, **SMALL_BLOCKS)
        azure_proxy.fault = Fault(match=block(2), flip_sent=1000)
        with pytest.raises(ChecksumMismatch):
            store.put("large", LARGE)
        assert azure_proxy.fault.hits == 1
        with pytest.raises(ObjectNotFound):
            store.head("large")


def test_a_lost_answer_to_the_commit_is_settled_by_asking(in_blocks: AzureStore, azure_proxy: FaultProxy) -> None:
    azure_proxy.fault = Fault(match=b"comp=blocklist HTTP", lose_answer=True)
    assert in_blocks.put("large", LARGE).proof is Proof.SERVER_MD5
    assert azure_proxy.fault.hits == 1
    assert [request.split()[0] for request in azure_proxy.requests[-2:]] == ["PUT", "HEAD"]


def test_two_may_send_the_same_large_object_at_once(open_azure: Callable[..., AzureStore]) -> None:
    """The first to commit takes the blocks of both."""
    stores = [open_azure(**SMALL_BLOCKS) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        proofs = [info.proof for info in pool.map(lambda store: store.put("large", LARGE), stores)]
    assert proofs == [Proof.SERVER_MD5] * 2
    assert stores[0].get("large") == LARGE


def test_an_upload_that_is_refused_at_its_first_block_leaves_none(
    in_blocks: AzureStore, azure_proxy: FaultProxy
) -> None:
    azure_proxy.fault = Fault(match=b"comp=block&", reply=refusal("403 Forbidden", "AuthorizationFailure"), times=99)
    with pytest.raises(AccessDenied):
        in_blocks.put("large", LARGE)
    assert azure_proxy.fault.hits == 1
    assert in_blocks.remove_unfinished(before=SYSTEM_CLOCK.utcnow() + timedelta(hours=1)) == 0


def test_unfinished_uploads_are_removed_by_age_and_objects_stay(
    in_blocks: AzureStore, open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy
) -> None:
    """Even an empty object, over which a new upload has begun."""
    in_blocks.put("replaced", b"")
    azure_proxy.fault = Fault(match=block(5), reset_after_sent=1000, times=2)
    for name in ("replaced", "never-finished"):
        with pytest.raises(StoreUnavailable):
            in_blocks.put(name, LARGE)
    assert azure_proxy.fault.hits == 2
    now = SYSTEM_CLOCK.utcnow()
    assert in_blocks.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert in_blocks.remove_unfinished(before=now + timedelta(hours=1)) == 1
    assert in_blocks.remove_unfinished(before=now + timedelta(hours=1)) == 0
    assert [(info.name, info.size_bytes) for info in in_blocks.list()] == [("replaced", 0)]


def test_a_blob_that_was_finished_in_the_meantime_is_not_removed(
    in_blocks: AzureStore, open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy
) -> None:
    """Between looking and deleting: then it has changed since, and Azure refuses."""
    azure_proxy.fault = Fault(match=block(5), reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_blocks.put("large", LARGE)
    assert azure_proxy.fault.hits == 1
    azure_proxy.fault = Fault(match=b"DELETE /", reply=refusal("412 Precondition Failed", "ConditionNotMet"))
    assert in_blocks.remove_unfinished(before=SYSTEM_CLOCK.utcnow() + timedelta(hours=1)) == 0
    assert azure_proxy.fault.hits == 1
    assert b"if-unmodified-since: " in azure_proxy.heads[-1].lower()
