"""The HTTP session that stores on `requests` share."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from providers.stores.options import LineOptions
from providers.stores.session import make_session
from providers.stores.transfer import SEND_BYTES
from wedbackup.core.clock import ManualClock

OPTIONS = LineOptions(connect_seconds=1.5, read_seconds=2.5)


class _Sent(Exception):
    """Ends a request just before the network, with what would go there."""

    def __init__(self, request: requests.PreparedRequest, timeout: Any) -> None:
        super().__init__()
        self.request, self.timeout = request, timeout


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(self: HTTPAdapter, request: requests.PreparedRequest, timeout: Any, **kwargs: Any) -> requests.Response:
        raise _Sent(request, timeout)

    monkeypatch.setattr(HTTPAdapter, "send", send)


def sent(content: bytes, **kwargs: Any) -> _Sent:
    with pytest.raises(_Sent) as caught:
        make_session(OPTIONS, **kwargs).post("https://example.org/", data=content, timeout=100)
    return caught.value


def test_every_request_has_the_locations_time_limits_whatever_an_sdk_wants() -> None:
    assert sent(b"x").timeout == (1.5, 2.5)


def test_a_large_body_goes_up_in_pieces_so_that_each_has_the_time_limit_for_itself() -> None:
    content = bytes(5 * SEND_BYTES)
    request = sent(content).request
    pieces = [bytes(piece) for piece in iter(lambda: request.body.read(16_384), b"")]  # type: ignore[union-attr]
    assert b"".join(pieces) == content
    assert len(pieces) == 5
    assert request.headers["Content-Length"] == str(len(content))


def test_a_small_body_goes_up_as_it_is() -> None:
    assert sent(b"x").request.body == b"x"


def test_a_body_that_crawls_is_given_up() -> None:
    clock = ManualClock()
    request = sent(bytes(5 * SEND_BYTES), clock=clock).request
    clock.advance(1000)
    with pytest.raises(TimeoutError):
        request.body.read(16_384)  # type: ignore[union-attr]
