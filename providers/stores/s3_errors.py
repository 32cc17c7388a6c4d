"""What S3 and its dialects answer when something goes wrong, in the words of providers.stores.base.

The HTTP status decides first: some servers (Supabase) leave the error code empty, HEAD answers have no body at all.
"""

from __future__ import annotations

from botocore import exceptions as sdk

from providers.stores.answers import (
    MESSAGE_CHARACTERS,
    error_of_connection,
    reason,
    retry_after_seconds,
    timed_out,
)
from providers.stores.base import (
    AccessDenied,
    ChecksumMismatch,
    ClockSkewed,
    CredentialExpired,
    LocationFull,
    LocationMissing,
    ObjectNotFound,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
    WrongRegion,
)
from wedbackup.core.clock import Clock

_DIGEST_CODES = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_THROTTLE_CODES = {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded"}
_FULL_CODES = {"QuotaExceeded", "StorageQuotaExceeded", "storage_cap_exceeded", "InsufficientCapacity"}
_TOKEN_CODES = {"InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_REGION_CODES = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
_LOST_CODES = {"RequestTimeout", "IncompleteBody"}


def map_error(exc: Exception, what: str, clock: Clock) -> StoreError:
    """Return the store error for `exc`, raised by the SDK while doing `what`."""
    if isinstance(exc, sdk.ClientError):
        return _map_answer(exc, what, clock)
    if isinstance(exc, sdk.HTTPClientError | sdk.ConnectionError | sdk.IncompleteReadError | OSError):
        return error_of_connection(exc, what)
    if isinstance(exc, sdk.NoCredentialsError | sdk.PartialCredentialsError):
        return AccessDenied(f"{what}: the location has no complete credential")
    return Rejected(f"{what}: {reason(exc)}")


def answer_may_be_lost(exc: Exception) -> bool:
    """Say whether the request may have been carried out although it failed for us.

    True for a connection that ended early and for 409 and 412: the answers to a request that was already done.
    A silent server is not asked again, that would double the time until anybody notices.
    """
    if isinstance(exc, sdk.ClientError):
        return _status(exc) in (409, 412)
    return isinstance(exc, sdk.ConnectionClosedError) and not timed_out(exc)


def _map_answer(exc: sdk.ClientError, what: str, clock: Clock) -> StoreError:
    status, code = _status(exc), str(exc.response.get("Error", {}).get("Code", ""))
    message = f"{what}: {status} {code} {exc.response.get('Error', {}).get('Message', '')}"[:MESSAGE_CHARACTERS].strip()
    retry_after = _retry_after(exc, clock)
    if code == "RequestTimeTooSkewed":
        return ClockSkewed(f"{message} (this machine's clock is {clock.utcnow():%Y-%m-%d %H:%M:%S} UTC)")
    if code in _FULL_CODES or status == 507:
        return LocationFull(message)
    if status in (429, 503) and (status == 429 or code in _THROTTLE_CODES or retry_after is not None):
        return Throttled(message, retry_after=retry_after)
    if code in _LOST_CODES or (status >= 500 and status != 501):
        return StoreUnavailable(message, retry_after=retry_after)
    if code in _DIGEST_CODES or "checksum" in message.lower():
        return ChecksumMismatch(message)
    if code in _REGION_CODES or status in (301, 307):
        return WrongRegion(message)
    if code == "ExpiredToken":
        return CredentialExpired(message)
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
    return retry_after_seconds(
        exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after"), clock
    )
