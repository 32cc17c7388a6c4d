"""What S3 and its dialects answer when something goes wrong, in the words of providers.stores.errors.

The codes of all dialects stand together: none means one thing here and another there. Where the code is missing (the
S3 endpoint of Supabase, every answer to HEAD) the HTTP status, the bucket's region and the server's clock decide.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping

from botocore import exceptions as sdk

from providers.stores.answers import MESSAGE_CHARACTERS, error_of_connection, reason, retry_after_seconds, timed_out
from providers.stores.errors import (
    AccessDenied,
    Archived,
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
    Unsupported,
    WrongRegion,
)
from wedbackup.core.clock import Clock

_DIGEST_CODES = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_THROTTLE_CODES = {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded"}
_RATE_CODES = {"RequestRateLimitExceeded"}  # Wasabi says so with the status 400
_FULL_CODES = {"QuotaExceeded", "StorageQuotaExceeded", "storage_cap_exceeded", "InsufficientCapacity"}
_TOKEN_CODES = {"InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_SKEW_CODES = {"RequestTimeTooSkewed", "RequestExpired", "ExpiredRequest"}
_REGION_CODES = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
_LOST_CODES = {"RequestTimeout", "IncompleteBody"}
_KEY_CODES = ("KMS.", "KMSDisabled", "KMSInvalid", "KMSNotFound")
_SKEW_SECONDS = 15 * 60  # what AWS tolerates


def map_error(exc: Exception, what: str, clock: Clock, *, region: str = "") -> StoreError:
    """Return the store error for `exc`, raised by the SDK while doing `what`.

    region: the one that the requests were signed for.
    """
    if isinstance(exc, sdk.ClientError):
        return _map_answer(exc, what, clock, region)
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
        return status_of(exc) in (409, 412)
    return isinstance(exc, sdk.ConnectionClosedError) and not timed_out(exc)


def status_of(exc: sdk.ClientError) -> int:
    """Return the HTTP status of the answer; 0 if it had none."""
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(exc: sdk.ClientError) -> str:
    """Return the server's own word for the error; of an answer without a body the SDK makes the status' digits."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def says_nothing(exc: Exception) -> bool:
    """Say whether a request was refused without a reason: an answer to HEAD has no body."""
    if not isinstance(exc, sdk.ClientError) or not exc.operation_name.startswith("Head"):
        return False
    return status_of(exc) in (400, 403)


def _map_answer(exc: sdk.ClientError, what: str, clock: Clock, region: str) -> StoreError:
    status, code = status_of(exc), code_of(exc)
    words = str(exc.response.get("Error", {}).get("Message", ""))
    message = f"{what}: {status} {code} {words}"[:MESSAGE_CHARACTERS].strip()
    headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    retry_after = retry_after_seconds(headers.get("retry-after"), clock)
    if error := _refusal(status, code, words, message):
        return error
    if code in _SKEW_CODES or (status in (400, 401, 403) and _skewed(headers, clock)):
        return ClockSkewed(f"{message} (this machine's clock is {clock.utcnow():%Y-%m-%d %H:%M:%S} UTC)")
    if status == 429 or code in _RATE_CODES or (status == 503 and (code in _THROTTLE_CODES or retry_after is not None)):
        return Throttled(message, retry_after=retry_after)
    if code in _LOST_CODES or (status >= 500 and status != 501):
        return StoreUnavailable(message, retry_after=retry_after)
    if _is_elsewhere(exc, status, code, headers, region):
        return _wrong_region(message, str(exc.response.get("Error", {}).get("Region", "")) or _told_region(headers))
    if status in (401, 403) or code in _TOKEN_CODES:
        return AccessDenied(message)
    if status == 404:
        return LocationMissing(message) if code == "NoSuchBucket" else ObjectNotFound(message)
    if status in (408, 409, 412, 425):
        return StoreUnavailable(message, retry_after=retry_after)
    return Rejected(message)


def _refusal(status: int, code: str, words: str, message: str) -> StoreError | None:
    """Return the error for what the server's own code or words say plainly, whatever the status."""
    if code in _FULL_CODES or status == 507 or "cap exceeded" in words.lower():
        full = LocationFull(message)
        if "cap exceeded" in words.lower():  # Backblaze's daily caps on storage, transactions and downloads
            full.advice = "Raise the cap under Caps & Alerts at Backblaze, or wait until midnight UTC for daily caps."
        return full
    if code == "InvalidObjectState":
        return Archived(message)
    if code in _EXPIRED_CODES:
        return CredentialExpired(message)
    if "objectlock" in words.lower().replace(" ", "") and status in (400, 409):
        unsupported = Unsupported(message)
        unsupported.advice = "Switch Object Lock on for the bucket, or set this location's lock to 0 days."
        return unsupported
    if code.startswith(_KEY_CODES):
        rejected = Rejected(message)
        rejected.advice = "The encryption key of this location cannot be used: look at its state and policy in KMS."
        return rejected
    if status == 501 or "unsupported header" in words.lower():
        rejected = Rejected(message)
        if "x-amz" in words.lower():
            rejected.advice = (
                "The server refuses a header: choose its checksum profile, leave out locks and encryption."
            )
        return rejected
    if code in _DIGEST_CODES or ("checksum" in words.lower() and status == 400):
        return ChecksumMismatch(message)
    return None


def _is_elsewhere(exc: sdk.ClientError, status: int, code: str, headers: Mapping[str, str], region: str) -> bool:
    """Say whether the bucket is in another region than ours."""
    if code in _REGION_CODES or status in (301, 307):
        return True
    return status == 400 and says_nothing(exc) and bool(region) and _told_region(headers) not in ("", region)


def _told_region(headers: Mapping[str, str]) -> str:
    return headers.get("x-amz-bucket-region", "")


def _wrong_region(message: str, right: str) -> WrongRegion:
    if not right:
        return WrongRegion(message)
    error = WrongRegion(f"{message} (the bucket is in {right})")
    error.advice = f"Set this location's region to {right}, then validate again."
    return error


def _skewed(headers: Mapping[str, str], clock: Clock) -> bool:
    """Say whether a refusal comes from clocks that differ: answers to HEAD carry the server's time, but no reason."""
    try:
        told = email.utils.parsedate_to_datetime(headers.get("date", ""))
        return abs((told - clock.utcnow()).total_seconds()) > _SKEW_SECONDS
    except (TypeError, ValueError):
        return False
