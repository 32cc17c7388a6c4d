"""A place that anybody can read is found by trying, whatever the provider tells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from providers.stores.base import PlaceFacts
from providers.stores.memory import MemoryStore
from providers.validation import PROMISES, Room, State, judge
from tests.servers.ports import free_port
from wedbackup.core.clock import SYSTEM_CLOCK

(PRIVATE,) = (promise for promise in PROMISES if promise.name == "nobody else can read it")


class Shop(MemoryStore):
    """A place with an address for strangers. status: what they are answered; told: what the provider says of itself."""

    def __init__(self, port: int, told: bool | None) -> None:
        super().__init__()
        self.port, self.told = port, told

    def public_addresses(self, name: str) -> tuple[str, ...]:
        return (f"http://127.0.0.1:{self.port}/{name}",)

    def facts(self) -> PlaceFacts:
        return PlaceFacts(public=self.told)


class Window:
    """What strangers see of a store: one answer for everything."""

    store: MemoryStore
    status = 200
    asked = 0


@pytest.fixture
def window() -> Iterator[tuple[Window, int]]:
    window, port = Window(), free_port()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            window.asked += 1
            content = window.store.get(self.path.lstrip("/")) if window.status == 200 else b"<html>no</html>"
            self.send_response(window.status if window.status != 299 else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield window, port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("told", [None, False])
def test_a_place_that_calls_itself_private_and_shows_everything_is_refused(
    window: tuple[Window, int], told: bool | None
) -> None:
    """supabase/storage answers "?policyStatus" with 200 and nothing, which reads as "not public"."""
    shown, port = window
    shown.store = Shop(port, told)
    finding = judge(PRIVATE, Room(shown.store), SYSTEM_CLOCK)
    assert shown.asked == 1
    assert finding.state is State.BROKEN and "anybody can read this place, at http://127" in finding.detail


@pytest.mark.parametrize("status", [401, 403, 404, 400, 299])
def test_a_place_that_refuses_strangers_is_proved_private_without_being_told(
    window: tuple[Window, int], status: int
) -> None:
    """299 stands for a page of somebody else's, answered with 200."""
    shown, port = window
    shown.store, shown.status = Shop(port, None), status
    assert judge(PRIVATE, Room(shown.store), SYSTEM_CLOCK).state is State.KEPT
    assert shown.asked == 1


def test_where_nothing_can_be_tried_nothing_is_called_proved(window: tuple[Window, int]) -> None:
    shown, port = window
    shown.store, shown.status = Shop(port, None), 503
    finding = judge(PRIVATE, Room(shown.store), SYSTEM_CLOCK)
    assert finding.state is State.EXEMPT and "nor tried" in finding.detail
