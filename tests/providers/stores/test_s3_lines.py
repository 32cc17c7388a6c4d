"""S3 over lines that fail on order."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable

import pytest

from providers.stores.base import Checksum, Proof
from providers.stores.errors import ChecksumMismatch, NoAnswer, ObjectCorrupt, ObjectNotFound, StoreUnavailable
from providers.stores.s3 import S3Options, S3Store
from providers.stores.s3_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.metered import Measurement
from providers.wrappers.stack import wrap_store
from tests.providers.stores.racing import RacingClock
from tests.servers.calls import Call
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.services

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()


def test_a_cut_upload_leaves_the_old_object(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    proxied.put("pack", b"old")
    swift_proxy.fault = Fault(match=b"PUT /", reset_after_sent=MEBIBYTE)
    with pytest.raises(StoreUnavailable):
        proxied.put("pack", PACK, sha256=PACK_SHA256)
    assert swift_proxy.fault.hits == 1
    assert proxied.get("pack") == b"old"


@pytest.mark.parametrize("profile", [Checksum.SHA256, Checksum.MD5])
def test_a_lost_answer_after_the_commit_is_settled_by_asking(
    open_s3: Callable[..., S3Store], swift_proxy: FaultProxy, profile: Checksum
) -> None:
    store = open_s3(endpoint_url=swift_proxy.url, checksum=profile)
    swift_proxy.fault = Fault(match=b"PUT /", lose_answer=True)
    assert store.put("pack", PACK, sha256=PACK_SHA256).proof
    assert swift_proxy.fault.hits == 1
    assert [request.split()[0] for request in swift_proxy.requests] == ["PUT", "HEAD"]
    assert store.get("pack") == PACK


def test_a_lost_answer_is_no_success_while_another_object_of_that_size_is_there(
    proxied: S3Store, swift_proxy: FaultProxy
) -> None:
    proxied.put("pack", bytes(len(PACK)))
    swift_proxy.fault = Fault(match=b"PUT /", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        proxied.put("pack", PACK)
    assert swift_proxy.fault.hits == 1
    assert swift_proxy.requests[-1].startswith("HEAD")


@pytest.mark.parametrize("status", ["409 Conflict", "412 Precondition Failed"])
def test_a_conflict_with_our_own_success_is_success(proxied: S3Store, swift_proxy: FaultProxy, status: str) -> None:
    proxied.put("pack", PACK)
    swift_proxy.fault = Fault(match=b"PUT /", reply=Reply(status))
    assert proxied.put("pack", PACK, sha256=PACK_SHA256).proof is Proof.SERVER_SHA256
    assert swift_proxy.fault.hits == 1


@pytest.mark.parametrize("profile", [Checksum.SHA256, Checksum.SHA256_HEADER_ONLY, Checksum.MD5])
def test_a_bit_flipped_on_the_way_up_is_refused_by_the_server(
    open_s3: Callable[..., S3Store], swift_tls: tuple[FaultProxy, str], profile: Checksum
) -> None:
    """Behind the TLS end, where neither TLS nor the signature sees it: only the checksum is left."""
    proxy, ca_file = swift_tls
    store = open_s3(endpoint_url=proxy.url, ca_file=ca_file, checksum=profile)
    proxy.fault = Fault(match=b"PUT /", flip_sent=MEBIBYTE)
    with pytest.raises(ChecksumMismatch) as caught:
        store.put("pack", PACK, sha256=PACK_SHA256)
    assert caught.value.retryable
    assert proxy.fault.hits == 1
    with pytest.raises(ObjectNotFound):
        store.head("pack")


def test_a_bit_flipped_on_the_way_down_is_found_by_verify_but_not_by_get(
    proxied: S3Store, swift_proxy: FaultProxy
) -> None:
    """A range has no hash, so `get` cannot know: the engine compares what it reads with the pack's name."""
    proxied.put("pack", PACK)
    swift_proxy.fault = Fault(match=b"GET /", flip_received=MEBIBYTE, times=2)
    assert hashlib.sha256(proxied.get("pack")).hexdigest() != PACK_SHA256
    with pytest.raises(ObjectCorrupt):
        proxied.verify("pack", sha256=PACK_SHA256)
    assert swift_proxy.fault.hits == 2


@pytest.mark.parametrize("end", ["end_after_received", "reset_after_received"])
def test_a_short_answer_is_an_error_never_a_short_result(proxied: S3Store, swift_proxy: FaultProxy, end: str) -> None:
    proxied.put("pack", PACK)
    swift_proxy.fault = Fault(match=b"GET /")
    setattr(swift_proxy.fault, end, MEBIBYTE)
    with pytest.raises(StoreUnavailable):
        proxied.get("pack")
    assert swift_proxy.fault.hits == 1


def test_a_server_that_never_answers_is_noticed_at_the_time_limit(
    proxied: S3Store, swift_proxy: FaultProxy, call: Call
) -> None:
    swift_proxy.fault = Fault(black_hole=True, times=99)
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        call(proxied)
    assert time.monotonic() - began < 5
    assert swift_proxy.fault.hits == 1  # asked once: the limit is the whole wait


def test_the_default_time_limits_notice_silence_within_12_seconds() -> None:
    options = S3Options(bucket="b", access_key="a", secret_key="s")
    waiting_for_continue = 1  # [s], botocore's own
    assert options.connect_seconds + waiting_for_continue + options.read_seconds <= 12


def test_only_a_large_body_waits_for_the_servers_leave(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    proxied.put("small", b"1")
    proxied.put("large", PACK)
    small, large = (head.decode("latin-1").lower() for head in swift_proxy.heads)
    assert "expect" not in small
    assert "expect: 100-continue" in large


def test_an_answer_that_stops_in_the_middle_is_noticed(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    proxied.put("pack", PACK)
    swift_proxy.fault = Fault(match=b"GET /", stall_received_seconds=1)
    with pytest.raises(NoAnswer):
        proxied.get("pack")
    assert swift_proxy.fault.hits == 1


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_transfer_that_crawls_is_given_up(open_s3: Callable[..., S3Store], direction: str) -> None:
    """Each piece is in time, but all of them together are not."""
    open_s3().put("pack", PACK)
    crawling = S3Store(open_s3().options, clock=RacingClock())
    with pytest.raises(NoAnswer):
        crawling.get("pack") if direction == "down" else crawling.put("other", PACK)
    crawling.close()


def test_a_server_that_ignores_ranges_still_gives_the_range(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"GET /", reply=Reply("200 OK", {"ETag": '"x"'}, b"0123456789"))
    assert proxied.get("pack", offset=2, length=3) == b"234"
    assert swift_proxy.fault.hits == 1


@pytest.mark.parametrize(
    ("dead", "error", "attempts"),
    [
        (Fault(reply=Reply("503 Service Unavailable"), times=99), StoreUnavailable, 2),
        (Fault(black_hole=True, times=99), NoAnswer, 1),
    ],
    ids=["503", "black hole"],
)
def test_a_dead_provider_is_reported_after_the_attempts_that_are_worth_it(
    proxied: S3Store, swift_proxy: FaultProxy, dead: Fault, error: type[StoreUnavailable], attempts: int
) -> None:
    heard: list[Measurement] = []
    swift_proxy.fault = dataclasses.replace(dead)
    with pytest.raises(error):
        wrap_store(proxied, on_call=heard.append, clock=ManualClock()).put("pack", PACK)
    assert (len(heard), swift_proxy.fault.hits) == (attempts, attempts)


def test_a_refused_connection_is_tried_twice_and_reported(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    heard: list[Measurement] = []
    swift_proxy.down()
    with pytest.raises(StoreUnavailable, match="refused"):
        wrap_store(proxied, on_call=heard.append, clock=ManualClock()).put("pack", PACK)
    assert len(heard) == 2


def test_no_proxy_is_taken_out_of_the_environment(
    open_s3: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert open_s3().put("pack", b"straight").proof
