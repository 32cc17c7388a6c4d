"""The HTTP session of the stores that speak through `requests`: time limits, trust, proxy and pool, and no retries."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from providers.stores.options import LineOptions
from providers.stores.transfer import SEND_BYTES, Body, Pace
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

CONNECTIONS = 16


class _Adapter(HTTPAdapter):
    """Gives every request the location's time limits, also those that an SDK sends without any.

    A large body goes up in pieces: in one piece all of it would have to leave within the time limit for connecting.
    """

    def __init__(self, options: LineOptions, clock: Clock) -> None:
        self._limits = (options.connect_seconds, options.read_seconds)
        self._clock = clock
        super().__init__(pool_connections=4, pool_maxsize=CONNECTIONS, max_retries=0)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        if isinstance(request.body, bytes) and len(request.body) > SEND_BYTES:
            body = memoryview(request.body)
            request = request.copy()  # the SDK may send its own again
            request.body = Body(body, Pace(self._clock))  # type: ignore[assignment]
        return super().send(request, **{**kwargs, "timeout": self._limits})


def prepare_session(session: requests.Session, options: LineOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
    """Make `session`, an SDK's own perhaps, behave as `options` say; nothing is taken from the environment."""
    adapter = _Adapter(options, clock)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.trust_env = False
    if options.proxy_url:
        session.proxies = {"http": options.proxy_url, "https": options.proxy_url}
    if options.ca_file:
        session.verify = options.ca_file


def make_session(options: LineOptions, *, clock: Clock = SYSTEM_CLOCK) -> requests.Session:
    """Return a new session that behaves as `options` say."""
    session = requests.Session()
    prepare_session(session, options, clock=clock)
    return session
