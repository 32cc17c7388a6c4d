"""Box's upload sessions for large documents, over lines that fail on order."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from providers.stores.base import Proof
from providers.stores.box import BoxStore
from providers.stores.errors import LocationFull, StoreUnavailable
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.stores.documents import LARGE, TIMELINE
from tests.servers.box import BoxCloud
from tests.servers.box_fixtures import JSON, PART, Open, asked, entry_of
from wedbackup.core.clock import ManualClock


def test_a_commit_waits_until_box_has_put_the_parts_together(open_box: Open, box: BoxCloud, clock: ManualClock) -> None:
    box.assembling = 3
    began = clock.monotonic()
    store = BoxStore(open_box().options, clock=clock)
    assert store.put("film.mp4", LARGE).proof is Proof.SERVER_SHA1
    assert (box.assembling, clock.monotonic() - began) == (0, 3.0)
    store.close()


def test_a_commit_that_takes_too_long_is_left_to_the_next_attempt(
    open_box: Open, box: BoxCloud, clock: ManualClock
) -> None:
    box.assembling = 12
    store = BoxStore(open_box().options, clock=clock)
    with pytest.raises(StoreUnavailable, match="putting the parts together") as caught:
        store.put("film.mp4", LARGE)
    assert caught.value.retry_after
    assert store.put("film.mp4", LARGE).proof is Proof.SERVER_SHA1
    assert box.sessions == {}
    store.close()


def test_a_commit_whose_answer_was_lost_is_settled_by_asking(box_proxied: BoxStore, box_proxy: FaultProxy) -> None:
    box_proxy.fault = Fault(match=b"/commit HTTP", lose_answer=True)
    assert box_proxied.put("film.mp4", LARGE).proof is Proof.SERVER_SHA1
    assert box_proxy.fault.hits == 1
    assert asked(box_proxy, "/commit") == 1


def test_a_session_that_box_forgot_is_begun_anew(
    box_proxied: BoxStore, box_proxy: FaultProxy, box: BoxCloud, clock: ManualClock
) -> None:
    box_proxy.fault = Fault(match=PART, lose_answer=True)
    with pytest.raises(StoreUnavailable):
        box_proxied.put("film.mp4", LARGE)
    assert box_proxy.fault.hits == 1
    clock.advance(timedelta(days=8).total_seconds())
    assert box_proxied.put("film.mp4", LARGE).proof
    assert box_proxied.get("film.mp4") == LARGE


def test_an_upload_that_nobody_will_resume_leaves_nothing(
    box_proxied: BoxStore, box_proxy: FaultProxy, box: BoxCloud
) -> None:
    body = json.dumps({"type": "error", "status": 403, "code": "storage_limit_exceeded"}).encode()
    box_proxy.fault = Fault(match=PART, reply=Reply("403 Forbidden", JSON, body))
    with pytest.raises(LocationFull):
        box_proxied.put("film.mp4", LARGE)
    assert box_proxy.fault.hits == 1
    assert box.sessions == {}
    assert [*box_proxied.list()] == []


def test_left_overs_of_this_process_can_be_removed(
    open_box: Open, box_proxy: FaultProxy, box: BoxCloud, clock: ManualClock
) -> None:
    store = BoxStore(open_box(endpoint_url=box_proxy.url).options, clock=clock)
    box_proxy.fault = Fault(match=PART, lose_answer=True)
    with pytest.raises(StoreUnavailable):
        store.put("film.mp4", LARGE)
    assert box_proxy.fault.hits == 1
    assert store.remove_unfinished(before=clock.utcnow()) == 0
    assert len(box.sessions) == 1
    assert store.remove_unfinished(before=clock.utcnow() + timedelta(seconds=1)) == 1
    assert box.sessions == {}
    store.close()


def test_a_large_document_gets_new_versions_too(open_box: Open, box: BoxCloud, box_folder_id: str) -> None:
    store = open_box()
    store.put("film.mp4", TIMELINE)
    store.put("film.mp4", LARGE)
    assert store.get("film.mp4") == LARGE
    assert entry_of(box, box_folder_id, "film.mp4").old == [TIMELINE]
