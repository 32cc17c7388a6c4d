"""Box's exceptions, in the words of providers.stores.errors.

https://developer.box.com/guides/api-calls/permissions-and-errors/common-errors/
"""

from __future__ import annotations

from typing import Any

import requests
from box_sdk_gen import BoxAPIError, BoxSDKError

from providers.stores.answers import chain, error_of_answer, error_of_connection, reason, retry_after_seconds
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    InvalidName,
    LocationFull,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.stores.refusal import Refusal, line_was_cut
from wedbackup.core.clock import Clock


class SessionGone(Exception):
    """An upload session ended: after 7 days, or because it was committed and we never heard."""


class NameTaken(Exception):
    """A folder has the name that a document should get, or the other way round."""


# What the SDK raises; the last five when an answer is not what it expects.
FAILURES = (
    BoxSDKError,
    Refusal,
    SessionGone,
    NameTaken,
    requests.RequestException,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
)
_CODES: dict[str, type[StoreError]] = {
    "bad_digest": ChecksumMismatch,
    "storage_limit_exceeded": LocationFull,
    "item_name_invalid": InvalidName,
    "item_name_too_long": InvalidName,
    "rate_limit_exceeded": Throttled,
    "name_temporarily_reserved": StoreUnavailable,
    "operation_blocked_temporary": StoreUnavailable,
    "file_size_limit_exceeded": Rejected,
    "invalid_client": AccessDenied,
    "invalid_grant": AccessDenied,
    "unauthorized_client": AccessDenied,
}
_ADVICE = {
    "storage_limit_exceeded": "The owner of this folder has no space left at Box: free some, or raise the allocation.",
    "file_size_limit_exceeded": "The plan of this Box takes no file of this size: change the plan, or leave it out.",
    "invalid_grant": "Have an admin authorise the app in Box's admin console, and check the enterprise id.",
    "unauthorized_client": 'Choose "Server authentication (client credentials grant)" for the app in Box\'s console.',
    "insufficient_scope": "Tick the app's scopes in Box's developer console, then have an admin authorise it again.",
}


def map_error(exc: BaseException, what: str, clock: Clock) -> StoreError:
    """Return the store error for `exc`, raised by the SDK while doing `what`."""
    if isinstance(exc, BoxSDKError) and isinstance(exc.error, Exception):
        exc = exc.error
    if isinstance(exc, BoxAPIError):
        return _map_answer(exc, what, clock)
    if isinstance(exc, Refusal) and exc.status >= 400:
        retry_after = retry_after_seconds(exc.retry_after, clock)
        return error_of_answer(exc.status, f"{what}: {exc}", retry_after=retry_after)
    if isinstance(exc, NameTaken):
        error = InvalidName(f"{what}: {exc}")
        error.advice = "There is a folder of that name, or a document where a folder should be: rename one of the two."
        return error
    if isinstance(exc, SessionGone):
        return StoreUnavailable(f"{what}: Box has forgotten the upload session")
    if isinstance(exc, requests.RequestException | OSError):
        return error_of_connection(exc, what)
    return StoreUnavailable(f"{what}: the answer is not one of Box ({reason(exc)})")


def hide_secrets(exc: BaseException) -> None:
    """Take the request out of the SDK's exceptions: that of a token would show the client's secret."""
    for link in chain(exc):
        if isinstance(link, BoxAPIError):
            link.request_info.headers, link.request_info.body = {}, None


def status_of(exc: BaseException) -> int:
    """Return the HTTP status that `exc` reports; 0 if it came from no answer."""
    if isinstance(exc, BoxAPIError):
        return int(exc.response_info.status_code)
    return exc.status if isinstance(exc, Refusal) else 0


def code_of(exc: BoxAPIError) -> str:
    """Return Box's own word for what went wrong; tokens have theirs in another place."""
    body: Any = exc.response_info.body or {}
    return str(exc.response_info.code or body.get("error") or "")


def conflict_of(exc: BaseException) -> dict[str, Any] | None:
    """Return the item that has the name already, when that is what `exc` says; None if it says something else."""
    if not isinstance(exc, BoxAPIError) or code_of(exc) != "item_name_in_use":
        return None
    conflicts = (exc.response_info.context_info or {}).get("conflicts")
    found = conflicts[0] if isinstance(conflicts, list) and conflicts else conflicts
    return found if isinstance(found, dict) and "id" in found else None


def answer_may_be_lost(exc: BaseException) -> bool:
    """Say whether the request may have been carried out although it failed for us."""
    if isinstance(exc, BoxSDKError) and isinstance(exc.error, Exception):
        exc = exc.error
    if isinstance(exc, SessionGone) or status_of(exc) in (409, 412):
        return True
    return line_was_cut(exc)


def _map_answer(exc: BoxAPIError, what: str, clock: Clock) -> StoreError:
    status, code = status_of(exc), code_of(exc)
    body: Any = exc.response_info.body or {}
    message = f"{what}: {status} {code} {body.get('message') or body.get('error_description') or ''}"
    headers = {name.lower(): value for name, value in exc.response_info.headers.items()}
    retry_after = retry_after_seconds(headers.get("retry-after"), clock)
    if code in _CODES:
        error = _CODES[code](message[:200].strip(), retry_after=retry_after)
    else:
        error = error_of_answer(status, message, retry_after=retry_after)
    error.advice = _ADVICE.get(code, error.advice)
    return error
