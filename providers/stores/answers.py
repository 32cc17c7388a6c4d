"""What goes wrong on the way to a provider, in the words of providers.stores.errors: the same for every one of them.

A provider's file maps its own error codes first and leaves the rest to these functions.
"""

from __future__ import annotations

import email.utils
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from urllib3 import exceptions as line

from providers.stores.errors import (
    AccessDenied,
    LocationFull,
    NoAnswer,
    ObjectNotFound,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from wedbackup.core.clock import Clock

MESSAGE_CHARACTERS = 200


def error_of_answer(status: int, message: str, *, retry_after: float | None = None) -> StoreError:
    """Return the store error for an answer with this HTTP status.

    message:     what was done and what the server said; cut to a readable length, must hold no secret.
    retry_after: see `retry_after_seconds`.
    """
    message = message[:MESSAGE_CHARACTERS].strip()
    if status in (401, 403):
        return AccessDenied(message)
    if status in (404, 410):
        return ObjectNotFound(message)
    if status == 507:
        return LocationFull(message)
    if status == 429 or (status == 503 and retry_after is not None):
        return Throttled(message, retry_after=retry_after)
    if status in (408, 409, 412, 425) or (status >= 500 and status != 501):
        return StoreUnavailable(message, retry_after=retry_after)
    return Rejected(message)


def error_of_connection(exc: BaseException, what: str) -> StoreError:
    """Return the store error for `exc`, with which the line failed while doing `what`: there was no whole answer."""
    links = list(chain(exc))
    if any(isinstance(link, ssl.SSLError | line.SSLError) for link in links):
        error: StoreError = StoreUnavailable(f"{what}: no secure connection ({reason(exc)})")
        error.advice = "Check the certificate of the server, the CA file of this location and the machine's clock."
        return error
    if any(isinstance(link, socket.gaierror | line.NameResolutionError) for link in links):
        error = StoreUnavailable(f"{what}: the server's name is not known ({reason(exc)})")
        error.advice = "Check the address of this location, and this machine's network and DNS."
        return error
    unreached = [link for link in links if isinstance(link, line.ConnectTimeoutError)]
    if any(not isinstance(link, line.NewConnectionError) for link in unreached):  # it inherits from the time-out
        return StoreUnavailable(f"{what}: the server could not be reached within the time limit")
    if any(isinstance(link, TimeoutError | line.ReadTimeoutError) for link in links):
        return NoAnswer(f"{what}: the server fell silent or crawls, and the time limit passed")
    return StoreUnavailable(f"{what}: the connection failed ({reason(exc)})")


def timed_out(exc: BaseException) -> bool:
    """Say whether a time limit ended it: who asks again then doubles the time until anybody notices."""
    return any(isinstance(link, TimeoutError | line.ReadTimeoutError) for link in chain(exc))


def retry_after_seconds(value: str | None, clock: Clock) -> float | None:
    """Return how long the header Retry-After asks us to wait [s]: a number or an HTTP date, else None."""
    value = (value or "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(value) - clock.utcnow()).total_seconds())
    except (TypeError, ValueError):
        return None


def chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield `exc` and everything that it was raised from or wraps."""
    waiting: list[Any] = [exc]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            wrapped = getattr(link, "kwargs", {}).get("error")  # botocore
            inner = getattr(link, "inner_exception", None)  # azure-core
            waiting += [link.__cause__, link.__context__, wrapped, inner, getattr(link, "reason", None), *link.args]


def reason(exc: BaseException) -> str:
    """Return the innermost words of `exc`: "Connection refused" rather than three layers of wrapping."""
    words = [str(link) for link in chain(exc) if isinstance(link, OSError) and str(link)]
    return (words[-1] if words else str(exc) or type(exc).__name__)[:MESSAGE_CHARACTERS]
