"""What the tests of S3's dialects share: their options at a Swift, and refusals in the words of each provider."""

from __future__ import annotations

import hashlib
import os
from typing import Any, TypeVar

import pytest

from providers.stores.errors import StoreError
from providers.stores.s3 import S3Store
from providers.stores.s3_options import MEBIBYTE, BucketOptions
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.s3 import SMALL_PARTS
from tests.servers.swift import Swift

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()

OptionsT = TypeVar("OptionsT", bound=BucketOptions)


def options_at(swift: Swift, proxy: FaultProxy, kind: type[OptionsT], bucket: str, **place: Any) -> OptionsT:
    """Return options of this kind for `bucket` of Swift, reached through `proxy`; place: what only this kind asks."""
    return kind(
        bucket=bucket,
        access_key=swift.access_key,
        secret_key=swift.secret_key,
        endpoint_url=proxy.url,
        **SMALL_PARTS,
        **place,
    )


def refusal(status: str, code: str, words: str = "", **headers: str) -> Reply:
    """Return an answer as servers of S3 refuse."""
    return Reply(status, headers, f"<Error><Code>{code}</Code><Message>{words}</Message></Error>".encode())


def require_error_for(store: S3Store, proxy: FaultProxy, answer: Reply, expected: type[StoreError]) -> StoreError:
    """Answer an upload so; it must end with this very error, after one request. Return the error."""
    proxy.fault = Fault(match=b"PUT /", reply=answer)
    with pytest.raises(StoreError) as caught:
        store.put("pack", PACK, sha256=PACK_SHA256)
    assert type(caught.value) is expected
    assert proxy.fault.hits == 1
    return caught.value
