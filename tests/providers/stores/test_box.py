"""Box through its official SDK, against a fake that follows the documentation."""

from __future__ import annotations

import hashlib

import pytest

from providers.stores.base import Proof
from providers.stores.box import KEY, BoxStore
from providers.stores.errors import ChecksumMismatch, InvalidName, ObjectCorrupt, Rejected
from providers.stores.options import InvalidOptions
from providers.validation.faultproxy import FaultProxy
from tests.providers.stores.documents import TIMELINE, DocumentContract, require_missing_location, sha256
from tests.servers.box import BoxCloud
from tests.servers.box_fixtures import PART, Open, asked, entry_of


class TestPromises(DocumentContract):
    part = PART
    parts_of_large = 3  # of 8 MiB
    parts_after_lost_answer = 2  # the server tells that it has the first

    @pytest.fixture
    def cloud(self, box: BoxCloud) -> BoxCloud:
        return box

    @pytest.fixture
    def proxy(self, box_proxy: FaultProxy) -> FaultProxy:
        return box_proxy

    @pytest.fixture
    def open_store(self, open_box: Open) -> Open:
        return open_box

    @pytest.fixture
    def store(self, open_store: Open, long_run: bool) -> BoxStore:
        return open_store(list_page=500 if long_run else 3)


# --- what is proved


def test_an_upload_is_checked_by_its_sha1(box_proxied: BoxStore, box_proxy: FaultProxy) -> None:
    info = box_proxied.put("a.pdf", TIMELINE)
    assert (info.proof, info.sha256) == (Proof.SERVER_SHA1, sha256(TIMELINE))
    head = next(head for head in box_proxy.heads if b"POST /api/2.0/files/content" in head)
    assert f"content-md5: {hashlib.sha1(TIMELINE).hexdigest()}".encode() in head


def test_content_under_a_wrong_sha256_is_not_even_sent(box_proxied: BoxStore, box_proxy: FaultProxy) -> None:
    with pytest.raises(ChecksumMismatch):
        box_proxied.put("a.pdf", TIMELINE, sha256=sha256(b"what was meant"))
    assert box_proxy.requests == []


def test_a_document_is_verified_without_a_download(box_proxied: BoxStore, box_proxy: FaultProxy) -> None:
    box_proxied.put("a.pdf", TIMELINE)
    assert box_proxied.verify("a.pdf", sha256=sha256(TIMELINE)).proof is Proof.SERVER_SHA1
    with pytest.raises(ObjectCorrupt):
        box_proxied.verify("a.pdf", sha256=sha256(b"other"))
    assert asked(box_proxy, "/dl/") == 0


def test_a_new_version_is_bound_to_its_own_sha256(box_proxied: BoxStore, box_proxy: FaultProxy) -> None:
    box_proxied.put("a.pdf", TIMELINE)
    box_proxied.put("a.pdf", b"newer")
    assert box_proxied.verify("a.pdf", sha256=sha256(b"newer")).proof is Proof.SERVER_SHA1
    with pytest.raises(ObjectCorrupt):
        box_proxied.verify("a.pdf", sha256=sha256(TIMELINE))
    assert asked(box_proxy, "/dl/") == 0


def test_what_somebody_else_uploaded_over_ours_is_read_back(
    box_proxied: BoxStore, box_proxy: FaultProxy, box: BoxCloud, box_folder_id: str
) -> None:
    """Our line of metadata stays, but speaks of another SHA-1."""
    box_proxied.put("a.pdf", TIMELINE)
    entry_of(box, box_folder_id, "a.pdf").content = b"edited in the browser"
    with pytest.raises(ObjectCorrupt):
        box_proxied.verify("a.pdf", sha256=sha256(TIMELINE))
    assert asked(box_proxy, "/dl/") == 1


def test_where_metadata_is_refused_the_document_is_stored_and_read_back(
    open_box: Open, box: BoxCloud, box_folder_id: str
) -> None:
    box.metadata_allowed = False
    store = open_box()
    assert store.put("a.pdf", TIMELINE).proof is Proof.SERVER_SHA1
    assert entry_of(box, box_folder_id, "a.pdf").metadata is None
    assert store.verify("a.pdf", sha256=sha256(TIMELINE)).proof is Proof.READ_BACK


def test_our_metadata_holds_both_hashes(open_box: Open, box: BoxCloud, box_folder_id: str) -> None:
    open_box().put("a.pdf", TIMELINE)
    metadata = entry_of(box, box_folder_id, "a.pdf").metadata
    assert metadata == {KEY: f"{hashlib.sha1(TIMELINE).hexdigest()} {sha256(TIMELINE)}"}


# --- where


def test_a_folder_that_is_not_there_is_a_missing_location(open_box: Open) -> None:
    store = open_box(folder_id="424242")
    require_missing_location(store, "424242")


def test_a_folder_that_was_deleted_and_made_again_is_found_again(
    open_box: Open, box: BoxCloud, box_folder_id: str
) -> None:
    store = open_box()
    store.put("Ana & Zoë/2026/a.pdf", TIMELINE)
    old = entry_of(box, box_folder_id, "Ana & Zoë")
    entry_of(box, old.id, "2026").trashed = old.trashed = True
    store.put("Ana & Zoë/2026/b.pdf", TIMELINE)
    assert [info.name for info in store.list()] == ["Ana & Zoë/2026/b.pdf"]
    assert entry_of(box, box_folder_id, "Ana & Zoë").id != old.id


def test_a_folder_that_another_process_made_meanwhile_is_used(
    open_box: Open, box: BoxCloud, box_folder_id: str
) -> None:
    store = open_box()
    made = box.make_folder("Ana & Zoë", box_folder_id)
    store.put("ana & zoë/a.pdf", TIMELINE)
    assert entry_of(box, made, "a.pdf").content == TIMELINE


def test_a_deleted_document_waits_in_the_trash_and_frees_its_name(
    open_box: Open, box: BoxCloud, box_folder_id: str
) -> None:
    store = open_box()
    store.put("a.pdf", TIMELINE)
    old = entry_of(box, box_folder_id, "a.pdf")
    store.delete("a.pdf")
    store.put("a.pdf", b"newer")
    assert old.trashed
    assert old.content == TIMELINE
    assert store.get("a.pdf") == b"newer"


def test_pictures_in_names_are_refused_before_anything_is_asked(box_proxied: BoxStore, box_proxy: FaultProxy) -> None:
    with pytest.raises(InvalidName, match="Box takes no such letter"):
        box_proxied.put("party 🎉.pdf", TIMELINE)
    assert box_proxy.requests == []


def test_what_is_public_is_told(open_box: Open, box: BoxCloud, box_folder_id: str) -> None:
    store = open_box()
    assert store.facts().public is False
    box.entries[box_folder_id].link = {"url": "https://app.box.com/s/x", "effective_access": "open"}
    assert store.facts().public is True


# --- sharing


def test_a_password_that_box_refuses_is_not_repeated(open_box: Open) -> None:
    store = open_box()
    store.put("a.pdf", TIMELINE)
    with pytest.raises(Rejected, match="at least 8") as caught:
        store.share("a.pdf", password="hush-hu")
    assert "hush-hu" not in f"{caught.value!r}{caught.value.__cause__}"


def test_clients_are_invited_to_read_once(open_box: Open, box: BoxCloud, box_folder_id: str) -> None:
    store = open_box()
    store.put("Ana & Zoë/a.pdf", TIMELINE)
    for email in ("ana@example.org", "zoe@example.org", "ana@example.org"):
        store.invite("Ana & Zoë", email)
    assert entry_of(box, box_folder_id, "Ana & Zoë").people == ["ana@example.org viewer", "zoe@example.org viewer"]


# --- options


@pytest.mark.parametrize("changes", [{"endpoint_url": "api.example.org"}, {"single_put_bytes": 1}])
def test_options_that_cannot_work_are_refused(open_box: Open, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(changes))):
        open_box(**changes)


def test_the_rights_to_give_are_told() -> None:
    texts = " ".join(BoxStore.policies({"folder_id": "777"}).values())
    assert "777" in texts
    assert "Write all files" in texts
