"""Azure against Azurite: the promises of every store, what goes over the line, and what is answered."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from providers.stores.azure import AzureStore
from providers.stores.azure_options import MEBIBYTE
from providers.stores.base import Proof
from providers.stores.errors import (
    AccessDenied,
    Archived,
    ChecksumMismatch,
    ClockSkewed,
    CredentialExpired,
    LocationFull,
    LocationMissing,
    ObjectCorrupt,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.store_contract import StoreContract
from tests.servers.azure import PACK, PACK_SHA256, SMALL_BLOCKS, refusal
from tests.servers.azurite import Azurite
from tests.servers.tls import tls_front

pytestmark = pytest.mark.services


PATIENT = {**SMALL_BLOCKS, "read_seconds": 60.0}  # with 1,000 objects Azurite takes its time
BEYOND_AZURITE = {"more than 10,000 objects are all listed": "Azurite takes more than 5 minutes for so many"}


class TestAzureStore(StoreContract):
    beyond_the_server = BEYOND_AZURITE

    @pytest.fixture
    def store(self, open_azure: Callable[..., AzureStore]) -> AzureStore:
        return open_azure(**PATIENT)


class TestAzureStoreWithSasToken(StoreContract):
    beyond_the_server = BEYOND_AZURITE

    @pytest.fixture
    def store(self, azurite: Azurite, azure_container: str, open_azure: Callable[..., AzureStore]) -> AzureStore:
        token = azurite.sas_token(azure_container, "rcwdl")
        return open_azure(sas_token=token, account_key="", prefix="weddings/2026", **PATIENT)


class TestAzureStoreOverTls(StoreContract):
    beyond_the_server = BEYOND_AZURITE

    @pytest.fixture
    def store(self, azurite: Azurite, tmp_path: Path, open_azure: Callable[..., AzureStore]) -> Iterator[AzureStore]:
        with tls_front(azurite.port, tmp_path) as (azure_proxy, ca_file):
            yield open_azure(endpoint_url=azure_proxy.url, ca_file=ca_file, **PATIENT)


# --- what goes over the line


def test_an_upload_carries_both_hashes_and_the_server_checks_one(
    azure_proxied: AzureStore, azure_proxy: FaultProxy
) -> None:
    assert azure_proxied.put("pack", PACK, sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    (head,) = [head.decode("latin-1").lower() for head in azure_proxy.heads]
    md5 = base64.b64encode(hashlib.md5(PACK).digest()).decode().lower()
    assert f"\r\ncontent-md5: {md5}" in head
    assert f"\r\nx-ms-blob-content-md5: {md5}" in head
    assert f"\r\nx-ms-meta-sha256: {PACK_SHA256}" in head
    assert "x-ms-access-tier" not in head


def test_content_under_a_wrong_hash_is_not_even_sent(azure_proxied: AzureStore, azure_proxy: FaultProxy) -> None:
    """Azure does not know SHA-256, so it would keep the wrong promise for ever."""
    with pytest.raises(ChecksumMismatch):
        azure_proxied.put("pack", PACK, sha256="0" * 64)
    assert azure_proxy.requests == []


def test_what_another_program_stored_is_verified_by_reading_it(
    azurite: Azurite, azure_container: str, azure_proxied: AzureStore, azure_proxy: FaultProxy
) -> None:
    with azurite.service() as service:
        service.get_blob_client(azure_container, "pack").upload_blob(PACK)
    assert azure_proxied.verify("pack", sha256=PACK_SHA256).proof is Proof.READ_BACK
    with pytest.raises(ObjectCorrupt):
        azure_proxied.verify("pack", sha256="0" * 64)
    assert [request.split()[0] for request in azure_proxy.requests] == ["HEAD", "GET"] * 2


def test_a_download_that_breaks_off_is_not_asked_for_again(azure_proxied: AzureStore, azure_proxy: FaultProxy) -> None:
    """The SDK itself would ask three times, a second apart."""
    azure_proxied.put("pack", PACK)
    azure_proxy.fault = Fault(match=AzureStore.wire.get, reset_after_received=MEBIBYTE, times=99)
    with pytest.raises(StoreUnavailable):
        azure_proxied.get("pack")
    assert azure_proxy.fault.hits == 1
    assert len(azure_proxy.requests) == 2


def test_a_server_that_ignores_ranges_is_not_believed(azure_proxied: AzureStore, azure_proxy: FaultProxy) -> None:
    azure_proxy.fault = Fault(match=AzureStore.wire.get, reply=Reply("200 OK", {}, b"0123456789"))
    with pytest.raises(StoreUnavailable, match="makes no sense"):
        azure_proxied.get("pack", offset=2, length=3)
    assert azure_proxy.fault.hits == 1


# --- answers


@pytest.mark.parametrize(
    ("status", "code", "expected", "advice"),
    [
        ("503 Server Busy", "ServerBusy", Throttled, "slower"),
        ("500 Operation Timed Out", "OperationTimedOut", StoreUnavailable, "other locations"),
        ("403 Forbidden", "AccountIsDisabled", LocationMissing, "subscription"),
        ("409 Conflict", "ContainerBeingDeleted", LocationMissing, "portal"),
        ("404 Not Found", "ContainerNotFound", LocationMissing, "renamed or removed"),
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
    azure_proxied: AzureStore, azure_proxy: FaultProxy, status: str, code: str, expected: type[StoreError], advice: str
) -> None:
    azure_proxy.fault = Fault(match=b"PUT /", reply=refusal(status, code), times=99)
    with pytest.raises(StoreError) as caught:
        azure_proxied.put("pack", PACK)
    assert type(caught.value) is expected
    assert code in str(caught.value)
    assert "RequestId" not in str(caught.value)
    assert advice in caught.value.advice
    assert azure_proxy.fault.hits == 1


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("Request date header too old: 'Fri, 12 Jun 2026 12:00:00 GMT'", ClockSkewed),
        ("Signature not valid in the specified time frame: Start [x] - Expiry [y] - Current [z]", CredentialExpired),
        ("The MAC signature found in the HTTP request 'c2VjcmV0' is not the same", AccessDenied),
    ],
)
def test_times_that_do_not_fit_are_told_from_a_wrong_key(
    azure_proxied: AzureStore, azure_proxy: FaultProxy, detail: str, expected: type[StoreError]
) -> None:
    more = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>"
    azure_proxy.fault = Fault(reply=refusal("403 Forbidden", "AuthenticationFailed", more))
    with pytest.raises(StoreError) as caught:
        azure_proxied.get("pack")
    assert type(caught.value) is expected
    assert "c2VjcmV0" not in str(caught.value)
    assert azure_proxy.fault.hits == 1
