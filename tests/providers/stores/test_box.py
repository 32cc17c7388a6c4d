"""Box through its official SDK, against a fake that follows the documentation, over lines that fail on order."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from providers.stores.base import Proof
from providers.stores.box import KEY, PARTS_FROM_BYTES, BoxOptions, BoxStore
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    InvalidName,
    LocationFull,
    ObjectCorrupt,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.stores.options import InvalidOptions
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.stores.documents import (
    LARGE,
    TIMELINE,
    DocumentContract,
    port_of,
    require_error_for,
    require_missing_location,
    sha256,
)
from tests.servers.box import BoxCloud, Entry
from wedbackup.core.clock import ManualClock

JSON = {"Content-Type": "application/json"}
Open = Callable[..., BoxStore]


@pytest.fixture
def cloud(clock: ManualClock) -> Iterator[BoxCloud]:
    """A Box with an empty folder "Documents"."""
    cloud = BoxCloud(clock=clock)
    cloud.make_folder("Documents")
    with cloud.running():
        yield cloud


@pytest.fixture
def folder_id(cloud: BoxCloud) -> str:
    folder = cloud.child("0", "Documents")
    assert folder
    return folder.id


@pytest.fixture
def open_store(cloud: BoxCloud, folder_id: str) -> Iterator[Open]:
    """Open stores on the folder; options are given by name."""
    opened: list[BoxStore] = []

    def open_store(**changes: Any) -> BoxStore:
        options = BoxOptions(
            client_id=cloud.client_id,
            client_secret=cloud.client_secret,
            enterprise_id=cloud.enterprise_id,
            folder_id=folder_id,
            endpoint_url=cloud.url,
            single_put_bytes=PARTS_FROM_BYTES,
        )
        opened.append(BoxStore(dataclasses.replace(options, **changes)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def proxy(cloud: BoxCloud) -> Iterator[FaultProxy]:
    """A fault proxy in front of Box, downloads included."""
    with FaultProxy(("127.0.0.1", port_of(cloud))) as proxy:
        cloud.download_url = proxy.url
        yield proxy


@pytest.fixture
def proxied(open_store: Open, proxy: FaultProxy) -> BoxStore:
    """A store whose line goes through the fault proxy."""
    return open_store(endpoint_url=proxy.url)


class TestPromises(DocumentContract):
    part = b"PUT /api/2.0/files/upload_sessions/"
    parts_of_large = 3  # of 8 MiB
    parts_after_lost_answer = 2  # the server tells that it has the first

    @pytest.fixture
    def store(self, open_store: Open, long_run: bool) -> BoxStore:
        return open_store(list_page=500 if long_run else 3)


def asked(proxy: FaultProxy, words: str) -> int:
    """Return how many requests had these words in their first line."""
    return sum(words in request for request in proxy.requests)


def entry_of(cloud: BoxCloud, folder_id: str, name: str) -> Entry:
    entry = cloud.child(folder_id, name)
    assert entry
    return entry


# --- what is proved


def test_an_upload_is_checked_by_its_sha1(proxied: BoxStore, proxy: FaultProxy) -> None:
    info = proxied.put("a.pdf", TIMELINE)
    assert (info.proof, info.sha256) == (Proof.SERVER_SHA1, sha256(TIMELINE))
    head = next(head for head in proxy.heads if b"POST /api/2.0/files/content" in head)
    assert f"content-md5: {hashlib.sha1(TIMELINE).hexdigest()}".encode() in head


def test_content_under_a_wrong_sha256_is_not_even_sent(proxied: BoxStore, proxy: FaultProxy) -> None:
    with pytest.raises(ChecksumMismatch):
        proxied.put("a.pdf", TIMELINE, sha256=sha256(b"what was meant"))
    assert proxy.requests == []


def test_a_document_is_verified_without_a_download(proxied: BoxStore, proxy: FaultProxy) -> None:
    proxied.put("a.pdf", TIMELINE)
    assert proxied.verify("a.pdf", sha256=sha256(TIMELINE)).proof is Proof.SERVER_SHA1
    with pytest.raises(ObjectCorrupt):
        proxied.verify("a.pdf", sha256=sha256(b"other"))
    assert asked(proxy, "/dl/") == 0


def test_a_new_version_is_bound_to_its_own_sha256(proxied: BoxStore, proxy: FaultProxy) -> None:
    proxied.put("a.pdf", TIMELINE)
    proxied.put("a.pdf", b"newer")
    assert proxied.verify("a.pdf", sha256=sha256(b"newer")).proof is Proof.SERVER_SHA1
    with pytest.raises(ObjectCorrupt):
        proxied.verify("a.pdf", sha256=sha256(TIMELINE))
    assert asked(proxy, "/dl/") == 0


def test_what_somebody_else_uploaded_over_ours_is_read_back(
    proxied: BoxStore, proxy: FaultProxy, cloud: BoxCloud, folder_id: str
) -> None:
    """Our line of metadata stays, but speaks of another SHA-1."""
    proxied.put("a.pdf", TIMELINE)
    entry_of(cloud, folder_id, "a.pdf").content = b"edited in the browser"
    with pytest.raises(ObjectCorrupt):
        proxied.verify("a.pdf", sha256=sha256(TIMELINE))
    assert asked(proxy, "/dl/") == 1


def test_where_metadata_is_refused_the_document_is_stored_and_read_back(
    open_store: Open, cloud: BoxCloud, folder_id: str
) -> None:
    cloud.metadata_allowed = False
    store = open_store()
    assert store.put("a.pdf", TIMELINE).proof is Proof.SERVER_SHA1
    assert entry_of(cloud, folder_id, "a.pdf").metadata is None
    assert store.verify("a.pdf", sha256=sha256(TIMELINE)).proof is Proof.READ_BACK


def test_our_metadata_holds_both_hashes(open_store: Open, cloud: BoxCloud, folder_id: str) -> None:
    open_store().put("a.pdf", TIMELINE)
    metadata = entry_of(cloud, folder_id, "a.pdf").metadata
    assert metadata == {KEY: f"{hashlib.sha1(TIMELINE).hexdigest()} {sha256(TIMELINE)}"}


# --- upload sessions


def test_a_commit_waits_until_box_has_put_the_parts_together(
    open_store: Open, cloud: BoxCloud, clock: ManualClock
) -> None:
    cloud.assembling = 3
    began = clock.monotonic()
    store = BoxStore(open_store().options, clock=clock)
    assert store.put("film.mp4", LARGE).proof is Proof.SERVER_SHA1
    assert (cloud.assembling, clock.monotonic() - began) == (0, 3.0)
    store.close()


def test_a_commit_that_takes_too_long_is_left_to_the_next_attempt(
    open_store: Open, cloud: BoxCloud, clock: ManualClock
) -> None:
    cloud.assembling = 12
    store = BoxStore(open_store().options, clock=clock)
    with pytest.raises(StoreUnavailable, match="putting the parts together") as caught:
        store.put("film.mp4", LARGE)
    assert caught.value.retry_after
    assert store.put("film.mp4", LARGE).proof is Proof.SERVER_SHA1
    assert cloud.sessions == {}
    store.close()


def test_a_commit_whose_answer_was_lost_is_settled_by_asking(proxied: BoxStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"/commit HTTP", lose_answer=True)
    assert proxied.put("film.mp4", LARGE).proof is Proof.SERVER_SHA1
    assert proxy.fault.hits == 1
    assert asked(proxy, "/commit") == 1


def test_a_session_that_box_forgot_is_begun_anew(
    proxied: BoxStore, proxy: FaultProxy, cloud: BoxCloud, clock: ManualClock
) -> None:
    proxy.fault = Fault(match=TestPromises.part, lose_answer=True)
    with pytest.raises(StoreUnavailable):
        proxied.put("film.mp4", LARGE)
    assert proxy.fault.hits == 1
    clock.advance(timedelta(days=8).total_seconds())
    assert proxied.put("film.mp4", LARGE).proof
    assert proxied.get("film.mp4") == LARGE


def test_an_upload_that_nobody_will_resume_leaves_nothing(
    proxied: BoxStore, proxy: FaultProxy, cloud: BoxCloud
) -> None:
    body = json.dumps({"type": "error", "status": 403, "code": "storage_limit_exceeded"}).encode()
    proxy.fault = Fault(match=TestPromises.part, reply=Reply("403 Forbidden", JSON, body))
    with pytest.raises(LocationFull):
        proxied.put("film.mp4", LARGE)
    assert proxy.fault.hits == 1
    assert cloud.sessions == {}
    assert [*proxied.list()] == []


def test_left_overs_of_this_process_can_be_removed(
    open_store: Open, proxy: FaultProxy, cloud: BoxCloud, clock: ManualClock
) -> None:
    store = BoxStore(open_store(endpoint_url=proxy.url).options, clock=clock)
    proxy.fault = Fault(match=TestPromises.part, lose_answer=True)
    with pytest.raises(StoreUnavailable):
        store.put("film.mp4", LARGE)
    assert proxy.fault.hits == 1
    assert store.remove_unfinished(before=clock.utcnow()) == 0
    assert len(cloud.sessions) == 1
    assert store.remove_unfinished(before=clock.utcnow() + timedelta(seconds=1)) == 1
    assert cloud.sessions == {}
    store.close()


def test_a_large_document_gets_new_versions_too(open_store: Open, cloud: BoxCloud, folder_id: str) -> None:
    store = open_store()
    store.put("film.mp4", TIMELINE)
    store.put("film.mp4", LARGE)
    assert store.get("film.mp4") == LARGE
    assert entry_of(cloud, folder_id, "film.mp4").old == [TIMELINE]


# --- answers


def refusal(code: str) -> bytes:
    return json.dumps({"type": "error", "code": code, "message": "no", "request_id": "abc"}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "retryable"),
    [
        ("403 Forbidden", JSON, refusal("storage_limit_exceeded"), LocationFull, False),
        ("403 Forbidden", JSON, refusal("access_denied_insufficient_permissions"), AccessDenied, False),
        ("403 Forbidden", JSON, refusal("file_size_limit_exceeded"), Rejected, False),
        ("400 Bad Request", JSON, refusal("bad_digest"), ChecksumMismatch, True),
        ("400 Bad Request", JSON, refusal("item_name_invalid"), InvalidName, False),
        ("400 Bad Request", JSON, refusal("bad_request"), Rejected, False),
        ("409 Conflict", JSON, refusal("name_temporarily_reserved"), StoreUnavailable, True),
        ("409 Conflict", JSON, refusal("operation_blocked_temporary"), StoreUnavailable, True),
        ("429 Too Many Requests", {"Retry-After": "7", **JSON}, refusal("rate_limit_exceeded"), Throttled, True),
        ("429 Too Many Requests", {"Retry-After": "7"}, b"slow down", Throttled, True),
        ("503 Service Unavailable", {"Retry-After": "7"}, b"", Throttled, True),
        ("503 Service Unavailable", {}, b"", StoreUnavailable, True),
        ("500 Internal Server Error", JSON, refusal("internal_server_error"), StoreUnavailable, True),
        ("200 OK", {"Content-Type": "text/html"}, b"<html>", StoreUnavailable, True),
    ],
)
def test_an_answer_becomes_the_error_that_says_whether_to_try_again(
    proxied: BoxStore,
    proxy: FaultProxy,
    status: str,
    headers: dict[str, str],
    body: bytes,
    expected: type[StoreError],
    retryable: bool,
) -> None:
    error = require_error_for(proxied, proxy, Reply(status, headers, body), expected, retryable)
    assert error.retry_after == (7.0 if "Retry-After" in headers else None)


def test_a_pause_may_be_asked_for_by_a_date(open_store: Open, proxy: FaultProxy, clock: ManualClock) -> None:
    store = BoxStore(open_store(endpoint_url=proxy.url).options, clock=clock)
    headers = {"retry-after": "Fri, 12 Jun 2026 12:00:07 GMT"}
    proxy.fault = Fault(reply=Reply("429 Too Many Requests", headers))
    with pytest.raises(Throttled) as caught:
        store.head("a.pdf")
    assert (caught.value.retry_after, proxy.fault.hits) == (7.0, 1)
    store.close()


# --- who we are


def test_a_token_that_expired_is_renewed_once_and_the_request_repeated_whole(
    proxied: BoxStore, proxy: FaultProxy, clock: ManualClock
) -> None:
    proxied.put("a.pdf", TIMELINE)
    clock.advance(timedelta(hours=2).total_seconds())
    content = os.urandom(500_000)
    proxied.put("b.pdf", content)
    assert proxied.get("b.pdf") == content
    assert asked(proxy, "/oauth2/token") == 2


def test_a_token_that_expires_between_check_and_upload_costs_no_bytes(proxied: BoxStore, proxy: FaultProxy) -> None:
    content = os.urandom(500_000)
    proxy.fault = Fault(match=proxied.wire.put, reply=Reply("401 Unauthorized"))
    assert proxied.put("b.pdf", content).proof
    assert proxy.fault.hits == 1
    assert proxied.get("b.pdf") == content


def test_a_token_that_is_never_good_is_access_denied(proxied: BoxStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"OPTIONS", reply=Reply("401 Unauthorized"), times=99)
    with pytest.raises(AccessDenied):
        proxied.put("a.pdf", TIMELINE)
    assert proxy.fault.hits == 2


@pytest.mark.parametrize(("option", "code"), [("client_secret", "invalid_client"), ("enterprise_id", "invalid_grant")])
def test_a_wrong_credential_is_named_and_not_shown(open_store: Open, option: str, code: str) -> None:
    with pytest.raises(AccessDenied, match=code) as caught:
        open_store(**{option: "wrong-and-private"}).put("a.pdf", TIMELINE)
    shown = f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__cause__}"
    assert "wrong-and-private" not in shown
    assert "the-client-secret" not in shown


def test_an_account_that_may_only_look_cannot_write(open_store: Open, cloud: BoxCloud) -> None:
    store = open_store()
    store.put("a.pdf", TIMELINE)
    cloud.read_only = True
    with pytest.raises(AccessDenied):
        store.put("b.pdf", TIMELINE)
    with pytest.raises(AccessDenied):
        store.delete("a.pdf")


# --- where


def test_a_folder_that_is_not_there_is_a_missing_location(open_store: Open) -> None:
    store = open_store(folder_id="424242")
    require_missing_location(store, "424242")


def test_a_folder_that_was_deleted_and_made_again_is_found_again(
    open_store: Open, cloud: BoxCloud, folder_id: str
) -> None:
    store = open_store()
    store.put("Ana & Zoë/2026/a.pdf", TIMELINE)
    old = entry_of(cloud, folder_id, "Ana & Zoë")
    entry_of(cloud, old.id, "2026").trashed = old.trashed = True
    store.put("Ana & Zoë/2026/b.pdf", TIMELINE)
    assert [info.name for info in store.list()] == ["Ana & Zoë/2026/b.pdf"]
    assert entry_of(cloud, folder_id, "Ana & Zoë").id != old.id


def test_a_folder_that_another_process_made_meanwhile_is_used(
    open_store: Open, cloud: BoxCloud, folder_id: str
) -> None:
    store = open_store()
    made = cloud.make_folder("Ana & Zoë", folder_id)
    store.put("ana & zoë/a.pdf", TIMELINE)
    assert entry_of(cloud, made, "a.pdf").content == TIMELINE


def test_a_deleted_document_waits_in_the_trash_and_frees_its_name(
    open_store: Open, cloud: BoxCloud, folder_id: str
) -> None:
    store = open_store()
    store.put("a.pdf", TIMELINE)
    old = entry_of(cloud, folder_id, "a.pdf")
    store.delete("a.pdf")
    store.put("a.pdf", b"newer")
    assert old.trashed
    assert old.content == TIMELINE
    assert store.get("a.pdf") == b"newer"


def test_pictures_in_names_are_refused_before_anything_is_asked(proxied: BoxStore, proxy: FaultProxy) -> None:
    with pytest.raises(InvalidName, match="Box takes no such letter"):
        proxied.put("party 🎉.pdf", TIMELINE)
    assert proxy.requests == []


def test_what_is_public_is_told(open_store: Open, cloud: BoxCloud, folder_id: str) -> None:
    store = open_store()
    assert store.facts().public is False
    cloud.entries[folder_id].link = {"url": "https://app.box.com/s/x", "effective_access": "open"}
    assert store.facts().public is True


# --- sharing


def test_a_password_that_box_refuses_is_not_repeated(open_store: Open) -> None:
    store = open_store()
    store.put("a.pdf", TIMELINE)
    with pytest.raises(Rejected, match="at least 8") as caught:
        store.share("a.pdf", password="hush-hu")
    assert "hush-hu" not in f"{caught.value!r}{caught.value.__cause__}"


def test_clients_are_invited_to_read_once(open_store: Open, cloud: BoxCloud, folder_id: str) -> None:
    store = open_store()
    store.put("Ana & Zoë/a.pdf", TIMELINE)
    for email in ("ana@example.org", "zoe@example.org", "ana@example.org"):
        store.invite("Ana & Zoë", email)
    assert entry_of(cloud, folder_id, "Ana & Zoë").people == ["ana@example.org viewer", "zoe@example.org viewer"]


# --- options


@pytest.mark.parametrize("changes", [{"endpoint_url": "api.example.org"}, {"single_put_bytes": 1}])
def test_options_that_cannot_work_are_refused(open_store: Open, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(changes))):
        open_store(**changes)


def test_the_rights_to_give_are_told() -> None:
    texts = " ".join(BoxStore.policies({"folder_id": "777"}).values())
    assert "777" in texts
    assert "Write all files" in texts
