"""Supabase Storage over lines that fail on order."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from providers.stores.base import Proof
from providers.stores.errors import AccessDenied, NoAnswer, ObjectCorrupt, StoreUnavailable
from providers.stores.supabase import SupabaseStore
from providers.stores.supabase_upload import CHUNK_BYTES
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.retrying import RetryPolicy
from providers.wrappers.stack import wrap_store
from tests.providers.stores.racing import RacingClock
from tests.servers.calls import Call
from tests.servers.supabase import running_supabase
from tests.servers.supabase_fixtures import BUCKET, LARGE, PACK, PACK_SHA256, PUT, Open, options_for
from tests.servers.supabase_state import Bucket, Supabase
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (PACK, Fault(match=PUT, lose_answer=True)),
        (LARGE, Fault(match=b"Upload-Offset: 12582912", lose_answer=True)),
    ],
    ids=["by one request", "the last piece"],
)
def test_a_lost_answer_after_the_commit_is_settled_by_asking(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy, content: bytes, fault: Fault
) -> None:
    supabase_proxy.fault = fault
    assert supabase_proxied.put("pack", content).proof is Proof.SERVER_MD5
    assert fault.hits == 1
    assert supabase_proxied.get("pack") == content


def test_a_cut_upload_leaves_the_old_object(supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy) -> None:
    supabase_proxied.put("pack", b"old")
    supabase_proxy.fault = Fault(match=PUT, reset_after_sent=200_000)
    with pytest.raises(StoreUnavailable):
        supabase_proxied.put("pack", PACK)
    assert supabase_proxy.fault.hits == 1
    assert supabase_proxied.get("pack") == b"old"


def pieces_sent(supabase_proxy: FaultProxy) -> list[int]:
    """Return where each piece that was sent began [bytes]."""
    heads = [head for head in supabase_proxy.heads if head.startswith(b"PATCH ")]
    return [int(head.split(b"Upload-Offset: ")[1].split(b"\r\n")[0]) for head in heads]


def test_a_broken_large_upload_goes_on_where_the_server_stopped_receiving(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    supabase_proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1_000_000)
    with pytest.raises(StoreUnavailable):
        supabase_proxied.put("large", LARGE)
    assert supabase_proxy.fault.hits == 1
    assert [*supabase_proxied.list()] == []
    assert supabase_proxied.put("large", LARGE).proof is Proof.SERVER_MD5
    first, second, resumed, *_ = pieces_sent(supabase_proxy)
    assert (first, second) == (0, CHUNK_BYTES)
    assert CHUNK_BYTES <= resumed <= CHUNK_BYTES + 1_000_000  # a reset may overtake what was sent before it
    assert supabase_proxied.get("large") == LARGE


def test_the_wrapper_resumes_within_one_call(supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy) -> None:
    supabase_proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1_000_000)
    store = wrap_store(supabase_proxied, retry=RetryPolicy(base_seconds=0.01), rng=random.Random(1))
    assert store.put("large", LARGE).proof is Proof.SERVER_MD5
    assert supabase_proxy.fault.hits == 1
    assert pieces_sent(supabase_proxy).count(0) == 1


def test_a_session_of_other_content_is_not_gone_on_with(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    supabase_proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        supabase_proxied.put("large", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert supabase_proxy.fault.hits == 1
    assert supabase_proxied.put("large", LARGE).proof is Proof.SERVER_MD5
    assert pieces_sent(supabase_proxy).count(0) == 2


def test_an_expired_session_is_begun_again() -> None:
    clock = ManualClock()
    with running_supabase(clock=clock) as service, FaultProxy(("127.0.0.1", service.port)) as proxy:
        service.buckets[BUCKET] = Bucket()
        store = SupabaseStore(options_for(service, url=proxy.url), clock=clock)
        proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1000)
        with pytest.raises(StoreUnavailable):
            store.put("large", LARGE)
        assert proxy.fault.hits == 1
        clock.advance(2 * 3600)
        assert store.put("large", LARGE).proof is Proof.SERVER_MD5
        assert pieces_sent(proxy).count(0) == 2
        store.close()


def test_a_hopeless_upload_leaves_nothing_behind(
    supabase: Supabase, supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    supabase_proxy.fault = Fault(match=b"Upload-Offset: 6291456", reply=Reply("403 Forbidden", {}, b"not any more"))
    with pytest.raises(AccessDenied):
        supabase_proxied.put("large", LARGE)
    assert supabase_proxy.fault.hits == 1
    assert supabase.uploads == {}


def test_unfinished_uploads_of_this_process_are_removed_by_age(
    supabase: Supabase, supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    supabase_proxy.fault = Fault(match=b"Upload-Offset: 6291456", reset_after_sent=1000)
    with pytest.raises(StoreUnavailable):
        supabase_proxied.put("large", LARGE)
    assert supabase_proxy.fault.hits == 1
    now = SYSTEM_CLOCK.utcnow()
    assert supabase_proxied.remove_unfinished(before=now - timedelta(hours=1)) == 0
    assert supabase_proxied.remove_unfinished(before=now + timedelta(hours=1)) == 1
    assert supabase.uploads == {}


def test_the_key_goes_to_no_other_host_than_ours(supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy) -> None:
    """The server's answer names https://project.supabase.co for the pieces; all of them came to us."""
    supabase_proxied.put("large", LARGE)
    assert pieces_sent(supabase_proxy) == [0, CHUNK_BYTES, 2 * CHUNK_BYTES]
    assert b"project.supabase.co" in b"".join(supabase_proxy.answers)


@pytest.mark.parametrize("end", ["end_after_received", "reset_after_received"])
def test_a_short_answer_is_an_error_never_a_short_result(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy, end: str
) -> None:
    supabase_proxied.put("pack", PACK)
    supabase_proxy.fault = Fault(match=b"/object/authenticated/")
    setattr(supabase_proxy.fault, end, 500_000)
    with pytest.raises(StoreUnavailable):
        supabase_proxied.get("pack")
    assert supabase_proxy.fault.hits == 1


def test_a_bit_flipped_on_the_way_down_is_found_by_reading_back(
    supabase: Supabase, supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    supabase.encrypted, supabase.backend = True, "s3"
    supabase_proxied.put("pack", PACK)
    supabase_proxy.fault = Fault(match=b"Range: bytes=0-8388607", flip_received=1000)
    with pytest.raises(ObjectCorrupt):
        supabase_proxied.verify("pack", sha256=PACK_SHA256)
    assert supabase_proxy.fault.hits == 1


def test_a_gateway_that_ignores_ranges_still_gives_the_range(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy
) -> None:
    supabase_proxy.fault = Fault(match=b"/object/authenticated/", reply=Reply("200 OK", {}, b"0123456789"))
    assert supabase_proxied.get("pack", offset=2, length=3) == b"234"
    assert supabase_proxy.fault.hits == 1


def test_a_page_of_some_gateway_is_no_answer(supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy) -> None:
    supabase_proxy.fault = Fault(reply=Reply("200 OK", {}, b"<html>Log in to the venue's network</html>"), times=2)
    for call in (lambda: supabase_proxied.head("pack"), lambda: [*supabase_proxied.list()]):
        with pytest.raises(StoreUnavailable, match="venue's network"):
            call()
    assert supabase_proxy.fault.hits == 2


# --- dead providers


def test_a_server_that_never_answers_is_asked_once(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy, supabase_call: Call
) -> None:
    supabase_proxy.fault = Fault(black_hole=True, times=99)
    with pytest.raises(NoAnswer):
        supabase_call(wrap_store(supabase_proxied))
    assert supabase_proxy.fault.hits == 1


def test_a_refused_connection_is_unavailable_everywhere(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy, supabase_call: Call
) -> None:
    supabase_proxy.down()
    with pytest.raises(StoreUnavailable, match="refused"):
        supabase_call(supabase_proxied)
    supabase_proxy.up()
    supabase_proxied.put("a/pack", PACK)


def test_a_server_that_is_down_for_maintenance_is_asked_twice(
    supabase_proxied: SupabaseStore, supabase_proxy: FaultProxy, supabase_call: Call
) -> None:
    supabase_proxy.fault = Fault(reply=Reply("503 Service Unavailable"), times=99)
    with pytest.raises(StoreUnavailable):
        supabase_call(wrap_store(supabase_proxied, retry=RetryPolicy(base_seconds=0.01)))
    assert supabase_proxy.fault.hits == 2


def test_the_default_time_limits_notice_silence_within_12_seconds(supabase: Supabase) -> None:
    options = options_for(supabase)
    assert options.connect_seconds + options.read_seconds <= 12


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_transfer_that_crawls_is_given_up(supabase: Supabase, open_supabase: Open, direction: str) -> None:
    open_supabase().put("pack", PACK)
    crawling = SupabaseStore(options_for(supabase), clock=RacingClock())
    with pytest.raises(NoAnswer):
        crawling.get("pack") if direction == "down" else crawling.put("other", PACK)
    crawling.close()
