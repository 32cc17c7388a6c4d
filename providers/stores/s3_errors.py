"""What S3 and its dialects answer when something goes wrong, in the words of providers.stores.base.

The HTTP status decides first: some servers (Supabase) leave the error code empty, HEAD answers have no body at all.
"""

from __future__ import annotations

import email.utils
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore import exceptions as sdk

from providers.stores.base import (
    AccessDenied,
    ChecksumMismatch,
    LocationFull,
    LocationMissing,
    NoAnswer,
    ObjectNotFound,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from wedbackup.core.clock import Clock

_DIGEST_CODES = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_THROTTLE_CODES = {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded"}
_FULL_CODES = {"QuotaExceeded", "StorageQuotaExceeded", "storage_cap_exceeded", "InsufficientCapacity"}
_TOKEN_CODES = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_REGION_CODES = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
_LOST_CODES = {"RequestTimeout", "IncompleteBody"}
MESSAGE_CHARACTERS = 200


def map_error(exc: Exception, what: str, clock: Clock) -> StoreError:
    """Return the store error for `exc`, raised by the SDK while doing `what`."""
    if isinstance(exc, sdk.ClientError):
        return _map_answer(exc, what, clock)
    if isinstance(exc, sdk.ReadTimeoutError) or _caused_by(exc, TimeoutError, unless=sdk.ConnectTimeoutError):
        return NoAnswer(f"{what}: the server fell silent or crawls, and the time limit passed")
    if isinstance(exc, sdk.SSLError):
        error: StoreError = StoreUnavailable(f"{what}: no secure connection ({_reason(exc)})")
        error.advice = "Check the certificate of the server, the CA file of this location and the machine's clock."
        return error
    if isinstance(exc, sdk.ConnectTimeoutError):
        return StoreUnavailable(f"{what}: the server could not be reached within the time limit")
    if isinstance(exc, sdk.EndpointConnectionError | sdk.HTTPClientError | sdk.IncompleteReadError | OSError):
        return StoreUnavailable(f"{what}: the connection failed ({_reason(exc)})")
    if isinstance(exc, sdk.NoCredentialsError | sdk.PartialCredentialsError):
        return AccessDenied(f"{what}: the location has no complete credential")
    return Rejected(f"{what}: {_reason(exc)}")


def answer_may_be_lost(exc: Exception) -> bool:
    """Say whether the request may have been carried out although it failed for us.

    True for a connection that ended early and for 409 and 412: the answers to a request that was already done.
    A silent server is not asked again, that would double the time until anybody notices.
    """
    if isinstance(exc, sdk.ClientError):
        return _status(exc) in (409, 412)
    return isinstance(exc, sdk.ConnectionClosedError) and not _caused_by(exc, TimeoutError)


def _map_answer(exc: sdk.ClientError, what: str, clock: Clock) -> StoreError:
    status, code = _status(exc), str(exc.response.get("Error", {}).get("Code", ""))
    message = f"{what}: {status} {code} {exc.response.get('Error', {}).get('Message', '')}"[:MESSAGE_CHARACTERS].strip()
    retry_after = _retry_after(exc, clock)
    if code == "RequestTimeTooSkewed":
        error: StoreError = AccessDenied(f"{message} (this machine's clock is {clock.utcnow():%Y-%m-%d %H:%M:%S} UTC)")
        error.advice = "The clocks differ too much: set this machine's clock (NTP), then try again."
        return error
    if code in _FULL_CODES or status == 507:
        return LocationFull(message)
    if status in (429, 503) and (status == 429 or code in _THROTTLE_CODES or retry_after is not None):
        return Throttled(message, retry_after=retry_after)
    if code in _LOST_CODES or (status >= 500 and status != 501):
        return StoreUnavailable(message, retry_after=retry_after)
    if code in _DIGEST_CODES or "checksum" in message.lower():
        return ChecksumMismatch(message)
    if code in _REGION_CODES or status in (301, 307):
        return Rejected(f"{message} (is the region right?)")
    if status in (401, 403) or code in _TOKEN_CODES:
        return AccessDenied(message)
    if status == 404:
        return LocationMissing(message) if code == "NoSuchBucket" else ObjectNotFound(message)
    if status in (408, 409, 412, 425):
        return StoreUnavailable(message, retry_after=retry_after)
    return Rejected(message)


def _status(exc: sdk.ClientError) -> int:
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _retry_after(exc: sdk.ClientError, clock: Clock) -> float | None:
    """Return how long the answer asks us to wait [s]: a number or an HTTP date, else None."""
    value = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        moment: datetime = email.utils.parsedate_to_datetime(value)
        return max(0.0, (moment - clock.utcnow()).total_seconds())
    except (TypeError, ValueError):
        return None


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield `exc` and everything that it was raised from or wraps."""
    waiting: list[Any] = [exc]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            wrapped = getattr(link, "kwargs", {}).get("error")
            waiting += [link.__cause__, link.__context__, wrapped, getattr(link, "reason", None), *link.args]


def _caused_by(exc: BaseException, kind: type[BaseException], *, unless: type[BaseException] | None = None) -> bool:
    links = list(_chain(exc))
    if unless and any(isinstance(link, unless) for link in links):
        return False
    return any(isinstance(link, kind) for link in links)


def _reason(exc: BaseException) -> str:
    """Return the innermost words of `exc`: "Connection refused" rather than three layers of wrapping."""
    words = [str(link) for link in _chain(exc) if isinstance(link, OSError) and str(link)]
    return (words[-1] if words else str(exc) or type(exc).__name__)[:MESSAGE_CHARACTERS]
