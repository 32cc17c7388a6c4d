"""Azure over lines that fail, and from several processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from providers.stores.azure import AzureStore
from providers.stores.azure_options import AzureOptions
from providers.stores.errors import LocationMissing, NoAnswer, StoreUnavailable
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.metered import Measurement
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from tests.providers.stores.racing import RacingClock
from tests.servers.azure import LARGE, PACK, SMALL_BLOCKS
from tests.servers.azurite import Azurite
from tests.servers.calls import Call, every_call

pytestmark = pytest.mark.services


CALLS = every_call(PACK, LARGE, facts=lambda store: store.facts())


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]


@pytest.fixture
def dying(open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy) -> AzureStore:
    return open_azure(endpoint_url=azure_proxy.url, read_seconds=0.3, connect_seconds=0.3, **SMALL_BLOCKS)


def test_a_server_that_never_answers_is_asked_once(dying: AzureStore, azure_proxy: FaultProxy, call: Call) -> None:
    azure_proxy.fault = Fault(black_hole=True, times=99)
    with pytest.raises(NoAnswer):
        call(wrap_store(dying))
    assert azure_proxy.fault.hits == 1


def test_blocks_into_silence_end_with_the_first_time_limit(dying: AzureStore, azure_proxy: FaultProxy) -> None:
    """Those that are under way wait side by side, and no other begins."""
    azure_proxy.fault = Fault(match=b"comp=block&", black_hole=True, times=99)
    with pytest.raises(NoAnswer):
        wrap_store(dying).put("a/large", LARGE)
    assert azure_proxy.fault.hits == 1


def test_a_server_that_is_down_for_maintenance_is_asked_twice(
    dying: AzureStore, azure_proxy: FaultProxy, call: Call
) -> None:
    azure_proxy.fault = Fault(reply=Reply("503 Service Unavailable"), times=99)
    with pytest.raises(StoreUnavailable):
        call(wrap_store(dying, retry=RetryPolicy(base_seconds=0.01)))
    assert azure_proxy.fault.hits == 2


def test_a_refused_connection_is_unavailable_everywhere(dying: AzureStore, azure_proxy: FaultProxy, call: Call) -> None:
    azure_proxy.down()
    tried: list[Measurement] = []
    with pytest.raises(StoreUnavailable, match="refused"):
        call(wrap_store(dying, retry=RetryPolicy(base_seconds=0.01), on_call=tried.append))
    assert len(tried) == 2
    azure_proxy.up()
    dying.put("a/pack", PACK)


def test_a_missing_container_is_a_missing_location_everywhere(
    open_azure: Callable[..., AzureStore], call: Call
) -> None:
    with pytest.raises(LocationMissing, match="nobody-made-this"):
        call(open_azure(container="nobody-made-this", **SMALL_BLOCKS))


def test_the_default_time_limits_notice_silence_within_12_seconds() -> None:
    options = AzureOptions(account="wedding", container="backup", account_key="k")
    assert options.connect_seconds + options.read_seconds <= 12


@pytest.mark.parametrize("way", ["up", "up in blocks", "down"])
def test_a_transfer_that_crawls_is_given_up(open_azure: Callable[..., AzureStore], way: str) -> None:
    """Each piece is in time, but all of them together are not."""
    open_azure().put("pack", PACK)
    crawling = AzureStore(open_azure(**SMALL_BLOCKS).options, clock=RacingClock())
    with pytest.raises(NoAnswer):
        crawling.get("pack") if way == "down" else crawling.put("other", PACK if way == "up" else LARGE)
    crawling.close()


def test_a_connection_serves_one_call_after_the_other(open_azure: Callable[..., AzureStore], azurite: Azurite) -> None:
    azure_proxy = CountingProxy(("127.0.0.1", azurite.port))
    with azure_proxy:
        store = open_azure(endpoint_url=azure_proxy.url)
        store.put("pack", PACK)
        for offset in range(10):
            assert store.get("pack", offset=offset, length=1000) == PACK[offset : offset + 1000]
        assert (len(azure_proxy.requests), azure_proxy.connections) == (11, 1)


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
