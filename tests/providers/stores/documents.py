"""What the stores for documents have in common: plain files in folders that people share (Dropbox, Box)."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from providers.stores.base import Holds, ObjectStore
from providers.stores.errors import InvalidName, LocationMissing, NoAnswer, ObjectNotFound, StoreError, StoreUnavailable
from providers.stores.sharing import Shared
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from tests.providers.store_contract import StoreContract
from tests.servers.ports import port_of
from tests.servers.tls import tls_front
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

MEBIBYTE = 1024 * 1024
TIMELINE = b"13:00 ceremony, 15:00 dinner"
LARGE = os.urandom(22 * MEBIBYTE)
LAST_DAY = datetime(2036, 6, 19, 12, tzinfo=UTC)


class DocumentStore(Shared, ObjectStore):
    """Both interfaces, as one word for the types of the tests."""


class Cloud(Protocol):
    url: str


Open = Callable[..., DocumentStore]


class DocumentContract(StoreContract):
    """Subclasses provide the fixtures `cloud`, `proxy` (in front of it), `open_store` and `store`.

    part:                    bytes in the head of each part of a large upload.
    parts_of_large:          how many parts `LARGE` has.
    parts_after_lost_answer: how many the next attempt sends when the answer to the first part was lost.
    """

    parts_of_large: int
    parts_after_lost_answer: int
    part: bytes

    @pytest.fixture
    def clock(self) -> Clock:
        """The service's clock, which is the true one here: a promise compares it with ours."""
        return SYSTEM_CLOCK

    @pytest.fixture
    def proxied(self, open_store: Open, proxy: FaultProxy, store: Any) -> DocumentStore:
        """The store, with a line through the proxy."""
        return open_store(endpoint_url=proxy.url, single_put_bytes=store.options.single_put_bytes)

    def test_it_holds_documents_that_never_count_as_a_copy(self, store: DocumentStore) -> None:
        assert (store.capabilities.holds, store.capabilities.countable) == (Holds.DOCUMENTS, False)

    def test_the_ca_file_is_what_is_trusted(self, cloud: Cloud, open_store: Open, tmp_path: Path) -> None:
        with tls_front(port_of(cloud.url), tmp_path) as (proxy, ca_file):
            trusting = open_store(endpoint_url=proxy.url, ca_file=ca_file)
            trusting.put("a.txt", TIMELINE)
            assert trusting.get("a.txt") == TIMELINE
            with pytest.raises(StoreUnavailable, match=r"(?i)certificate") as caught:
                open_store(endpoint_url=proxy.url).get("a.txt")
        assert "CA file" in caught.value.advice

    @pytest.mark.parametrize(
        ("fault", "expected", "attempts"),
        [
            (None, StoreUnavailable, 2),
            (Fault(reply=Reply("503 Service Unavailable"), times=99), StoreUnavailable, 2),
            (Fault(black_hole=True, times=99), NoAnswer, 1),
        ],
        ids=["refused", "503", "black hole"],
    )
    def test_a_dead_service_is_reported_after_the_recommended_attempts(
        self,
        open_store: Open,
        proxy: FaultProxy,
        fault: Fault | None,
        expected: type[StoreError],
        attempts: int,
    ) -> None:
        tried: list[object] = []
        hasty = open_store(endpoint_url=proxy.url, read_seconds=1)
        wrapped = wrap_store(hasty, retry=RetryPolicy(base_seconds=0.01), on_call=tried.append)
        if fault is None:
            proxy.down()
        else:
            fault = proxy.fault = dataclasses.replace(fault)  # the table's own is shared by all stores
        with pytest.raises(expected) as caught:
            wrapped.put("a.txt", TIMELINE)
        assert type(caught.value) is expected
        assert len(tried) == attempts
        if fault is None:
            proxy.up()
        else:
            assert fault.hits == attempts

    def test_the_default_time_limits_notice_silence_within_12_seconds(self, store: Any) -> None:
        assert store.options.connect_seconds + store.options.read_seconds <= 12

    def test_a_large_upload_goes_on_after_a_cut(self, proxied: DocumentStore, proxy: FaultProxy) -> None:
        proxy.fault = Fault(match=self.part, reset_after_sent=MEBIBYTE)
        proxied.put("first.txt", TIMELINE)  # whatever is asked once only
        proxy.heads.clear()
        with pytest.raises(StoreUnavailable):
            proxied.put("film.mp4", LARGE)
        assert proxy.fault.hits == 1
        assert proxied.put("film.mp4", LARGE).proof
        parts = sum(self.part in head for head in proxy.heads)
        assert parts == self.parts_of_large + 1  # only the part that was cut went twice
        assert proxied.get("film.mp4") == LARGE

    def test_a_part_whose_answer_was_lost_is_not_stored_twice(self, proxied: DocumentStore, proxy: FaultProxy) -> None:
        proxy.fault = Fault(match=self.part, lose_answer=True)
        with pytest.raises(StoreUnavailable):
            proxied.put("film.mp4", LARGE)
        assert proxy.fault.hits == 1
        proxy.heads.clear()
        proxied.put("film.mp4", LARGE)
        assert sum(self.part in head for head in proxy.heads) == self.parts_after_lost_answer
        assert proxied.get("film.mp4") == LARGE

    def test_a_flip_on_the_way_down_of_a_whole_document_is_noticed(
        self, proxied: DocumentStore, proxy: FaultProxy
    ) -> None:
        assert proxied.wire
        proxied.put("a.txt", TIMELINE)
        proxy.fault = Fault(match=proxied.wire.get, flip_received=5)
        with pytest.raises(StoreError, match="came down changed") as caught:
            proxied.get("a.txt")
        assert caught.value.retryable
        assert proxy.fault.hits == 1
        assert proxied.get("a.txt") == TIMELINE

    def test_deleting_a_folders_name_leaves_its_documents(self, store: DocumentStore) -> None:
        store.put("Ana & Zoë/Timeline.txt", TIMELINE)
        store.delete("Ana & Zoë")
        assert store.get("Ana & Zoë/Timeline.txt") == TIMELINE
        with pytest.raises(ObjectNotFound):
            store.get("Ana & Zoë")

    @pytest.mark.parametrize("name", ["Ana & Zoë", "Ana & Zoë/Timeline.txt/notes.txt"], ids=["folder", "document"])
    def test_a_name_that_is_taken_by_the_other_kind_is_refused_for_good(self, store: DocumentStore, name: str) -> None:
        store.put("Ana & Zoë/Timeline.txt", TIMELINE)
        with pytest.raises(InvalidName) as caught:
            store.put(name, b"x")
        assert "rename" in caught.value.advice

    # --- sharing

    def test_a_link_has_the_password_and_the_end_that_were_asked_for(self, store: DocumentStore) -> None:
        store.put("Timeline.txt", TIMELINE)
        link = store.share("Timeline.txt", expires=LAST_DAY, password="a long password 1")
        assert link.url.startswith("https://")
        assert (link.expires, link.password_protected) == (LAST_DAY, True)
        assert link.url not in repr(link)

    def test_sharing_again_keeps_the_address_and_takes_the_new_settings(self, store: DocumentStore) -> None:
        store.put("Timeline.txt", TIMELINE)
        first = store.share("Timeline.txt", expires=LAST_DAY, password="a long password 1")
        second = store.share("Timeline.txt", expires=LAST_DAY + timedelta(days=1))
        assert (second.url, second.expires) == (first.url, LAST_DAY + timedelta(days=1))
        assert not second.password_protected
        assert store.share("Timeline.txt").expires is None

    def test_a_folder_can_be_shared_too(self, store: DocumentStore) -> None:
        store.put("Ana & Zoë/Timeline.txt", TIMELINE)
        assert store.share("Ana & Zoë").url != store.share("Ana & Zoë/Timeline.txt").url

    def test_after_unsharing_there_is_a_new_address(self, store: DocumentStore) -> None:
        store.put("Timeline.txt", TIMELINE)
        first = store.share("Timeline.txt")
        store.unshare("Timeline.txt")
        store.unshare("Timeline.txt")
        store.unshare("never/was.txt")
        assert store.share("Timeline.txt").url != first.url

    def test_nothing_that_is_missing_can_be_shared(self, store: DocumentStore) -> None:
        with pytest.raises(ObjectNotFound):
            store.share("never/was.txt")
        with pytest.raises(ObjectNotFound):
            store.invite("never", "ana@example.org")


def require_error_for(
    store: ObjectStore, proxy: FaultProxy, answer: Reply, expected: type[StoreError], retryable: bool
) -> StoreError:
    """Answer an upload so; it must end with this very error, after one request, with advice. Return the error."""
    assert store.wire
    proxy.fault = Fault(match=store.wire.put, reply=answer)
    with pytest.raises(StoreError) as caught:
        store.put("a.pdf", TIMELINE)
    assert type(caught.value) is expected
    assert caught.value.retryable is retryable
    assert caught.value.advice
    assert proxy.fault.hits == 1  # the SDK does not try again by itself
    return caught.value


def require_missing_location(store: ObjectStore, named: str) -> None:
    """Whatever is asked, it must be said that the location's folder is missing."""
    calls: list[Callable[[], object]] = [
        lambda: store.put("a.pdf", TIMELINE),
        lambda: store.get("a.pdf"),
        lambda: store.delete("a.pdf"),
        lambda: [*store.list()],
        lambda: [*store.list("Ana/")],
    ]
    for call in calls:
        with pytest.raises(LocationMissing, match=named):
            call()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
