"""Who we are at Azure, and where: account keys, SAS tokens, their rights and their end."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote

import pytest

from providers.stores.azure import AzureStore
from providers.stores.azure_options import MEBIBYTE, AzureOptions
from providers.stores.azure_rights import read_sas_token
from providers.stores.base import Proof
from providers.stores.errors import AccessDenied, CredentialExpired, StoreUnavailable
from providers.stores.options import InvalidOptions
from providers.validation import CLEAN_UP, State, validate_store
from providers.validation.faultproxy import FaultProxy
from tests.servers.azure import LARGE, PACK, SMALL_BLOCKS
from tests.servers.azurite import Azurite
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock

pytestmark = pytest.mark.services


def test_a_writers_token_stores_and_reads_but_deletes_nothing(
    azurite: Azurite, azure_container: str, open_azure: Callable[..., AzureStore]
) -> None:
    store = open_azure(sas_token="?" + azurite.sas_token(azure_container, "rcwl"), account_key="", **SMALL_BLOCKS)
    store.put("large", LARGE)
    assert store.get("large") == LARGE
    assert [info.name for info in store.list()] == ["large"]
    with pytest.raises(AccessDenied) as caught:
        store.delete("large")
    assert "least rights" in caught.value.advice
    assert store.facts().excess_rights == ()


def test_a_token_that_may_only_write_sends_large_objects_too(
    azurite: Azurite, azure_container: str, open_azure: Callable[..., AzureStore]
) -> None:
    """It may not look for blocks to go on with."""
    store = open_azure(sas_token=azurite.sas_token(azure_container, "cw"), account_key="", **SMALL_BLOCKS)
    assert store.put("large", LARGE).proof is Proof.SERVER_MD5
    assert open_azure().get("large") == LARGE


def test_a_token_that_has_ended_is_not_even_sent(
    azurite: Azurite, azure_container: str, open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy
) -> None:
    token = azurite.sas_token(azure_container, "rcwl", hours=-1)
    store = open_azure(sas_token=token, account_key="", endpoint_url=azure_proxy.url)
    with pytest.raises(CredentialExpired, match="ended on"):
        store.put("pack", PACK)
    assert azure_proxy.requests == []


def test_the_server_refuses_a_token_that_ended_by_its_own_clock(
    azurite: Azurite, azure_container: str, open_azure: Callable[..., AzureStore]
) -> None:
    token = azurite.sas_token(azure_container, "rcwl", hours=-1)
    slow_clock = ManualClock(SYSTEM_CLOCK.utcnow() - timedelta(hours=2))
    store = AzureStore(open_azure(sas_token=token, account_key="").options, clock=slow_clock)
    with pytest.raises(AccessDenied):
        store.put("pack", PACK)
    store.close()


def test_no_link_of_an_error_holds_the_signature(
    azurite: Azurite, azure_container: str, open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy
) -> None:
    """Each URL holds the whole token, and the layers below quote the URL."""
    store = open_azure(
        sas_token=azurite.sas_token(azure_container, "rcwl"), account_key="", endpoint_url=azure_proxy.url
    )
    azure_proxy.down()
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
    writer, pruner = texts["writer"], texts["pruner"]
    assert "--account-name wedding --name backup" in writer
    assert "--permissions rcwl " in writer
    assert "--permissions rcwdl " in pruner
    roles = {name: json.loads(text)["DataActions"] for name, text in texts.items() if name.startswith("role")}
    assert [any(action.endswith("/delete") for action in actions) for actions in roles.values()] == [False, True]


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


def test_the_writers_token_of_our_own_guide_can_be_validated(
    azurite: Azurite, azure_container: str, open_azure: Callable[..., AzureStore]
) -> None:
    """18 of 96 promises called it broken, so people gave the daily key the right to delete."""
    store = open_azure(sas_token=azurite.sas_token(azure_container, "rcwl"), account_key="")
    found = {finding.promise: finding for finding in validate_store(store)}
    assert [finding for finding in found.values() if not finding.ok] == []
    assert found[CLEAN_UP].state is State.WARNED
    pruner = open_azure(sas_token=azurite.sas_token(azure_container, "rcwld"), account_key="")
    again = {finding.promise: finding for finding in validate_store(store, remover=pruner)}
    assert [finding for finding in again.values() if not finding.ok] == []
    assert again[CLEAN_UP].state is again["deleting removes, twice is no error"].state is State.KEPT
