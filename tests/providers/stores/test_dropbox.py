"""Dropbox through its official SDK, against a fake that follows the documentation, over lines that fail on order."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from providers.stores.base import Proof
from providers.stores.dropbox import SCOPES, DropboxOptions, DropboxStore
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    CredentialExpired,
    InvalidName,
    LocationFull,
    NoAnswer,
    ObjectCorrupt,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
    Unsupported,
)
from providers.stores.options import InvalidOptions
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.stores.documents import (
    LARGE,
    MEBIBYTE,
    TIMELINE,
    DocumentContract,
    require_error_for,
    require_missing_location,
    sha256,
)
from tests.servers.dropbox import HOME, TEAM_FOLDER, TEAM_SPACE, DropboxCloud, hash_of
from tests.servers.ports import port_of
from wedbackup.core.clock import ManualClock

FOLDER = "Weddings/Documents"
JSON = {"Content-Type": "application/json"}
Open = Callable[..., DropboxStore]


@pytest.fixture
def cloud(clock: ManualClock) -> Iterator[DropboxCloud]:
    """A Dropbox with the location's folder and nothing in it."""
    cloud = DropboxCloud(clock=clock)
    cloud.make_folder(FOLDER)
    with cloud.running():
        yield cloud


@pytest.fixture
def open_store(cloud: DropboxCloud) -> Iterator[Open]:
    """Open stores on the folder; options are given by name."""
    opened: list[DropboxStore] = []

    def open_store(**changes: Any) -> DropboxStore:
        options = DropboxOptions(
            app_key=cloud.app_key,
            app_secret=cloud.app_secret,
            refresh_token=cloud.refresh_token,
            folder=FOLDER,
            endpoint_url=cloud.url,
        )
        opened.append(DropboxStore(dataclasses.replace(options, **changes)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def proxy(cloud: DropboxCloud) -> Iterator[FaultProxy]:
    """A fault proxy in front of Dropbox."""
    with FaultProxy(("127.0.0.1", port_of(cloud.url))) as proxy:
        yield proxy


@pytest.fixture
def proxied(open_store: Open, proxy: FaultProxy) -> DropboxStore:
    """A store whose line goes through the fault proxy."""
    return open_store(endpoint_url=proxy.url, part_bytes=8 * MEBIBYTE, single_put_bytes=16 * MEBIBYTE)


class TestPromises(DocumentContract):
    part = b"/upload_session/append_v2"
    parts_of_large = 2  # of 16 MiB
    parts_after_lost_answer = 2  # the first again, which tells where the server is

    @pytest.fixture
    def store(self, open_store: Open, long_run: bool) -> DropboxStore:
        return open_store(single_put_bytes=8 * MEBIBYTE, list_page=500 if long_run else 3)


# --- what is proved


def test_an_upload_is_checked_by_its_content_hash(proxied: DropboxStore, proxy: FaultProxy) -> None:
    content = os.urandom(5 * MEBIBYTE)
    assert proxied.put("a.pdf", content).proof is Proof.SERVER_CONTENT_HASH
    head = next(head for head in proxy.heads if b"/files/upload HTTP" in head)
    assert f'"content_hash": "{hash_of(content)}"'.encode() in head


def test_a_known_sha256_of_one_block_is_what_dropbox_checks(proxied: DropboxStore) -> None:
    with pytest.raises(ChecksumMismatch):
        proxied.put("a.pdf", TIMELINE, sha256=sha256(b"what was meant"))
    assert [*proxied.list()] == []


@pytest.mark.parametrize("size", [0, 1, 4 * MEBIBYTE])
def test_a_file_of_one_block_is_verified_without_a_download(
    proxied: DropboxStore, proxy: FaultProxy, size: int
) -> None:
    content = os.urandom(size)
    proxied.put("a.pdf", content)
    assert proxied.verify("a.pdf", sha256=sha256(content)).proof is Proof.SERVER_CONTENT_HASH
    with pytest.raises(ObjectCorrupt):
        proxied.verify("a.pdf", sha256=sha256(b"other"))
    assert not any("/files/download" in request for request in proxy.requests)


def test_a_larger_file_is_read_back(proxied: DropboxStore, proxy: FaultProxy) -> None:
    content = os.urandom(9 * MEBIBYTE)
    proxied.put("a.mp4", content)
    assert proxied.verify("a.mp4", sha256=sha256(content)).proof is Proof.READ_BACK
    assert sum("/files/download" in request for request in proxy.requests) == 2


# --- upload sessions


def test_a_finish_whose_answer_was_lost_is_settled_by_asking(proxied: DropboxStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"/upload_session/finish", lose_answer=True)
    assert proxied.put("film.mp4", LARGE).proof is Proof.SERVER_CONTENT_HASH
    assert proxy.fault.hits == 1
    assert "/files/get_metadata" in proxy.requests[-1]
    assert sum("/upload_session/start" in request for request in proxy.requests) == 1


def test_a_finish_that_was_never_answered_is_found_done_by_the_next_attempt(
    open_store: Open, proxy: FaultProxy
) -> None:
    store = open_store(endpoint_url=proxy.url, read_seconds=3, single_put_bytes=16 * MEBIBYTE)
    proxy.fault = Fault(match=b"/upload_session/finish", stall_received_seconds=4)
    with pytest.raises(NoAnswer):
        store.put("film.mp4", LARGE)
    assert proxy.fault.hits == 1
    proxy.heads.clear()
    assert store.put("film.mp4", LARGE).proof is Proof.SERVER_CONTENT_HASH
    assert not any("append" in request or "start" in request for request in proxy.requests)


def test_a_session_that_dropbox_forgot_is_begun_anew(
    proxied: DropboxStore, proxy: FaultProxy, cloud: DropboxCloud, clock: ManualClock
) -> None:
    proxy.fault = Fault(match=b"/upload_session/append_v2", lose_answer=True)
    with pytest.raises(StoreUnavailable):
        proxied.put("film.mp4", LARGE)
    assert proxy.fault.hits == 1
    clock.advance(timedelta(days=8).total_seconds())
    assert proxied.put("film.mp4", LARGE).proof
    assert len(cloud.sessions) == 2
    assert proxied.get("film.mp4") == LARGE


def test_an_upload_that_nobody_will_resume_is_forgotten(proxied: DropboxStore, cloud: DropboxCloud) -> None:
    cloud.space_bytes = 10 * MEBIBYTE
    for _ in range(2):
        with pytest.raises(LocationFull, match="insufficient_space"):
            proxied.put("film.mp4", LARGE)
    assert len(cloud.sessions) == 2  # the second attempt did not go on with the first one's
    assert [*proxied.list()] == []


def test_a_server_that_sends_us_back_and_forth_is_given_up(proxied: DropboxStore, proxy: FaultProxy) -> None:
    error = {"error_summary": "x", "error": {".tag": "incorrect_offset", "correct_offset": 0}}
    answer = Reply("409 Conflict", JSON, json.dumps(error).encode())
    proxy.fault = Fault(match=b"/upload_session/append_v2", reply=answer, times=99)
    with pytest.raises(StoreUnavailable):
        proxied.put("film.mp4", LARGE)
    assert 1 < proxy.fault.hits < 10


# --- answers


def tagged(*tags: str) -> bytes:
    error: dict[str, Any] = {".tag": tags[-1]}
    for tag in reversed(tags[:-1]):
        inside = {"reason": error, "upload_session_id": "x"} if tag == "path" else {tag: error}
        error = {".tag": tag, **inside}
    return json.dumps({"error_summary": "/".join(tags), "error": error}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "retryable"),
    [
        ("409 Conflict", JSON, tagged("path", "insufficient_space"), LocationFull, False),
        ("409 Conflict", JSON, tagged("path", "too_many_write_operations"), Throttled, True),
        ("409 Conflict", JSON, tagged("path", "no_write_permission"), AccessDenied, False),
        ("409 Conflict", JSON, tagged("path", "disallowed_name"), InvalidName, False),
        ("409 Conflict", JSON, tagged("path", "malformed_path"), InvalidName, False),
        ("409 Conflict", JSON, tagged("path", "conflict", "folder"), InvalidName, False),
        ("409 Conflict", JSON, tagged("content_hash_mismatch"), ChecksumMismatch, True),
        ("409 Conflict", JSON, tagged("payload_too_large"), Rejected, False),
        ("409 Conflict", JSON, tagged("a_tag_of_next_year"), StoreUnavailable, True),
        ("401 Unauthorized", JSON, tagged("invalid_access_token"), CredentialExpired, False),
        ("401 Unauthorized", JSON, tagged("user_suspended"), AccessDenied, False),
        ("422 Unprocessable", JSON, tagged("no_permission"), AccessDenied, False),
        ("403 Forbidden", JSON, tagged("invalid_account_type", "feature"), AccessDenied, False),
        ("400 Bad Request", {}, b"Error in call to API function", Rejected, False),
        ("500 Internal Server Error", {}, b"", StoreUnavailable, True),
        ("503 Service Unavailable", {}, b"", StoreUnavailable, True),
        ("200 OK", {"Content-Type": "text/html"}, b"<html>", StoreUnavailable, True),
    ],
)
def test_an_answer_becomes_the_error_that_says_whether_to_try_again(
    proxied: DropboxStore,
    proxy: FaultProxy,
    status: str,
    headers: dict[str, str],
    body: bytes,
    expected: type[StoreError],
    retryable: bool,
) -> None:
    require_error_for(proxied, proxy, Reply(status, headers, body), expected, retryable)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Retry-After": "7"}, b"too many requests"),
        ({"Retry-After": "7", **JSON}, b'{"error": {"reason": {".tag": "too_many_write_operations"}}}'),
        ({"Retry-After": "Fri, 12 Jun 2026 12:00:07 GMT"}, b""),
    ],
    ids=["text", "JSON", "date"],
)
def test_a_pause_that_dropbox_asks_for_is_handed_on(
    open_store: Open, proxy: FaultProxy, clock: ManualClock, headers: dict[str, str], body: bytes
) -> None:
    store = DropboxStore(open_store(endpoint_url=proxy.url).options, clock=clock)
    proxy.fault = Fault(match=store.wire.head, reply=Reply("429 Too Many Requests", headers, body))
    with pytest.raises(Throttled) as caught:
        store.head("a.pdf")
    assert (caught.value.retry_after, proxy.fault.hits) == (7.0, 1)
    store.close()


# --- who we are


def test_an_access_token_that_expired_is_renewed_on_the_way(
    proxied: DropboxStore, proxy: FaultProxy, clock: ManualClock
) -> None:
    proxied.put("a.pdf", TIMELINE)
    clock.advance(timedelta(hours=5).total_seconds())
    assert proxied.get("a.pdf") == TIMELINE
    assert sum("/oauth2/token" in request for request in proxy.requests) == 2


def test_a_revoked_refresh_token_has_expired(open_store: Open, cloud: DropboxCloud) -> None:
    store = open_store()
    cloud.refresh_token = "another"
    with pytest.raises(CredentialExpired) as caught:
        store.put("a.pdf", TIMELINE)
    assert "Renew the token" in caught.value.advice


def test_a_wrong_app_secret_is_named(open_store: Open) -> None:
    with pytest.raises(AccessDenied, match="app secret"):
        open_store(app_secret="wrong").put("a.pdf", TIMELINE)


def test_a_token_made_with_pkce_needs_no_app_secret(open_store: Open, cloud: DropboxCloud) -> None:
    cloud.app_secret = ""
    assert open_store(app_secret="").put("a.pdf", TIMELINE).proof


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_missing_scope_is_named(open_store: Open, cloud: DropboxCloud, scope: str) -> None:
    store = open_store()
    store.put("a.pdf", TIMELINE)
    cloud.scopes = cloud.scopes - {scope}
    fresh = open_store()
    with pytest.raises(AccessDenied, match=scope) as caught:
        fresh.put("a.pdf", fresh.get("a.pdf"))
        fresh.share("a.pdf")
        fresh.unshare("a.pdf")
    assert "app console" in caught.value.advice


# --- where


def test_paths_begin_at_the_top_of_the_team_space(open_store: Open, cloud: DropboxCloud) -> None:
    open_store().put("Ana & Zoë/a.pdf", TIMELINE)
    assert "/weddings/documents/ana & zoë/a.pdf" in cloud.spaces[TEAM_SPACE]
    assert cloud.spaces[HOME] == {}


def test_another_namespace_can_be_named(open_store: Open, cloud: DropboxCloud) -> None:
    cloud.make_folder("/Documents", space=TEAM_FOLDER)
    open_store(root_namespace=TEAM_FOLDER, folder="Documents").put("a.pdf", TIMELINE)
    assert "/documents/a.pdf" in cloud.spaces[TEAM_FOLDER]


def test_a_namespace_that_we_may_not_see_is_refused(open_store: Open) -> None:
    with pytest.raises(AccessDenied):
        open_store(root_namespace="999").put("a.pdf", TIMELINE)


def test_a_missing_folder_is_not_made_silently(open_store: Open, cloud: DropboxCloud) -> None:
    store = open_store(folder="Weddings/Renamed")
    require_missing_location(store, "Weddings/Renamed")
    assert "/weddings/renamed" not in cloud.spaces[TEAM_SPACE]


def test_a_missing_folder_is_made_if_the_options_say_so(open_store: Open, cloud: DropboxCloud) -> None:
    open_store(folder="Weddings/New", create_folder=True).put("a.pdf", TIMELINE)
    assert "/weddings/new/a.pdf" in cloud.spaces[TEAM_SPACE]


def test_a_team_folder_that_the_member_may_not_make_is_refused(open_store: Open, cloud: DropboxCloud) -> None:
    cloud.read_only.add("/team")
    with pytest.raises(AccessDenied):
        open_store(folder="Team", create_folder=True).put("a.pdf", TIMELINE)


def test_names_differ_by_case_in_looks_only(open_store: Open) -> None:
    store = open_store()
    store.put("Ana/Timeline.pdf", TIMELINE)
    store.put("ana/TIMELINE.pdf", b"newer")
    assert store.get("Ana/Timeline.pdf") == b"newer"
    assert [info.name for info in store.list("ANA/")] == ["Ana/TIMELINE.pdf"]


def test_what_is_public_is_told(open_store: Open, cloud: DropboxCloud) -> None:
    store = open_store()
    assert store.facts().public is False
    cloud.links["https://www.dropbox.com/x"] = {
        "path": f"/{FOLDER.lower()}",
        "url": "https://www.dropbox.com/x",
        ".tag": "folder",
        "password": None,
    }
    assert store.facts().public is True
    cloud.scopes = frozenset()
    assert store.facts().public is None


# --- sharing


def test_a_plan_without_passwords_for_links_says_so(open_store: Open, cloud: DropboxCloud) -> None:
    store = open_store()
    store.put("a.pdf", TIMELINE)
    cloud.link_settings = False
    with pytest.raises(Unsupported) as caught:
        store.share("a.pdf", password="hush-hush")
    assert "plan" in caught.value.advice
    assert "hush-hush" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_clients_are_invited_to_read(open_store: Open, cloud: DropboxCloud) -> None:
    store = open_store()
    store.put("Ana & Zoë/a.pdf", TIMELINE)
    for email in ("ana@example.org", "zoe@example.org"):
        store.invite("Ana & Zoë", email)
    assert cloud.members == {"/weddings/documents/ana & zoë": ["ana@example.org viewer", "zoe@example.org viewer"]}


# --- options


@pytest.mark.parametrize(
    "changes",
    [{"folder": "/"}, {"endpoint_url": "api.example.org"}, {"part_bytes": 5 * MEBIBYTE}, {"single_put_bytes": 2**28}],
    ids=["folder", "address", "part", "single put"],
)
def test_options_that_cannot_work_are_refused(open_store: Open, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(changes))):
        open_store(**changes)


def test_the_scopes_to_tick_are_told() -> None:
    texts = " ".join(DropboxStore.policies({"folder": FOLDER}).values())
    assert FOLDER in texts
    assert all(scope in texts for scope in SCOPES)
