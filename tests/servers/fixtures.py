"""Servers as pytest fixtures. A conftest takes what it needs: `from tests.servers.fixtures import swift`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from providers.validation.faultproxy import FaultProxy
from tests.servers.swift import Swift, running_swift
from tests.servers.tls import tls_front


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A Swift for the whole session (one per worker of pytest-xdist)."""
    with running_swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def swift_bucket(swift: Swift) -> str:
    """The name of a fresh, empty bucket."""
    return make_bucket(swift)


@pytest.fixture
def swift_proxy(swift: Swift) -> Iterator[FaultProxy]:
    """A fault proxy in front of Swift, without TLS."""
    with FaultProxy(("127.0.0.1", swift.port)) as proxy:
        yield proxy


@pytest.fixture
def swift_tls(swift: Swift, tmp_path: Path) -> Iterator[tuple[FaultProxy, str]]:
    """A fault proxy with TLS in front of Swift, and the CA file to trust."""
    with tls_front(swift.port, tmp_path) as proxy_and_ca:
        yield proxy_and_ca


def make_bucket(swift: Swift, name: str | None = None) -> str:
    """Make a bucket in `swift` and return its name."""
    name = name or f"bucket-{secrets.token_hex(6)}"
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=swift.url,
        region_name=swift.region,
        aws_access_key_id=swift.access_key,
        aws_secret_access_key=swift.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name
