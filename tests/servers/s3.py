"""S3 stores on the servers that there are for tests: Swift with real signatures and checksums, moto for the rest.

moto answers inside this process, for addresses of AWS: it knows classes, locks, versions and bucket settings, and
checks neither signatures nor checksums.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from moto import mock_aws

from providers.stores.s3 import S3Options, S3Store
from providers.stores.s3_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from tests.servers.calls import Call, every_call
from tests.servers.swift import Swift
from wedbackup.core.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SMALL_PARTS: dict[str, Any] = {"single_put_bytes": 5 * MEBIBYTE, "part_bytes": 5 * MEBIBYTE}
MOTO_REGION: Final = "eu-central-1"
MOTO_KEYS = {"access_key": "AKIATEST", "secret_key": "moto-asks-for-none"}


def options_for(swift: Swift, *, bucket: str, **changes: Any) -> S3Options:
    options = S3Options(
        bucket=bucket,
        access_key=swift.access_key,
        secret_key=swift.secret_key,
        region=swift.region,
        endpoint_url=swift.url,
    )
    return dataclasses.replace(options, **changes)


@pytest.fixture
def open_s3(swift: Swift, swift_bucket: str) -> Iterator[Callable[..., S3Store]]:
    """Open stores on a fresh bucket of Swift; options are given by name."""
    opened: list[S3Store] = []

    def open_store(**changes: Any) -> S3Store:
        opened.append(S3Store(options_for(swift, **{"bucket": swift_bucket, **changes})))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def proxied(open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> S3Store:
    """A store whose line goes through the fault proxy; silence is noticed after 0.3 s."""
    return open_s3(endpoint_url=swift_proxy.url, read_seconds=0.3, connect_seconds=0.3)


CALLS = every_call(
    bytes(2 * MEBIBYTE),
    bytes(6 * MEBIBYTE),
    remove_unfinished=lambda store: store.remove_unfinished(before=SYSTEM_CLOCK.utcnow()),
)


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """Every kind of call, one after the other."""
    return CALLS[request.param]


@pytest.fixture
def aws() -> Iterator[S3Client]:
    """A client of moto's AWS with an empty bucket `weddings`."""
    with mock_aws():
        client: S3Client = boto3.client(
            "s3", region_name=MOTO_REGION, aws_access_key_id="AKIATEST", aws_secret_access_key="moto"
        )
        client.create_bucket(Bucket="weddings", CreateBucketConfiguration={"LocationConstraint": MOTO_REGION})
        yield client


def open_aws(**changes: Any) -> S3Store:
    """Return a store on moto's bucket `weddings`; only while the fixture `aws` is in use."""
    return S3Store(S3Options(**{"bucket": "weddings", "region": MOTO_REGION, **MOTO_KEYS, **changes}))
