"""Live messages arrive at once, from any thread, and never hurt the work that sends them."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from channels.layers import channel_layers, get_channel_layer

from tests.servers.redis import Redis
from wedbackup.core import live

MESSAGES = 50
QUICK_SECONDS = 0.1


@pytest.fixture(autouse=True)
def fresh_loop() -> Iterator[None]:
    """No test inherits another one's loop or layer."""
    yield
    live.register_loop(None)
    channel_layers.backends.clear()


async def _delays(senders: int = 4) -> list[float]:
    """Let threads publish while this loop's consumer receives; return each message's way [s]."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("job.x", channel)

    def send() -> None:
        for _ in range(MESSAGES):
            live.publish("job.x", {"type": "job.progress", "sent": time.monotonic()})
            time.sleep(0.002)

    threads = [threading.Thread(target=send) for _ in range(senders)]
    for thread in threads:
        thread.start()
    delays = []
    for _ in range(MESSAGES * senders):
        message = await asyncio.wait_for(layer.receive(channel), 5)
        delays.append(time.monotonic() - message["sent"])
    for thread in threads:
        thread.join()
    await layer.group_discard("job.x", channel)
    return delays


def test_a_workers_message_reaches_a_page_within_a_tenth_of_a_second() -> None:
    async def receive() -> list[float]:
        live.register_loop(asyncio.get_running_loop())
        return await _delays()

    delays = asyncio.run(receive())
    assert statistics.median(delays) < QUICK_SECONDS


@pytest.mark.services
def test_so_it_does_from_another_process_through_redis(redis: Redis, settings: Any) -> None:
    """Publishing from a loop of its own, as a worker process does; receiving in the web server's."""
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [redis.url]},
        }
    }
    channel_layers.backends.clear()

    async def receive() -> list[float]:
        delays = await _delays(senders=1)
        await get_channel_layer().flush()
        return delays

    delays = asyncio.run(receive())
    assert statistics.median(delays) < QUICK_SECONDS


def test_dates_and_ids_become_text() -> None:
    async def receive() -> dict[str, object]:
        live.register_loop(asyncio.get_running_loop())
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add("platform", channel)
        at = datetime(2026, 6, 13, tzinfo=UTC)
        await asyncio.to_thread(live.publish, "platform", {"type": "x", "at": at, "job": uuid.UUID(int=1)})
        message: dict[str, object] = await asyncio.wait_for(layer.receive(channel), 5)
        return message

    assert asyncio.run(receive()) == {
        "type": "x",
        "at": "2026-06-13T00:00:00Z",
        "job": "00000000-0000-0000-0000-000000000001",
    }


def test_a_loop_that_is_gone_or_stuck_does_not_hurt_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = asyncio.new_event_loop()  # never runs
    live.register_loop(stuck)
    monkeypatch.setattr(live, "PENDING_MAX", live._pending + 3)
    for _ in range(10):
        live.publish("platform", {"type": "x"})
    assert len(stuck._ready) == 3  # type: ignore[attr-defined]  # the others were dropped
    stuck.call_soon(stuck.stop)
    stuck.run_forever()
    stuck.run_until_complete(asyncio.sleep(0.01))
    stuck.close()
    live.publish("platform", {"type": "x"})
