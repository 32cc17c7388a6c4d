"""What Google Cloud Storage answers when something goes wrong, in the words of providers.stores.errors.

Codes and reasons: https://cloud.google.com/storage/docs/json_api/v1/status-codes
An answer's own words are used, never the SDK's: those begin with the URL, and the URL of an upload session is a secret.
"""

from __future__ import annotations

from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from urllib3 import exceptions as line

from providers.stores.answers import (
    MESSAGE_CHARACTERS,
    chain,
    error_of_answer,
    error_of_connection,
    reason,
    retry_after_seconds,
    timed_out,
)
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    CredentialExpired,
    LocationFull,
    Rejected,
    StoreError,
    Throttled,
)
from wedbackup.core.clock import Clock

CAUGHT = (GoogleAPICallError, GoogleAuthError, requests.RequestException, line.HTTPError, OSError, ValueError)

_LINE = (requests.RequestException, line.HTTPError, OSError)
_THROTTLE_REASONS = {"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded"}
_FULL_REASONS = {"quotaExceeded", "storageQuotaExceeded"}
_RETENTION_REASONS = {"retentionPolicyNotMet", "objectUnderActiveHold"}
_DIGEST_WORDS = "doesn't match calculated"


def map_error(exc: Exception, what: str, clock: Clock) -> StoreError:
    """Return the store error for `exc`, raised by the SDK or on the line while doing `what`."""
    if isinstance(exc, GoogleAPICallError):
        return _map_answer(exc, what, clock)
    if isinstance(exc, _LINE):
        return error_of_connection(exc, what)
    if isinstance(exc, GoogleAuthError):
        return AccessDenied(f"{what}: {reason(exc)}")
    return Rejected(f"{what}: {reason(exc)}")


def answer_may_be_lost(exc: Exception) -> bool:
    """Say whether the upload may be stored although it failed for us.

    True for a connection that ended early, for a failed precondition, and for 403: an account that may not delete may
    not replace either, so the second attempt of an upload whose first one succeeded is forbidden. A silent server is
    not asked again, that would double the time until anybody notices.
    """
    if isinstance(exc, GoogleAPICallError):
        return exc.code in (403, 409, 412)
    broken = any(isinstance(link, line.ProtocolError | ConnectionError) for link in chain(exc))
    return broken and not timed_out(exc)


def words_of(exc: GoogleAPICallError) -> str:
    """Return what the server itself said."""
    try:
        said: Any = exc.response.json()["error"]["message"]
    except (AttributeError, ValueError, KeyError, TypeError):
        said = getattr(exc.response, "text", "")
    return " ".join(str(said).split())


def _map_answer(exc: GoogleAPICallError, what: str, clock: Clock) -> StoreError:
    status, words = int(exc.code or 0), words_of(exc)
    message = f"{what}: {status} {words}"[:MESSAGE_CHARACTERS].strip()
    reasons = {str(entry.get("reason", "")) for entry in exc.errors if isinstance(entry, dict)}
    headers = getattr(exc.response, "headers", {})
    retry_after = retry_after_seconds(headers.get("Retry-After"), clock)
    if reasons & _THROTTLE_REASONS:
        return Throttled(message, retry_after=retry_after)
    if reasons & _FULL_REASONS:
        return LocationFull(message)
    if status == 400 and _DIGEST_WORDS in words:
        return ChecksumMismatch(message)
    if status == 401:
        return CredentialExpired(message)
    if status == 403:
        return _advised(AccessDenied(message), reasons, words)
    return error_of_answer(status, message, retry_after=retry_after)


def _advised(denied: AccessDenied, reasons: set[str], words: str) -> AccessDenied:
    """Return `denied` with the advice that fits what the server said."""
    said = words.lower()
    if reasons & _RETENTION_REASONS or "retention" in said:
        denied.advice = "The object is protected until a date; nothing can replace or delete it before."
    elif "billing" in said:
        denied.advice = "Open the project's billing page in Google's console and repair it."
    elif "cloud kms" in said or "cryptokey" in said:
        denied.advice = "Give Cloud Storage's own service agent the role Encrypter/Decrypter on the key."
    return denied
