"""What Azure does beside keeping bytes: tiers, protection, what is known of the container."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from providers.stores.azure import AzureStore
from providers.stores.azure_options import Tier
from providers.stores.base import Proof
from providers.stores.errors import Archived, StoreError, Unsupported
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.azure import LARGE, PACK, PACK_SHA256, SMALL_BLOCKS, properties
from tests.servers.azurite import Azurite
from wedbackup.core.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.services


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


def test_what_is_on_its_way_back_is_not_ordered_again(azure_proxied: AzureStore, azure_proxy: FaultProxy) -> None:
    under_way = properties(**{"x-ms-access-tier": "Archive", "x-ms-archive-status": "rehydrate-pending-to-hot"})
    azure_proxy.fault = Fault(match=b"HEAD /", reply=under_way)
    assert not azure_proxied.thaw("pack")
    assert azure_proxy.fault.hits == 1
    assert len(azure_proxy.requests) == 1


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ({}, True),
        ({"x-ms-immutability-policy-until-date": "Wed, 10 Jun 2026 12:00:00 GMT"}, True),
        ({"x-ms-immutability-policy-until-date": "Sat, 12 Jun 2027 12:00:00 GMT"}, False),
    ],
)
def test_a_protection_is_asked_for_as_documented_and_only_grows(
    open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy, held: dict[str, str], asked: bool
) -> None:
    """Azurite has no immutability: what is shown is the request, and that it refuses what it does not know."""
    store = open_azure(endpoint_url=azure_proxy.url, object_lock=True)
    store.put("pack", PACK)
    azure_proxy.fault = Fault(
        match=b"HEAD /", reply=properties(**held, **({"x-ms-immutability-policy-mode": "locked"} if held else {}))
    )
    until = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
    if asked:
        with pytest.raises(StoreError):
            store.protect("pack", until=until)
        request = azure_proxy.heads[-1].decode("latin-1")
        assert request.startswith("PUT ")
        assert "comp=immutabilityPolicies" in request
        assert "x-ms-immutability-policy-until-date: Thu, 24 Dec 2026 18:00:00 GMT" in request
        assert "x-ms-immutability-policy-mode: Locked" in request
    else:
        store.protect("pack", until=until)
        assert azure_proxy.requests[-1].startswith("HEAD ")
    assert azure_proxy.fault.hits == 1


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


def test_what_the_account_keeps_is_found_out(
    azurite: Azurite, azure_proxied: AzureStore, azure_proxy: FaultProxy
) -> None:
    assert azure_proxied.facts().versioned is None  # Azurite has none, and the setting itself cannot be read
    body = b"<StorageServiceProperties><DeleteRetentionPolicy><Enabled>true</Enabled><Days>14</Days>"
    body += b"</DeleteRetentionPolicy></StorageServiceProperties>"
    azure_proxy.fault = Fault(
        match=b"comp=properties", reply=Reply("200 OK", {"Content-Type": "application/xml"}, body)
    )
    assert azure_proxied.facts().versioned
    assert azure_proxy.fault.hits == 1
    locked = {"x-ms-immutable-storage-with-versioning-enabled": "true", "x-ms-has-legal-hold": "false"}
    azure_proxy.fault = Fault(match=b"restype=container HTTP", reply=properties(**locked))
    assert azure_proxied.facts().locked
    assert azure_proxy.fault.hits == 1
