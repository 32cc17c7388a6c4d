"""Dropbox's exceptions, in the words of providers.stores.errors.

Dropbox answers most refusals with 409 and a nest of tags, such as path / insufficient_space: the innermost known tag
decides. https://www.dropbox.com/developers/documentation/http/documentation#error-handling
"""

from __future__ import annotations

from typing import Any

import requests
from dropbox import exceptions as sdk
from stone.backends.python_rsrc.stone_base import Union
from stone.backends.python_rsrc.stone_validators import ValidationError

from providers.stores.answers import error_of_answer, error_of_connection, reason, retry_after_seconds
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    CredentialExpired,
    InvalidName,
    LocationFull,
    LocationMissing,
    ObjectNotFound,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
    Unsupported,
)
from providers.stores.refusal import Refusal, line_was_cut
from wedbackup.core.clock import Clock

# What the SDK raises; the last four when an answer is not what it expects.
FAILURES = (
    sdk.DropboxException,
    Refusal,
    requests.RequestException,
    OSError,
    ValueError,
    AssertionError,
    KeyError,
    ValidationError,
)
_TAGS: dict[str, type[StoreError]] = {
    "not_found": ObjectNotFound,
    "not_file": ObjectNotFound,
    "not_folder": ObjectNotFound,
    "shared_link_not_found": ObjectNotFound,
    "malformed_path": InvalidName,
    "disallowed_name": InvalidName,
    "folder": InvalidName,
    "file_ancestor": InvalidName,
    "insufficient_space": LocationFull,
    "insufficient_quota": LocationFull,
    "no_write_permission": AccessDenied,
    "no_permission": AccessDenied,
    "access_denied": AccessDenied,
    "access_error": AccessDenied,
    "email_not_verified": AccessDenied,
    "email_unverified": AccessDenied,
    "invalid_root": LocationMissing,
    "too_many_write_operations": Throttled,
    "too_many_requests": Throttled,
    "rate_limit": Throttled,
    "content_hash_mismatch": ChecksumMismatch,
    "not_authorized": Unsupported,
    "no_permission_to_share": Unsupported,
    "conflict": StoreUnavailable,
    "reset": StoreUnavailable,
    "incorrect_offset": StoreUnavailable,
    "lookup_failed": StoreUnavailable,
    "closed": StoreUnavailable,
    "internal_error": StoreUnavailable,
    "other": StoreUnavailable,  # a tag that this SDK does not know yet
}
_ADVICE = {
    "folder": "There is a folder of that name: rename one of the two.",
    "file_ancestor": "A file has the name of a folder above: rename one of the two.",
    "disallowed_name": "Dropbox refuses this name (such as desktop.ini or thumbs.db): rename the document.",
    "invalid_root": "The team space has another id now: correct the namespace id of this location, or leave it empty.",
    "insufficient_space": "The team's Dropbox is full: free space there or add licences.",
    "not_authorized": "The plan of this Dropbox has no such setting for links: leave it out, or change the plan.",
}


def map_error(exc: BaseException, what: str, clock: Clock) -> StoreError:
    """Return the store error for `exc`, raised by the SDK while doing `what`."""
    if isinstance(exc, Refusal):
        retry_after = retry_after_seconds(exc.retry_after, clock)
        return error_of_answer(exc.status, f"{what}: {exc}", retry_after=retry_after)
    if isinstance(exc, sdk.ApiError | sdk.PathRootError):
        return _map_tags(tags_of(exc.error), what, session=_is_about_session(exc))
    if isinstance(exc, sdk.AuthError):
        return _map_refused_token(exc, what)
    if isinstance(exc, sdk.HttpError):
        if "invalid_client" in str(exc.body):
            return AccessDenied(f"{what}: Dropbox does not know this app key and app secret")
        return error_of_answer(exc.status_code, f"{what}: {exc.status_code} {exc.body}")
    if isinstance(exc, requests.RequestException | OSError):
        return error_of_connection(exc, what)
    return StoreUnavailable(f"{what}: the answer is not one of Dropbox ({reason(exc)})")


def tags_of(error: Any) -> list[str]:
    """Return the tags of a nested error of the SDK, outermost first."""
    tags = []
    while error is not None:
        if isinstance(error, Union):
            tags.append(str(error._tag))
            error = error._value
        else:
            error = getattr(error, "reason", None)  # a struct around the next union
    return tags


def correct_offset(exc: sdk.ApiError) -> int | None:
    """Return where the server is in an upload session [bytes], when that is all that `exc` complains about."""
    error = exc.error
    while isinstance(error, Union):
        if error._tag == "incorrect_offset":
            return int(error._value.correct_offset)
        error = error._value
    return None


def session_is_gone(exc: BaseException) -> bool:
    """Say whether an upload session ended: after 7 days, or because it was finished and we never heard."""
    return _is_about_session(exc) and tags_of(exc.error)[-1] in ("not_found", "closed")  # type: ignore[attr-defined]


def answer_may_be_lost(exc: BaseException) -> bool:
    """Say whether the request may have been carried out although it failed for us."""
    if isinstance(exc, sdk.ApiError):
        return session_is_gone(exc) or "conflict" in tags_of(exc.error)
    if isinstance(exc, Refusal):
        return exc.status in (409, 412)
    return line_was_cut(exc)


def _is_about_session(exc: BaseException) -> bool:
    """Say whether `exc` comes from an upload session, where "not_found" means the session."""
    return isinstance(exc, sdk.ApiError) and (
        type(exc.error).__name__ in ("UploadSessionAppendError", "UploadSessionLookupError")
        or "lookup_failed" in tags_of(exc.error)
    )


def _map_tags(tags: list[str], what: str, *, session: bool) -> StoreError:
    message = f"{what}: {'/'.join(tags)}"
    known = [tag for tag in tags if tag in _TAGS]
    if not known:
        return Rejected(message)
    tag = "lookup_failed" if session and known[-1] == "not_found" else known[-1]
    error = _TAGS[tag](message)
    error.advice = _ADVICE.get(tag, error.advice)
    return error


def _map_refused_token(exc: sdk.AuthError, what: str) -> StoreError:
    tag = tags_of(exc.error)[0]
    if tag in ("expired_access_token", "invalid_access_token"):  # the latter also for a refresh token
        return CredentialExpired(f"{what}: Dropbox does not take the token, it expired or was revoked ({tag})")
    error = AccessDenied(f"{what}: {tag}")
    if tag == "missing_scope":
        scope = getattr(exc.error.get_missing_scope(), "required_scope", "")
        error = AccessDenied(f"{what}: the app lacks the scope {scope}")
        error.advice = "Tick this scope in Dropbox's app console, then make a new refresh token: scopes are its own."
    return error
