"""Azure stores on Azurite, as fixtures, and answers as the real service gives them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.stores.azure import AzureStore
from providers.stores.azure_options import MEBIBYTE, AzureOptions
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Reply
from tests.servers.azurite import Azurite, running_azurite

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()
LARGE = os.urandom(5 * MEBIBYTE + 500_000)  # six blocks
SMALL_BLOCKS = {"single_put_bytes": 4 * MEBIBYTE, "part_bytes": MEBIBYTE}


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def azure_container(azurite: Azurite) -> str:
    return azurite.make_container()


@pytest.fixture
def azure_proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    """A fault proxy in front of Azurite, without TLS."""
    with FaultProxy(("127.0.0.1", azurite.port)) as proxy:
        yield proxy


@pytest.fixture
def open_azure(azurite: Azurite, azure_container: str) -> Iterator[Callable[..., AzureStore]]:
    """Open stores on a fresh container; options are given by name."""
    opened: list[AzureStore] = []
    options = AzureOptions(
        account=azurite.account, account_key=azurite.account_key, container=azure_container, endpoint_url=azurite.url
    )

    def open_store(**changes: Any) -> AzureStore:
        opened.append(AzureStore(dataclasses.replace(options, **changes)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def azure_proxied(open_azure: Callable[..., AzureStore], azure_proxy: FaultProxy) -> AzureStore:
    """A store whose line goes through the fault proxy; silence is noticed after 0.3 s."""
    return open_azure(endpoint_url=azure_proxy.url, read_seconds=0.3, connect_seconds=0.3)


def refusal(status: str, code: str, detail: str = "", **headers: str) -> Reply:
    """An answer as Azure gives it: the code in a header and in the body."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.\nRequestId:1</Message>{detail}</Error>"
    return Reply(status, {"x-ms-error-code": code, "Content-Type": "application/xml", **headers}, body.encode())


def properties(**headers: str) -> Reply:
    """A blob's properties as Azure answers them."""
    return Reply("200 OK", {"Last-Modified": "Fri, 12 Jun 2026 12:00:00 GMT", "x-ms-blob-type": "BlockBlob", **headers})
