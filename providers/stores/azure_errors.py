"""What Azure Blob Storage answers when something goes wrong, in the words of providers.stores.errors.

Azure's own error code decides first; answers to HEAD have no body, but carry the code in a header.
Codes: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
"""

from __future__ import annotations

import re
from typing import Any

from azure.core import exceptions as sdk

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
)
from wedbackup.core.clock import Clock

_KINDS: dict[str, type[StoreError]] = {
    "ContainerNotFound": LocationMissing,
    "ContainerBeingDeleted": LocationMissing,
    "ContainerDisabled": LocationMissing,
    "AccountIsDisabled": LocationMissing,
    "BlobNotFound": ObjectNotFound,
    "BlobArchived": Archived,
    "BlobBeingRehydrated": Archived,
    "Md5Mismatch": ChecksumMismatch,
    "InvalidMd5": ChecksumMismatch,
    "Crc64Mismatch": ChecksumMismatch,
    "ServerBusy": Throttled,
    "OperationTimedOut": StoreUnavailable,
    "InvalidBlockList": StoreUnavailable,  # another upload of the same name took the blocks: send them again
    "InvalidAuthenticationInfo": AccessDenied,
    "PublicAccessNotPermitted": AccessDenied,
    "BlobImmutableDueToPolicy": AccessDenied,
    "BlobImmutableDueToLegalHold": AccessDenied,
    "SnapshotsPresent": Rejected,
    "InvalidBlobType": Rejected,
    "BlockCountExceedsLimit": Rejected,
    "LeaseIdMissing": Rejected,
    "ResourceTypeMismatch": Rejected,
    "StorageCapacityExceeded": LocationFull,
}
_ADVICE = {
    "AccountIsDisabled": "Azure has disabled the storage account: look at the subscription and its payment.",
    "ContainerBeingDeleted": "Somebody deleted the container: restore it in the portal or make a new one.",
    "BlobImmutableDueToPolicy": "It is protected against changes; it can go when its retention has ended.",
    "BlobImmutableDueToLegalHold": "A legal hold protects it; whoever set it has to lift it first.",
    "LeaseIdMissing": "Something holds a lease on the blob: break the lease in the portal, then try again.",
    "AuthorizationFailure": "Check the rights of the credential, and whether the account's firewall lets this host in.",
    "AuthorizationPermissionMismatch": "The SAS token lacks a right for this: see the least rights in the guide.",
    "AuthorizationSourceIPMismatch": "The SAS token is for other IP addresses than this host's: make a new one.",
    "AuthorizationProtocolMismatch": "The SAS token is for https only: write the address with https:// in front.",
    "KeyBasedAuthenticationNotPermitted": "The account takes no account key: use a SAS token of a user delegation.",
}
_SIGNATURE = re.compile(r"(?i)(\bsig=)[^&\s'\")]+")
_TOO_OLD = "date header too old"
_OUTSIDE = "not valid in the specified time frame"


def map_error(exc: Exception, what: str, clock: Clock) -> StoreError:
    """Return the store error for `exc`, raised by the SDK or the line while doing `what`.

    Signatures are taken out of the messages of `exc` and of what it wraps: a SAS token is part of each URL.
    """
    _hide_signatures(exc)
    if isinstance(exc, sdk.HttpResponseError) and exc.status_code:
        return _map_answer(exc, what, clock)
    if isinstance(exc, sdk.ClientAuthenticationError):  # signing failed, nothing was sent
        return AccessDenied(f"{what}: the account key is not one; copy it whole from the portal (Access keys)")
    if isinstance(exc, ValueError):
        return StoreUnavailable(f"{what}: the answer makes no sense ({reason(exc)})")
    return error_of_connection(exc, what)


def answer_may_be_lost(exc: Exception) -> bool:
    """Say whether the request may have been carried out although it failed for us.

    True for a connection that ended early and for 409 and 412: the answers to a request that was already done.
    A silent server is not asked again, that would double the time until anybody notices.
    """
    if isinstance(exc, sdk.HttpResponseError) and exc.status_code:
        return exc.status_code in (409, 412)
    return isinstance(exc, sdk.ServiceResponseError) and not timed_out(exc)


def code_of(exc: sdk.HttpResponseError) -> str:
    """Return Azure's own code for what went wrong; "" if it gave none."""
    code = getattr(exc, "error_code", None) or _header(exc, "x-ms-error-code")
    return str(getattr(code, "value", code) or "")


def _map_answer(exc: sdk.HttpResponseError, what: str, clock: Clock) -> StoreError:
    status, code = int(exc.status_code or 0), code_of(exc)
    said = str(exc.message).split("\n", 1)[0]
    message = f"{what}: {status} {code} {said}"[:MESSAGE_CHARACTERS].strip()
    retry_after = retry_after_seconds(_header(exc, "retry-after"), clock)
    if code == "AuthenticationFailed" and (error := _authentication_error(exc, what, clock)):
        return error
    kind = _KINDS.get(code) or (StoreUnavailable if status < 400 else None)  # a success of somebody else's
    error = (
        kind(message, retry_after=retry_after) if kind else error_of_answer(status, message, retry_after=retry_after)
    )
    error.advice = _ADVICE.get(code, error.advice)
    return error


def _header(exc: sdk.HttpResponseError, name: str) -> str | None:
    answer: Any = exc.response
    return answer.headers.get(name) if answer is not None else None


def _authentication_error(exc: sdk.HttpResponseError, what: str, clock: Clock) -> StoreError | None:
    """Return the error when the clocks or the token's time are the reason; other details quote the signature."""
    detail = str(getattr(exc, "additional_info", {}).get("authenticationerrordetail") or "") + str(exc.message)
    if _TOO_OLD in detail:
        return ClockSkewed(f"{what}: Azure's clock differs (this machine's is {clock.utcnow():%Y-%m-%d %H:%M:%S} UTC)")
    if _OUTSIDE in detail:
        return CredentialExpired(f"{what}: the SAS token has expired or is not valid yet")
    return None


def _hide_signatures(exc: BaseException) -> None:
    for link in chain(exc):
        link.args = tuple(_SIGNATURE.sub(r"\1...", part) if isinstance(part, str) else part for part in link.args)
        if isinstance(link, sdk.AzureError):
            link.message = _SIGNATURE.sub(r"\1...", str(link.message))
