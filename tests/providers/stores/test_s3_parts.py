"""Large objects in S3: parts that are resumed, sent side by side, and removed when nobody will need them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta

import pytest

from providers.stores.base import Checksum, Proof
from providers.stores.errors import AccessDenied, ObjectNotFound, StoreError, StoreUnavailable
from providers.stores.s3 import S3Store
from providers.stores.s3_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.s3 import SMALL_PARTS
from wedbackup.core.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.services

LARGE = os.urandom(12 * MEBIBYTE)


@pytest.fixture
def in_parts(open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> S3Store:
    return open_s3(endpoint_url=swift_proxy.url, parts_at_once=1, **SMALL_PARTS)


def parts_sent(proxy: FaultProxy) -> list[str]:
    return [request.split("partNumber=")[1][0] for request in proxy.requests if "partNumber=" in request]


@pytest.mark.parametrize("profile", [Checksum.SHA256, Checksum.SHA256_HEADER_ONLY, Checksum.MD5])
def test_a_broken_upload_goes_on_where_it_stopped(
    open_s3: Callable[..., S3Store], swift_proxy: FaultProxy, profile: Checksum
) -> None:
    changes = {**SMALL_PARTS, "parts_at_once": 1, "checksum": profile}
    store = open_s3(endpoint_url=swift_proxy.url, **changes)
    swift_proxy.fault = Fault(match=b"partNumber=3", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        store.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    assert [*store.list()] == []
    restarted = open_s3(endpoint_url=swift_proxy.url, **changes)
    assert restarted.put("large", LARGE).proof
    assert parts_sent(swift_proxy) == ["1", "2", "3", "3"]
    assert restarted.get("large") == LARGE


def test_kept_parts_of_other_content_are_sent_again(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"partNumber=3", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_parts.put("large", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert swift_proxy.fault.hits == 1
    in_parts.put("large", LARGE)
    assert parts_sent(swift_proxy) == ["1", "2", "3", "1", "3"]
    assert in_parts.get("large") == LARGE


def test_a_part_that_arrives_damaged_is_refused(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"partNumber=2", flip_sent=1000)
    with pytest.raises(StoreError):
        in_parts.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    with pytest.raises(ObjectNotFound):
        in_parts.head("large")


def test_a_lost_answer_to_the_last_step_is_settled_by_asking(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"POST /", lose_answer=True)
    with pytest.raises(StoreUnavailable):  # to the first step: there is nothing yet
        in_parts.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    swift_proxy.fault = Fault(match=b"POST /", lose_answer=True)
    assert in_parts.put("large", LARGE).proof
    assert swift_proxy.fault.hits == 1
    assert swift_proxy.requests[-1].startswith("HEAD")


def test_a_hopeless_upload_leaves_nothing_behind(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"partNumber=2", reply=Reply("403 Forbidden"))
    with pytest.raises(AccessDenied):
        in_parts.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    assert in_parts.remove_unfinished(before=SYSTEM_CLOCK.utcnow() + timedelta(hours=1)) == 0


def test_unfinished_uploads_are_removed_by_age(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"partNumber=2", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        in_parts.put("large", LARGE)
    assert swift_proxy.fault.hits == 1
    now = SYSTEM_CLOCK.utcnow()
    assert in_parts.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert in_parts.remove_unfinished(before=now + timedelta(hours=1)) == 1
    assert in_parts.remove_unfinished(before=now + timedelta(hours=1)) == 0


def test_parts_go_up_side_by_side(open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> None:
    """The first part is answered last, and the others have arrived by then."""
    store = open_s3(endpoint_url=swift_proxy.url, parts_at_once=3, **SMALL_PARTS)
    swift_proxy.fault = Fault(match=b"partNumber=1", stall_received_seconds=0.5)
    store.put("large", LARGE)
    assert sorted(parts_sent(swift_proxy)) == ["1", "2", "3"]
    assert store.get("large") == LARGE


def test_the_first_part_that_fails_ends_the_others(open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> None:
    store = open_s3(endpoint_url=swift_proxy.url, parts_at_once=2, **SMALL_PARTS)
    swift_proxy.fault = Fault(match=b"partNumber=1", reply=Reply("403 Forbidden"))
    with pytest.raises(AccessDenied):
        store.put("large", os.urandom(80 * MEBIBYTE))
    assert swift_proxy.fault.hits == 1
    assert len(parts_sent(swift_proxy)) < 16
    assert store.remove_unfinished(before=SYSTEM_CLOCK.utcnow() + timedelta(hours=1)) == 0


def test_what_was_sent_in_parts_is_verified_by_reading_it_back(in_parts: S3Store, swift_proxy: FaultProxy) -> None:
    in_parts.put("large", LARGE)
    assert in_parts.verify("large", sha256=hashlib.sha256(LARGE).hexdigest()).proof is Proof.READ_BACK
    assert any(request.startswith("GET") for request in swift_proxy.requests)
