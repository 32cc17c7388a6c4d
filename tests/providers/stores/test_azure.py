"""Azure against Azurite over lines that fail on order; what Azurite does not have is answered as documented."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import pytest

from providers.stores.azure import AzureStore
from providers.stores.azure_options import MEBIBYTE, AzureOptions, Tier
from providers.stores.azure_rights import read_sas_token
from providers.stores.base import (
    AccessDenied,
    Archived,
    ChecksumMismatch,
    ClockSkewed,
    CredentialExpired,
    LocationFull,
    LocationMissing,
    NoAnswer,
    ObjectCorrupt,
    ObjectNotFound,
    ObjectStore,
    Proof,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
    Unsupported,
)
from providers.stores.options import InvalidOptions
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.metered import Measurement
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from tests.providers.store_contract import StoreContract
from tests.servers.azurite import Azurite, running_azurite
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock

pytestmark = pytest.mark.services

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def container(azurite: Azurite) -> str:
    return azurite.make_container()


@pytest.fixture
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    """A fault proxy in front of Azurite, without TLS."""
    with FaultProxy(("127.0.0.1", azurite.port)) as proxy:
        yield proxy


@pytest.fixture
def open_azure(azurite: Azurite, container: str) -> Iterator[Callable[..., AzureStore]]:
    """Open stores on a fresh container; options are given by name."""
    opened: list[AzureStore] = []
    options = AzureOptions(
        account=azurite.account, account_key=azurite.account_key, container=container, endpoint_url=azurite.url
    )

    def open_store(**changes: Any) -> AzureStore:
        opened.append(AzureStore(dataclasses.replace(options, **changes)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def proxied(open_azure: Callable[..., AzureStore], proxy: FaultProxy) -> AzureStore:
    """A store whose line goes through the fault proxy; silence is noticed after 0.3 s."""
    return open_azure(endpoint_url=proxy.url, read_seconds=0.3, connect_seconds=0.3)


SMALL_BLOCKS = {"single_put_bytes": 4 * MEBIBYTE, "part_bytes": MEBIBYTE}


class TestAzureStore(StoreContract):
    @pytest.fixture
    def store(self, open_azure: Callable[..., AzureStore]) -> AzureStore:
        return open_azure(**SMALL_BLOCKS)


class TestAzureStoreWithSasToken(StoreContract):
    @pytest.fixture
    def store(self, azurite: Azurite, container: str, open_azure: Callable[..., AzureStore]) -> AzureStore:
        token = azurite.sas_token(container, "rcwdl")
        return open_azure(sas_token=token, account_key="", prefix="weddings/2026", list_page=3, **SMALL_BLOCKS)


class TestAzureStoreOverTls(StoreContract):
    @pytest.fixture
    def store(self, azurite: Azurite, tmp_path: Path, open_azure: Callable[..., AzureStore]) -> Iterator[AzureStore]:
        with azurite.behind_tls(tmp_path) as (proxy, ca_file):
            yield open_azure(endpoint_url=proxy.url, ca_file=ca_file, **SMALL_BLOCKS)


# --- what goes over the line


def test_an_upload_carries_both_hashes_and_the_server_checks_one(proxied: AzureStore, proxy: FaultProxy) -> None:
    assert proxied.put("pack", PACK, sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    (head,) = [head.decode("latin-1").lower() for head in proxy.heads]
    md5 = base64.b64encode(hashlib.md5(PACK).digest()).decode().lower()
    assert f"\r\ncontent-md5: {md5}" in head
    assert f"\r\nx-ms-blob-content-md5: {md5}" in head
    assert f"\r\nx-ms-meta-sha256: {PACK_SHA256}" in head
    assert "x-ms-access-tier" not in head


def test_content_under_a_wrong_hash_is_not_even_sent(proxied: AzureStore, proxy: FaultProxy) -> None:
    """Azure does not know SHA-256, so it would keep the wrong promise for ever."""
    with pytest.raises(ChecksumMismatch):
        proxied.put("pack", PACK, sha256="0" * 64)
    assert proxy.requests == []


def test_what_another_program_stored_is_verified_by_reading_it(
    azurite: Azurite, container: str, proxied: AzureStore, proxy: FaultProxy
) -> None:
    with azurite.service() as service:
        service.get_blob_client(container, "pack").upload_blob(PACK)
    assert proxied.verify("pack", sha256=PACK_SHA256).proof is Proof.READ_BACK
    with pytest.raises(ObjectCorrupt):
        proxied.verify("pack", sha256="0" * 64)
    assert [request.split()[0] for request in proxy.requests] == ["HEAD", "GET"] * 2


def test_a_download_that_breaks_off_is_not_asked_for_again(proxied: AzureStore, proxy: FaultProxy) -> None:
    """The SDK itself would ask three times, a second apart."""
    proxied.put("pack", PACK)
    proxy.fault = Fault(match=AzureStore.wire.get, reset_after_received=MEBIBYTE, times=99)
    with pytest.raises(StoreUnavailable):
        proxied.get("pack")
    assert proxy.fault.hits == 1
    assert len(proxy.requests) == 2


def test_a_server_that_ignores_ranges_is_not_believed(proxied: AzureStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=AzureStore.wire.get, reply=Reply("200 OK", {}, b"0123456789"))
    with pytest.raises(StoreUnavailable, match="makes no sense"):
        proxied.get("pack", offset=2, length=3)
    assert proxy.fault.hits == 1


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("", "https://wedding.blob.core.windows.net"),
        ("https://wedding.blob.core.usgovcloudapi.net/", "https://wedding.blob.core.usgovcloudapi.net"),
        ("http://127.0.0.1:10000", "http://127.0.0.1:10000/wedding"),
        ("http://localhost:10000", "http://localhost:10000/wedding"),
    ],
)
def test_the_account_is_in_the_host_name_except_for_emulators(endpoint: str, url: str) -> None:
    options = AzureOptions(account="wedding", container="backup", account_key="k", endpoint_url=endpoint)
    assert options.account_url == url


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"account": "https://wedding.blob.core.windows.net"}, "account"),
        ({"container": "Backup/2026"}, "container"),
        ({"account_key": ""}, "sas_token or account_key"),
        ({"endpoint_url": "wedding.blob.core.windows.net"}, "endpoint_url"),
        ({"endpoint_url": "https://wedding.blob.core.windows.net/backup"}, "endpoint_url"),
        ({"part_bytes": 1000}, "part_bytes"),
        ({"single_put_bytes": 6000 * MEBIBYTE}, "single_put_bytes"),
        ({"list_page": 9000}, "list_page"),
    ],
)
def test_options_that_cannot_work_are_refused(
    open_azure: Callable[..., AzureStore], changes: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidOptions, match=named):
        open_azure(**changes)


# --- answers


def refusal(status: str, code: str, detail: str = "", **headers: str) -> Reply:
    """An answer as Azure gives it: the code in a header and in the body."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.\nRequestId:1</Message>{detail}</Error>"
    return Reply(status, {"x-ms-error-code": code, "Content-Type": "application/xml", **headers}, body.encode())


@pytest.mark.parametrize(
    ("status", "code", "expected", "advice"),
    [
        ("503 Server Busy", "ServerBusy", Throttled, "slower"),
        ("500 Operation Timed Out", "OperationTimedOut", StoreUnavailable, "other locations"),
        ("403 Forbidden", "AccountIsDisabled", LocationMissing, "subscription"),
        ("409 Conflict", "ContainerBeingDeleted", LocationMissing, "portal"),
        ("404 Not Found", "ContainerNotFound", LocationMissing, "Create"),
        ("403 Forbidden", "AuthorizationFailure", AccessDenied, "firewall"),
        ("403 Forbidden", "AuthorizationPermissionMismatch", AccessDenied, "lacks a right"),
        ("403 Forbidden", "KeyBasedAuthenticationNotPermitted", AccessDenied, "SAS token"),
        ("409 Conflict", "BlobImmutableDueToPolicy", AccessDenied, "retention"),
        ("400 Bad Request", "Md5Mismatch", ChecksumMismatch, "line"),
        ("400 Bad Request", "InvalidBlockList", StoreUnavailable, "other locations"),
        ("409 Conflict", "BlobArchived", Archived, "brought back"),
        ("412 Precondition Failed", "LeaseIdMissing", Rejected, "lease"),
        ("413 Too Large", "RequestBodyTooLarge", Rejected, "settings"),
        ("507 Insufficient Storage", "Full", LocationFull, "space"),
    ],
)
def test_azures_own_codes_become_errors_that_say_what_to_do(
    proxied: AzureStore, proxy: FaultProxy, status: str, code: str, expected: type[StoreError], advice: str
) -> None:
    proxy.fault = Fault(match=b"PUT /", reply=refusal(status, code), times=99)
    with pytest.raises(StoreError) as caught:
        proxied.put("pack", PACK)
    assert type(caught.value) is expected
    assert code in str(caught.value)
    assert "RequestId" not in str(caught.value)
    assert advice in caught.value.advice
    assert proxy.fault.hits == 1


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("Request date header too old: 'Fri, 12 Jun 2026 12:00:00 GMT'", ClockSkewed),
        ("Signature not valid in the specified time frame: Start [x] - Expiry [y] - Current [z]", CredentialExpired),
        ("The MAC signature found in the HTTP request 'c2VjcmV0' is not the same", AccessDenied),
    ],
)
def test_times_that_do_not_fit_are_told_from_a_wrong_key(
    proxied: AzureStore, proxy: FaultProxy, detail: str, expected: type[StoreError]
) -> None:
    more = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>"
    proxy.fault = Fault(reply=refusal("403 Forbidden", "AuthenticationFailed", more))
    with pytest.raises(StoreError) as caught:
        proxied.get("pack")
    assert type(caught.value) is expected
    assert "c2VjcmV0" not in str(caught.value)
    assert proxy.fault.hits == 1


# --- credentials


def test_a_writers_token_stores_and_reads_but_deletes_nothing(
    azurite: Azurite, container: str, open_azure: Callable[..., AzureStore]
) -> None:
    store = open_azure(sas_token="?" + azurite.sas_token(container, "rcwl"), account_key="", **SMALL_BLOCKS)
    store.put("large", LARGE)
    assert store.get("large") == LARGE
    assert [info.name for info in store.list()] == ["large"]
    with pytest.raises(AccessDenied) as caught:
        store.delete("large")
    assert "least rights" in caught.value.advice
    assert store.facts().excess_rights == ()


def test_a_token_that_may_only_write_sends_large_objects_too(
    azurite: Azurite, container: str, open_azure: Callable[..., AzureStore]
) -> None:
    """It may not look for blocks to go on with."""
    store = open_azure(sas_token=azurite.sas_token(container, "cw"), account_key="", **SMALL_BLOCKS)
    assert store.put("large", LARGE).proof is Proof.SERVER_MD5
    assert open_azure().get("large") == LARGE


def test_a_token_that_has_ended_is_not_even_sent(
    azurite: Azurite, container: str, open_azure: Callable[..., AzureStore], proxy: FaultProxy
) -> None:
    token = azurite.sas_token(container, "rcwl", hours=-1)
    store = open_azure(sas_token=token, account_key="", endpoint_url=proxy.url)
    with pytest.raises(CredentialExpired, match="ended on"):
        store.put("pack", PACK)
    assert proxy.requests == []


def test_the_server_refuses_a_token_that_ended_by_its_own_clock(
    azurite: Azurite, container: str, open_azure: Callable[..., AzureStore]
) -> None:
    token = azurite.sas_token(container, "rcwl", hours=-1)
    slow_clock = ManualClock(SYSTEM_CLOCK.utcnow() - timedelta(hours=2))
    store = AzureStore(open_azure(sas_token=token, account_key="").options, clock=slow_clock)
    with pytest.raises(AccessDenied):
        store.put("pack", PACK)
    store.close()


def test_no_link_of_an_error_holds_the_signature(
    azurite: Azurite, container: str, open_azure: Callable[..., AzureStore], proxy: FaultProxy
) -> None:
    """Each URL holds the whole token, and the layers below quote the URL."""
    store = open_azure(sas_token=azurite.sas_token(container, "rcwl"), account_key="", endpoint_url=proxy.url)
    proxy.down()
    with pytest.raises(StoreUnavailable) as caught:
        store.head("pack")
    told = "".join(traceback.format_exception(caught.value))
    assert "sig=..." in told
    assert parse_qs(store.options.sas_token)["sig"][0] not in unquote(told)


@pytest.mark.parametrize(
    ("token", "excess"),
    [
        ("sp=rcwl&sr=c&sig=x", []),
        ("sp=rcwdl&sr=c&sig=x", ["delete objects"]),
        ("https://a.blob.core.windows.net/c?sp=rcwlxp&sr=c&sig=x", ["delete versions", "change access rights"]),
        ("ss=b&srt=sco&sp=rwl&sig=x", ["all containers"]),
    ],
)
def test_rights_that_no_backup_needs_are_named(token: str, excess: list[str]) -> None:
    found = read_sas_token(token).excess_rights
    assert len(found) == len(excess)
    assert all(words in right for words, right in zip(excess, found, strict=True))
    assert "sig" not in repr(read_sas_token(token))


@pytest.mark.parametrize("ends", ["2026-06-12", "2026-06-12T00:00Z", "2026-06-12T00%3A00%3A00Z"])
def test_the_end_of_a_token_is_read_in_each_spelling(ends: str) -> None:
    assert read_sas_token(f"se={ends}&sig=x").expires == datetime(2026, 6, 12, tzinfo=UTC)


def test_the_least_rights_name_the_place() -> None:
    texts = AzureStore.policies({"account": "wedding", "container": "backup"})
    writer, pruner = (next(text for name, text in texts.items() if name.startswith(who)) for who in WHO)
    assert "--account-name wedding --name backup" in writer
    assert "--permissions rcwl " in writer
    assert "--permissions rcwdl " in pruner
    roles = {name: json.loads(text)["DataActions"] for name, text in texts.items() if "role" in name}
    assert [any(action.endswith("/delete") for action in actions) for actions in roles.values()] == [False, True]


WHO = ("writer", "pruner")


# --- in blocks

LARGE = os.urandom(5 * MEBIBYTE + 500_000)


@pytest.fixture
def in_blocks(open_azure: Callable[..., AzureStore], proxy: FaultProxy) -> AzureStore:
    return open_azure(endpoint_url=proxy.url, **SMALL_BLOCKS)


def blocks_sent(proxy: FaultProxy) -> list[int]:
    """The positions of the blocks that were sent, in order of position."""
    heads = [unquote(request.split("blockid=")[1].split()[0]) for request in proxy.requests if "comp=block&" in request]
    return sorted(int(base64.b64decode(block_id.split("&")[0]).decode()[:5]) for block_id in heads)


def block(number: int, content: bytes = LARGE) -> bytes:
    """What the request for this block is recognised by."""
    piece = content[number * MEBIBYTE : (number + 1) * MEBIBYTE]
    return quote(base64.b64encode(f"{number:05d}-{hashlib.sha256(piece).hexdigest()[:40]}".encode()), safe="").encode()


def test_a_broken_upload_goes_on_where_it_stopped(
    in_blocks: AzureStore, open_azure: Callable[..., AzureStore], proxy: FaultProxy
) -> None:
    proxy.fault = Fault(match=block(5), reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_blocks.put("large", LARGE)
    assert proxy.fault.hits == 1
    assert [*in_blocks.list()] == []
    restarted = open_azure(endpoint_url=proxy.url, **SMALL_BLOCKS)
    assert restarted.put("large", LARGE).proof is Proof.SERVER_MD5
    assert blocks_sent(proxy) == [0, 1, 2, 3, 4, 5, 5]
    assert restarted.get("large") == LARGE
    assert restarted.verify("large", sha256=hashlib.sha256(LARGE).hexdigest()).proof is Proof.SERVER_MD5


def test_kept_blocks_of_other_content_are_sent_again(in_blocks: AzureStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=block(5), reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_blocks.put("large", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert proxy.fault.hits == 1
    in_blocks.put("large", LARGE)
    assert blocks_sent(proxy) == [0, 0, 1, 2, 3, 4, 5, 5]
    assert in_blocks.get("large") == LARGE


def test_a_block_that_arrives_damaged_is_refused(
    azurite: Azurite, open_azure: Callable[..., AzureStore], tmp_path: Path
) -> None:
    with azurite.behind_tls(tmp_path) as (proxy, ca_file):
        store = open_azure(endpoint_url=proxy.url, ca_file=ca_file, **SMALL_BLOCKS)
        proxy.fault = Fault(match=block(2), flip_sent=1000)
        with pytest.raises(ChecksumMismatch):
            store.put("large", LARGE)
        assert proxy.fault.hits == 1
        with pytest.raises(ObjectNotFound):
            store.head("large")


def test_a_lost_answer_to_the_commit_is_settled_by_asking(in_blocks: AzureStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"comp=blocklist HTTP", lose_answer=True)
    assert in_blocks.put("large", LARGE).proof is Proof.SERVER_MD5
    assert proxy.fault.hits == 1
    assert [request.split()[0] for request in proxy.requests[-2:]] == ["PUT", "HEAD"]


def test_two_may_send_the_same_large_object_at_once(open_azure: Callable[..., AzureStore]) -> None:
    """The first to commit takes the blocks of both."""
    stores = [open_azure(**SMALL_BLOCKS) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        proofs = [info.proof for info in pool.map(lambda store: store.put("large", LARGE), stores)]
    assert proofs == [Proof.SERVER_MD5] * 2
    assert stores[0].get("large") == LARGE


def test_an_upload_that_is_refused_at_its_first_block_leaves_none(in_blocks: AzureStore, proxy: FaultProxy) -> None:
    proxy.fault = Fault(match=b"comp=block&", reply=refusal("403 Forbidden", "AuthorizationFailure"), times=99)
    with pytest.raises(AccessDenied):
        in_blocks.put("large", LARGE)
    assert proxy.fault.hits == 1
    assert in_blocks.remove_unfinished(before=SYSTEM_CLOCK.utcnow() + timedelta(hours=1)) == 0


def test_unfinished_uploads_are_removed_by_age_and_objects_stay(
    in_blocks: AzureStore, open_azure: Callable[..., AzureStore], proxy: FaultProxy
) -> None:
    """Even an empty object, over which a new upload has begun."""
    in_blocks.put("replaced", b"")
    proxy.fault = Fault(match=block(5), reset_after_sent=1000, times=2)
    for name in ("replaced", "never-finished"):
        with pytest.raises(StoreUnavailable):
            in_blocks.put(name, LARGE)
    assert proxy.fault.hits == 2
    now = SYSTEM_CLOCK.utcnow()
    assert in_blocks.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert in_blocks.remove_unfinished(before=now + timedelta(hours=1)) == 1
    assert in_blocks.remove_unfinished(before=now + timedelta(hours=1)) == 0
    assert [(info.name, info.size_bytes) for info in in_blocks.list()] == [("replaced", 0)]


def test_a_blob_that_was_finished_in_the_meantime_is_not_removed(
    in_blocks: AzureStore, open_azure: Callable[..., AzureStore], proxy: FaultProxy
) -> None:
    """Between looking and deleting: then it has changed since, and Azure refuses."""
    proxy.fault = Fault(match=block(5), reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_blocks.put("large", LARGE)
    assert proxy.fault.hits == 1
    proxy.fault = Fault(match=b"DELETE /", reply=refusal("412 Precondition Failed", "ConditionNotMet"))
    assert in_blocks.remove_unfinished(before=SYSTEM_CLOCK.utcnow() + timedelta(hours=1)) == 0
    assert proxy.fault.hits == 1
    assert b"if-unmodified-since: " in proxy.heads[-1].lower()


# --- tiers and protection


def test_only_packs_go_to_the_chosen_tier(open_azure: Callable[..., AzureStore]) -> None:
    store = open_azure(tier=Tier.COOL, **SMALL_BLOCKS)
    for name in ("vault/data/ab/pack", "vault/index/ab", "vault/config"):
        store.put(name, b"content")
    store.put("vault/data/ab/large", LARGE)
    found = {info.name: info.storage_class for info in store.list()}
    assert found.pop("vault/data/ab/large") == "Cool"
    assert found == {"vault/data/ab/pack": "Cool", "vault/index/ab": "Hot", "vault/config": "Hot"}
    assert store.capabilities.online
    assert not open_azure(tier=Tier.ARCHIVE).capabilities.online


def test_an_archived_object_is_said_to_be_archived_and_brought_back(open_azure: Callable[..., AzureStore]) -> None:
    """Azurite brings it back at once; the real service takes hours."""
    store = open_azure()
    store.put("pack", PACK)
    store.change_class("pack", "Archive")
    assert store.head("pack").storage_class == "Archive"
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    with pytest.raises(Archived) as caught:
        store.get("pack")
    assert not caught.value.retryable
    assert not store.thaw("pack")
    assert store.thaw("pack")
    assert store.get("pack") == PACK
    with pytest.raises(Unsupported, match="Glacier"):
        store.change_class("pack", "Glacier")


def properties(**headers: str) -> Reply:
    """A blob's properties as Azure answers them."""
    return Reply("200 OK", {"Last-Modified": "Fri, 12 Jun 2026 12:00:00 GMT", "x-ms-blob-type": "BlockBlob", **headers})


def test_what_is_on_its_way_back_is_not_ordered_again(proxied: AzureStore, proxy: FaultProxy) -> None:
    under_way = properties(**{"x-ms-access-tier": "Archive", "x-ms-archive-status": "rehydrate-pending-to-hot"})
    proxy.fault = Fault(match=b"HEAD /", reply=under_way)
    assert not proxied.thaw("pack")
    assert proxy.fault.hits == 1
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ({}, True),
        ({"x-ms-immutability-policy-until-date": "Wed, 10 Jun 2026 12:00:00 GMT"}, True),
        ({"x-ms-immutability-policy-until-date": "Sat, 12 Jun 2027 12:00:00 GMT"}, False),
    ],
)
def test_a_protection_is_asked_for_as_documented_and_only_grows(
    open_azure: Callable[..., AzureStore], proxy: FaultProxy, held: dict[str, str], asked: bool
) -> None:
    """Azurite has no immutability: what is shown is the request, and that it refuses what it does not know."""
    store = open_azure(endpoint_url=proxy.url, object_lock=True)
    store.put("pack", PACK)
    proxy.fault = Fault(
        match=b"HEAD /", reply=properties(**held, **({"x-ms-immutability-policy-mode": "locked"} if held else {}))
    )
    until = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
    if asked:
        with pytest.raises(StoreError):
            store.protect("pack", until=until)
        request = proxy.heads[-1].decode("latin-1")
        assert request.startswith("PUT ")
        assert "comp=immutabilityPolicies" in request
        assert "x-ms-immutability-policy-until-date: Thu, 24 Dec 2026 18:00:00 GMT" in request
        assert "x-ms-immutability-policy-mode: Locked" in request
    else:
        store.protect("pack", until=until)
        assert proxy.requests[-1].startswith("HEAD ")
    assert proxy.fault.hits == 1


def test_without_the_option_no_protection_is_promised(open_azure: Callable[..., AzureStore]) -> None:
    with pytest.raises(Unsupported):
        open_azure().protect("pack", until=SYSTEM_CLOCK.utcnow())


# --- the place


def test_a_public_container_and_an_almighty_key_are_named(
    azurite: Azurite, open_azure: Callable[..., AzureStore]
) -> None:
    facts = open_azure(container=azurite.make_container(public=True)).facts()
    assert facts.public
    assert "whole storage account" in facts.excess_rights[0]
    assert open_azure().facts().public is False


def test_what_the_account_keeps_is_found_out(azurite: Azurite, proxied: AzureStore, proxy: FaultProxy) -> None:
    assert proxied.facts().versioned is None  # Azurite has none, and the setting itself cannot be read
    body = b"<StorageServiceProperties><DeleteRetentionPolicy><Enabled>true</Enabled><Days>14</Days>"
    body += b"</DeleteRetentionPolicy></StorageServiceProperties>"
    proxy.fault = Fault(match=b"comp=properties", reply=Reply("200 OK", {"Content-Type": "application/xml"}, body))
    assert proxied.facts().versioned
    assert proxy.fault.hits == 1
    locked = {"x-ms-immutable-storage-with-versioning-enabled": "true", "x-ms-has-legal-hold": "false"}
    proxy.fault = Fault(match=b"restype=container HTTP", reply=properties(**locked))
    assert proxied.facts().locked
    assert proxy.fault.hits == 1


# --- dead providers, crawling lines, processes

CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "put": lambda store: store.put("a/pack", PACK),
    "put in blocks": lambda store: store.put("a/large", LARGE),
    "get": lambda store: store.get("a/pack"),
    "head": lambda store: store.head("a/pack"),
    "list": lambda store: [*store.list()],
    "delete": lambda store: store.delete("a/pack"),
    "verify": lambda store: store.verify("a/pack", sha256=PACK_SHA256),
    "facts": lambda store: store.facts(),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Callable[[ObjectStore], object]:
    return CALLS[request.param]


@pytest.fixture
def dying(open_azure: Callable[..., AzureStore], proxy: FaultProxy) -> AzureStore:
    return open_azure(endpoint_url=proxy.url, read_seconds=0.3, connect_seconds=0.3, **SMALL_BLOCKS)


def test_a_server_that_never_answers_is_asked_once(
    dying: AzureStore, proxy: FaultProxy, call: Callable[[ObjectStore], object]
) -> None:
    proxy.fault = Fault(black_hole=True, times=99)
    with pytest.raises(NoAnswer):
        call(wrap_store(dying))
    assert proxy.fault.hits == 1


def test_blocks_into_silence_end_with_the_first_time_limit(dying: AzureStore, proxy: FaultProxy) -> None:
    """Those that are under way wait side by side, and no other begins."""
    proxy.fault = Fault(match=b"comp=block&", black_hole=True, times=99)
    with pytest.raises(NoAnswer):
        wrap_store(dying).put("a/large", LARGE)
    assert proxy.fault.hits == 1


def test_a_server_that_is_down_for_maintenance_is_asked_twice(
    dying: AzureStore, proxy: FaultProxy, call: Callable[[ObjectStore], object]
) -> None:
    proxy.fault = Fault(reply=Reply("503 Service Unavailable"), times=99)
    with pytest.raises(StoreUnavailable):
        call(wrap_store(dying, retry=RetryPolicy(base_seconds=0.01)))
    assert proxy.fault.hits == 2


def test_a_refused_connection_is_unavailable_everywhere(
    dying: AzureStore, proxy: FaultProxy, call: Callable[[ObjectStore], object]
) -> None:
    proxy.down()
    tried: list[Measurement] = []
    with pytest.raises(StoreUnavailable, match="refused"):
        call(wrap_store(dying, retry=RetryPolicy(base_seconds=0.01), on_call=tried.append))
    assert len(tried) == 2
    proxy.up()
    dying.put("a/pack", PACK)


def test_a_missing_container_is_a_missing_location_everywhere(
    open_azure: Callable[..., AzureStore], call: Callable[[ObjectStore], object]
) -> None:
    with pytest.raises(LocationMissing, match="nobody-made-this"):
        call(open_azure(container="nobody-made-this", **SMALL_BLOCKS))


def test_the_default_time_limits_notice_silence_within_12_seconds() -> None:
    options = AzureOptions(account="wedding", container="backup", account_key="k")
    assert options.connect_seconds + options.read_seconds <= 12


class RacingClock(ManualClock):
    """A hundred seconds pass whenever somebody looks."""

    def monotonic(self) -> float:
        self.advance(100)
        return super().monotonic()


@pytest.mark.parametrize("way", ["up", "up in blocks", "down"])
def test_a_transfer_that_crawls_is_given_up(open_azure: Callable[..., AzureStore], way: str) -> None:
    """Each piece is in time, but all of them together are not."""
    open_azure().put("pack", PACK)
    crawling = AzureStore(open_azure(**SMALL_BLOCKS).options, clock=RacingClock())
    with pytest.raises(NoAnswer):
        crawling.get("pack") if way == "down" else crawling.put("other", PACK if way == "up" else LARGE)
    crawling.close()


def test_a_connection_serves_one_call_after_the_other(open_azure: Callable[..., AzureStore], azurite: Azurite) -> None:
    with CountingProxy(("127.0.0.1", azurite.port)) as proxy:
        store = open_azure(endpoint_url=proxy.url)
        store.put("pack", PACK)
        for offset in range(10):
            assert store.get("pack", offset=offset, length=1000) == PACK[offset : offset + 1000]
        assert (len(proxy.requests), proxy.connections) == (11, 1)


class CountingProxy(FaultProxy):
    """Counts how often somebody connected."""

    connections = 0

    def _serve(self, raw: socket.socket) -> None:
        self.connections += 1
        super()._serve(raw)


def test_a_process_that_inherits_a_client_makes_its_own(
    open_azure: Callable[..., AzureStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_azure()
    inherited = store._service()
    assert store._service() is inherited
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert store._service() is not inherited
