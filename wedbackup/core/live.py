"""Live messages to the pages: from any thread, never waiting, never failing the work that reports.

Groups are `job.<uuid>`, `wedding.<uuid>`, `organisation.<uuid>` and `platform`. A message's "type" names the consumer's
method: "job.moved" and "job.progress" call `job_moved` and `job_progress`. What is lost here is not lost: pages read
the rows again when they connect.

A channel layer belongs to the event loop of its consumers. `async_to_sync` from a worker thread runs another loop and
delivers up to 1 s late, silently. So the web server registers its loop; a process without one gets a loop of its own,
which reaches the consumers through Redis.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from channels.layers import get_channel_layer
from django.core.serializers.json import DjangoJSONEncoder

log = logging.getLogger(__name__)

PLATFORM = "platform"
PENDING_MAX = 5000  # messages under way; beyond that the loop is stuck and more of them help nobody

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_pending = 0


def register_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Send everything through `loop` from now on: the loop that the WebSocket consumers run in."""
    global _loop
    with _lock:
        _loop = loop


def publish(group: str, message: Mapping[str, Any]) -> None:
    """Send `message` to everybody in `group` and return at once; trouble is logged, not raised.

    message: has "type"; dates and UUIDs become text.
    """
    global _pending
    plain = json.loads(json.dumps(dict(message), cls=DjangoJSONEncoder))
    loop = _running_loop()
    with _lock:
        if _pending >= PENDING_MAX:
            return
        _pending += 1
    sending = _send(group, plain)
    try:
        asyncio.run_coroutine_threadsafe(sending, loop).add_done_callback(_sent)
    except RuntimeError:  # the loop was closed: the server is stopping
        sending.close()
        with _lock:
            _pending -= 1


async def _send(group: str, message: dict[str, Any]) -> None:
    await get_channel_layer().group_send(group, message)


def _sent(future: Future[None]) -> None:
    global _pending
    with _lock:
        _pending -= 1
    if not future.cancelled() and future.exception() is not None:
        log.warning("a live message was not sent: %s", future.exception())


def _running_loop() -> asyncio.AbstractEventLoop:
    """Return the registered loop, or start this process's own."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, daemon=True, name="live").start()
        return _loop
