"""Uploads to Google Cloud Storage in sessions that resume."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from providers.stores.base import Proof
from providers.stores.errors import AccessDenied, NoAnswer, StoreUnavailable
from providers.stores.gcs import GCSStore
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.gcs import GCS
from tests.servers.gcs_fixtures import IN_CHUNKS, LARGE
from wedbackup.core.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.services


def ranges_sent(gcs_proxy: FaultProxy) -> list[str]:
    """Return the positions of all chunks and questions sent, in MiB of whole ones."""
    heads = [head.decode("latin-1") for head in gcs_proxy.heads]
    return [head.split("Content-Range: bytes ")[1].split("/")[0] for head in heads if "Content-Range: " in head]


def test_a_cut_upload_goes_on_where_the_server_is(gcs: GCS, gcs_in_chunks: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=600_000)
    with pytest.raises(StoreUnavailable) as caught:
        gcs_in_chunks.put("large", LARGE)
    assert gcs_proxy.fault.hits == 1
    assert "upload_id" not in f"{caught.value!r} {caught.value}"
    assert [*gcs_in_chunks.list()] == []
    before = gcs.sessions()
    assert gcs_in_chunks.put("large", LARGE).proof is Proof.SERVER_MD5
    sent = ranges_sent(gcs_proxy)
    assert sent[:3] == ["0-1048575", "1048576-2097151", "*"]
    assert int(sent[3].split("-")[0]) in (1048576, 1048576 + 512 * 1024)  # what of the cut chunk arrived
    assert len([request for request in gcs_proxy.requests if request.startswith("POST")]) == 1
    assert gcs_in_chunks.get("large") == LARGE
    assert gcs.sessions() == before - 1


def test_other_content_of_that_name_begins_its_own_session(gcs_in_chunks: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        gcs_in_chunks.put("large", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert gcs_proxy.fault.hits == 1
    gcs_in_chunks.put("large", LARGE)
    assert "*" not in ranges_sent(gcs_proxy)
    assert gcs_in_chunks.get("large") == LARGE


def test_a_session_that_the_server_lost_begins_again(gcs: GCS, gcs_in_chunks: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reply=Reply("404 Not Found"))
    with pytest.raises(StoreUnavailable, match="begins again"):
        gcs_in_chunks.put("large", LARGE)
    assert gcs_proxy.fault.hits == 1
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        gcs_in_chunks.put("large", LARGE)
    assert gcs_proxy.fault.hits == 1
    gcs.storage.resumable.clear()
    assert gcs_in_chunks.put("large", LARGE).proof is Proof.SERVER_MD5
    assert gcs_in_chunks.get("large") == LARGE


def test_a_server_that_takes_nothing_is_given_up(gcs_in_chunks: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 0-", reply=Reply("308 Resume Incomplete"), times=99)
    with pytest.raises(StoreUnavailable, match="took nothing"):
        gcs_in_chunks.put("large", LARGE)
    assert gcs_proxy.fault.hits == 1


def test_a_lost_answer_to_the_last_chunk_is_settled_by_asking(gcs_in_chunks: GCSStore, gcs_proxy: FaultProxy) -> None:
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 3145728-", lose_answer=True)
    assert gcs_in_chunks.put("large", LARGE).proof is Proof.SERVER_MD5
    assert gcs_proxy.fault.hits == 1
    assert gcs_proxy.requests[-1].startswith("GET")


def test_a_silent_server_in_the_middle_keeps_the_session(
    gcs: GCS, open_gcs: Callable[..., GCSStore], gcs_proxy: FaultProxy
) -> None:
    store = open_gcs(endpoint_url=gcs_proxy.url, **IN_CHUNKS, read_seconds=2)
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", black_hole=True)
    with pytest.raises(NoAnswer):
        store.put("large", LARGE)
    assert gcs_proxy.fault.hits == 1
    store.put("large", LARGE)
    assert ranges_sent(gcs_proxy)[:4] == ["0-1048575", "1048576-2097151", "*", "1048576-2097151"]


def test_a_hopeless_upload_leaves_nothing_behind(gcs: GCS, gcs_in_chunks: GCSStore, gcs_proxy: FaultProxy) -> None:
    before = gcs.sessions()
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reply=Reply("403 Forbidden"))
    with pytest.raises(AccessDenied):
        gcs_in_chunks.put("large", LARGE)
    assert gcs_proxy.fault.hits == 1
    assert gcs.sessions() == before


def test_unfinished_sessions_are_cancelled_by_age_and_at_the_end(
    gcs: GCS, gcs_in_chunks: GCSStore, gcs_proxy: FaultProxy
) -> None:
    before, now = gcs.sessions(), SYSTEM_CLOCK.utcnow()
    for name in ("one", "two"):
        gcs_proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=1000)
        with pytest.raises(StoreUnavailable):
            gcs_in_chunks.put(name, LARGE)
        assert gcs_proxy.fault.hits == 1
    assert gcs_in_chunks.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert gcs.sessions() == before + 2
    assert gcs_in_chunks.remove_unfinished(before=now + timedelta(hours=1)) == 2
    assert gcs.sessions() == before
    gcs_proxy.fault = Fault(match=b"Content-Range: bytes 1048576-", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        gcs_in_chunks.put("three", LARGE)
    gcs_in_chunks.close()
    assert gcs.sessions() == before


def test_a_session_is_only_used_at_the_locations_own_address(gcs_in_chunks: GCSStore, gcs_proxy: FaultProxy) -> None:
    """Otherwise an answer could send our token anywhere."""
    elsewhere = {"Location": "http://elsewhere.invalid/upload/storage/v1/b/x/o?upload_id=1"}
    gcs_proxy.fault = Fault(match=b"uploadType=resumable", reply=Reply("200 OK", elsewhere))
    with pytest.raises(StoreUnavailable, match="begins again"):
        gcs_in_chunks.put("large", LARGE)
    assert gcs_proxy.fault.hits == 1
    assert gcs_proxy.requests[-1].startswith("PUT /upload/storage/v1/b/x/o?upload_id=1 ")
