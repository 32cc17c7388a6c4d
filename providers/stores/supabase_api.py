"""Talking to one Supabase project's Storage service; its refusals in the words of providers.stores.errors.

The service answers most refusals with HTTP 400 and the true status in the body: `{"statusCode": "404", "error":
"not_found", "code": "NoSuchKey", "message": "Object not found"}`; the resumable (TUS) part answers with the true status
and plain text. Both: https://github.com/supabase/storage src/http/error-handler.ts, src/http/routes/tus/lifecycle.ts,
src/internal/errors/codes.ts.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests
from urllib3 import exceptions as line

from providers.stores.answers import chain, error_of_answer, error_of_connection, retry_after_seconds
from providers.stores.base import check_name
from providers.stores.errors import (
    AccessDenied,
    CredentialExpired,
    InvalidName,
    LocationFull,
    LocationMissing,
    NoAnswer,
    Rejected,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from providers.stores.options import InvalidOptions, LineOptions
from providers.stores.per_process import PerProcess
from providers.stores.session import make_session
from wedbackup.core.clock import Clock

REFUSAL_BYTES = 64 * 1024
_KEY_ADVICE = (
    "Enter the project's service_role key, or a secret key (sb_secret_...): Project Settings, API Keys in the console."
)
_NAME = re.compile(r"[A-Za-z0-9_/!.*'() &$@=;:+,?-]*")
_EXPIRED_WORDS = ("jwt expired", '"exp" claim timestamp check failed')
_DENIED_CODES = {"AccessDenied", "InvalidJWT", "InvalidSignature", "SignatureDoesNotMatch", "Unauthorized"}
_CACHED = {"HIT", "STALE", "UPDATING", "REVALIDATED"}
_BUSY_CODES = {"LockTimeout", "ResourceLocked", "DatabaseTimeout", "DatabaseReadOnly"}


class Conflict(StoreUnavailable):
    """409: another request was faster, perhaps our own, whose answer was lost."""


class RangePastEnd(Rejected):
    """416: the range wanted begins where the object has ended already."""


class Service:
    """The Storage service of one project: every request carries the key, every failure becomes a StoreError.

    Safe for several threads; a process that inherits it opens connections of its own.
    """

    def __init__(self, url: str, key: str, options: LineOptions, clock: Clock) -> None:
        """url: the project's address; key: the service key; options: how to reach it."""
        self._base = f"{url.rstrip('/')}/storage/v1"
        self._key, self._options, self._clock = key, options, clock
        self._sessions = PerProcess(self._open, requests.Session.close)

    def call(self, what: str, method: str, path: str, **request: Any) -> requests.Response:
        """Send a request (arguments as of `requests`) and return the answer with its whole body.

        what: what is being done, for error messages.
        path: below /storage/v1.
        """
        with self.answer(what, method, path, **request) as response:
            response.content  # noqa: B018 - reads it to the end, while errors are mapped
            return response

    def json(self, what: str, method: str, path: str, **request: Any) -> Any:
        """Like `call`, but return what the answer's JSON says; StoreUnavailable if it is none."""
        response = self.call(what, method, path, **request)
        try:
            return response.json()
        except ValueError as exc:  # some gateway's page
            raise StoreUnavailable(f"{what}: the answer is not the service's own ({response.text[:60]!a})") from exc

    @contextlib.contextmanager
    def answer(self, what: str, method: str, path: str, **request: Any) -> Iterator[requests.Response]:
        """Like `call`, but the body is still to be read inside the block."""
        session = self._sessions.get()
        try:
            with session.request(
                method, f"{self._base}{path}", stream=True, allow_redirects=False, **request
            ) as response:
                if response.status_code >= 300:
                    raise error_of_refusal(response, what, self._clock)
                yield response
        except (OSError, line.HTTPError) as exc:  # what `requests` raises is an OSError
            raise error_of_connection(exc, what) from exc

    def close(self) -> None:
        """Close the connections of this process."""
        self._sessions.close()

    def _open(self) -> requests.Session:
        check_key(self._key)
        session = make_session(self._options)
        session.headers.update(
            {"Authorization": f"Bearer {self._key}", "apikey": self._key, "Accept-Encoding": "identity"}
        )
        return session


@dataclass(frozen=True)
class StoredObject:
    """What the service's database knows of an object.

    size_bytes: its length [bytes].
    etag:       the backend's, without quotes.
    modified:   when it was stored, aware UTC.
    recorded:   the user metadata that its upload wrote, empty for an object of somebody else.
    """

    size_bytes: int
    etag: str
    modified: datetime
    recorded: Mapping[str, str]

    @classmethod
    def of(cls, said: Any, what: str) -> StoredObject:
        """Return what /object/info `said`; raise StoreUnavailable if that makes no sense."""
        try:
            recorded = {name: value for name, value in (said["metadata"] or {}).items() if isinstance(value, str)}
            modified = datetime.fromisoformat(said["last_modified"])
            return cls(int(said["size"]), bare_etag(said["etag"] or ""), modified, recorded)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise _nonsense(what, exc) from exc


def listed_objects(page: Any, what: str) -> list[tuple[str, int, datetime]]:
    """Return name, length [bytes] and time of the objects in a page of a listing; StoreUnavailable if it is none."""
    try:
        return [
            (
                str(entry["name"]),
                int((entry["metadata"] or {}).get("size", 0)),
                datetime.fromisoformat(entry["updated_at"]),
            )
            for entry in page["objects"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise _nonsense(what, exc) from exc


def bare_etag(etag: str) -> str:
    """Return `etag` without its quotes and without the mark of a weak one, which a compressing gateway adds."""
    return etag.removeprefix("W/").strip('"')


def is_cached(headers: Mapping[str, str]) -> bool:
    """Say whether the CDN answered instead of the service (header of Cloudflare, which the hosted service uses)."""
    return headers.get("cf-cache-status", "").upper() in _CACHED


def public_address(project: str, bucket: str, key: str) -> str:
    """Return the address at which anybody reads an object of a public bucket."""
    return f"{project.rstrip('/')}/storage/v1/object/public/{quote(bucket, safe='')}/{quote(key)}"


def check_project_address(url: str) -> None:
    """Raise InvalidOptions unless `url` is the bare address of a project."""
    if not re.fullmatch(r"https?://[^\s/?#@]+/?", url):
        raise InvalidOptions("option url: only https://<project>.storage.supabase.co, with nothing behind it")


def checked_name(name: str) -> str:
    """Return `name` if Supabase takes it (src/storage/limits.ts); raise InvalidName otherwise."""
    if not _NAME.fullmatch(check_name(name, ascii_only=True)):
        raise InvalidName(f"Supabase takes only letters, digits and _/!.*'() &$@=;:+,?- in names: {name[:80]!a}")
    return name


def check_key(key: str) -> None:
    """Raise AccessDenied when `key` says itself that it is not a service key; whether it is good, the server knows.

    The anon key looks the same and fails late and silently: lists are empty, deletions delete nothing.
    """
    role = "publishable" if key.startswith("sb_publishable_") else _role(key)
    if role is not None and role != "service_role":
        error = AccessDenied(f"the key given is the project's {role} key; backups need the service_role key")
        error.advice = _KEY_ADVICE
        raise error


def error_of_refusal(response: requests.Response, what: str, clock: Clock) -> StoreError:
    """Return the store error for `response`, the refusal of what was asked to be done."""
    body = response.raw.read(REFUSAL_BYTES, decode_content=True) or b""
    status, code, message = _meaning(response.status_code, body)
    retry_after = retry_after_seconds(response.headers.get("Retry-After"), clock)
    error = _own_error(status, code, message, f"{what}: {status} {code} {message}"[:300].strip(), retry_after)
    return error or error_of_answer(status, f"{what}: {status} {message}", retry_after=retry_after)


def answer_may_be_lost(error: StoreError) -> bool:
    """Say whether the request may have been carried out although it failed for us: cut off early, or a conflict.

    A silent server is not asked again, that would double the time until anybody notices.
    """
    if isinstance(error, Conflict):
        return True
    if not isinstance(error, StoreUnavailable) or isinstance(error, NoAnswer) or error.__cause__ is None:
        return False
    ended = (line.ProtocolError, http.client.HTTPException, ConnectionResetError, BrokenPipeError)
    return any(isinstance(link, ended) for link in chain(error.__cause__))


def _own_error(status: int, code: str, message: str, text: str, retry_after: float | None) -> StoreError | None:
    """Return the error for what only this service says; None leaves it to the status."""
    if status == 413 or code == "EntityTooLarge":
        return _advised(
            Rejected(text),
            "Raise the file size limit: of the bucket (Storage, Buckets, Edit bucket) and of the project "
            "(Storage, Settings, Global file size limit).",
        )
    if any(words in message for words in _EXPIRED_WORDS):
        return CredentialExpired(text)
    if status in (401, 403) or code in _DENIED_CODES:
        return _advised(AccessDenied(text), _KEY_ADVICE)
    if code == "NoSuchBucket" or message in ("Bucket not found", "The related resource does not exist"):
        return LocationMissing(text)
    if code == "InvalidKey":
        return InvalidName(text)
    if status == 415 or code == "InvalidMimeType":
        return _advised(Rejected(text), "Let the bucket take application/octet-stream (Buckets, Edit bucket).")
    if status == 402:
        return LocationFull(text)
    if status == 416:
        return RangePastEnd(text)
    if status == 409:
        return Conflict(text, retry_after=retry_after)
    if code == "SlowDown":
        return Throttled(text, retry_after=retry_after)
    if status == 540:
        return _advised(StoreUnavailable(text), "The project is paused: resume it in Supabase's console.")
    if status == 423 or code in _BUSY_CODES:
        return StoreUnavailable(text, retry_after=retry_after)
    return None


def _nonsense(what: str, exc: Exception) -> StoreError:
    return StoreUnavailable(f"{what}: the service's answer makes no sense ({exc!r:.60})")


def _advised(error: StoreError, advice: str) -> StoreError:
    error.advice = advice
    return error


def _meaning(http_status: int, body: bytes) -> tuple[int, str, str]:
    """Return the true status, the code and the message of a refusal."""
    text = body.decode("utf-8", "replace").strip()
    try:
        said = json.loads(text)
    except ValueError:
        return http_status, "", text
    if not isinstance(said, dict):
        return http_status, "", text
    status = str(said.get("statusCode", ""))
    known = status.isdigit() and 400 <= int(status) < 600 and http_status < 500
    code = str(said.get("code") or said.get("error") or "")
    return int(status) if known else http_status, code, str(said.get("message") or said.get("error") or "")


def _role(key: str) -> str | None:
    """Return the role that a JWT claims, unchecked; None for any other key."""
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return str(claims.get("role", "")) if isinstance(claims, dict) else None
