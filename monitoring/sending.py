"""Sends one signed message to an address elsewhere, and to nowhere else.

The host is resolved once, every address it has is judged, and the connection goes to exactly the judged address: a name
that answers differently a moment later (DNS rebinding) leads nowhere. Redirects are not followed for the same reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import HTTPError

from providers.services.addresses import Resolver, address_parts, addresses_of, resolve_host
from providers.stores.answers import reason
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

LIMITS = urllib3.Timeout(connect=3.0, read=8.0, total=12.0)
ANSWER_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt went.

    status:      HTTP status; None without an answer.
    error:       what went wrong, in words; "" for success.
    retry_after: what the receiver said in Retry-After, "" if nothing.
    """

    status: int | None
    error: str
    milliseconds: float
    retry_after: str = ""

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def send(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    private_allowed: bool,
    resolve: Resolver = resolve_host,
    clock: Clock = SYSTEM_CLOCK,
) -> Answer:
    """POST `body` to `url` and return how it went; never raises for what the network or the receiver does.

    Raises AddressRefused when the address leads to where it must not.
    """
    parts = address_parts(url)
    address = addresses_of(parts, private_allowed=private_allowed, resolve=resolve)[0]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    began = clock.monotonic()
    status, error, retry_after = None, "", ""
    with _pool(parts.scheme, address, parts.port, parts.hostname or "") as pool:
        try:
            answer = pool.request(
                "POST",
                target,
                body=body,
                headers={**headers, "Host": parts.netloc, "Content-Type": "application/json"},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            answer.read(ANSWER_BYTES_MAX)
            status, retry_after = answer.status, answer.headers.get("Retry-After", "")
            answer.close()
        except (HTTPError, OSError) as exc:
            error = reason(exc)
    if status is not None and not 200 <= status < 300:
        error = f"the receiver answered {status}"
    return Answer(status, error, (clock.monotonic() - began) * 1000, retry_after)


@contextlib.contextmanager
def _pool(scheme: str, address: str, port: int | None, host: str) -> Iterator[urllib3.HTTPConnectionPool]:
    """Yield a connection pool to `address` that expects the certificate of `host`."""
    if scheme == "http":
        pool = urllib3.HTTPConnectionPool(address, port or 80, timeout=LIMITS)
    else:
        pool = urllib3.HTTPSConnectionPool(
            address, port or 443, timeout=LIMITS, server_hostname=host, assert_hostname=host, cert_reqs="CERT_REQUIRED"
        )
    try:
        yield pool
    finally:
        pool.close()
