"""How bytes go up to Google Cloud Storage: bodies without copies, hashes that the server checks, sessions that resume.

Requests are made with the SDK's authorised session and not with its transfer functions: those copy a body twice, retry
inside, and cannot go on with a session that an earlier attempt began.

Functions here raise what `providers.stores.gcs_errors` maps; `providers.stores.gcs` is their only caller.

Protocol: https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import google_crc32c
import requests
from google.api_core.exceptions import GoogleAPICallError, from_http_response

from providers.stores.errors import StoreUnavailable
from providers.stores.gcs_errors import CAUGHT
from providers.stores.transfer import SEND_BYTES, Body, Pace
from wedbackup.core.clock import Clock

CHUNK_MULTIPLE = 256 * 1024
RESUME_INCOMPLETE = 308
HASH_BYTES = 1024 * 1024
_FINISHED = (200, 201)
_SESSION_GONE = (404, 410)
_WAITS_AND_GOES_ON = (408, 429)  # the session stays good
KEPT_SESSIONS = 64


@dataclass(frozen=True)
class Digests:
    """The hashes of a content: SHA-256 in hex, the two that the server checks in base64 as it writes them."""

    sha256: str
    md5: str
    crc32c: str


def digests_of(view: memoryview) -> Digests:
    """Hash `view` in one pass."""
    sha256, md5, crc32c = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    for start in range(0, len(view), HASH_BYTES):
        piece = bytes(view[start : start + HASH_BYTES])  # the CRC takes nothing that could change
        sha256.update(piece)
        md5.update(piece)
        crc32c = google_crc32c.extend(crc32c, piece)
    return Digests(sha256.hexdigest(), _base64(md5.digest()), _base64(crc32c.to_bytes(4, "big")))


@dataclass(frozen=True)
class Line:
    """The SDK's authorised session and the address that every request goes to."""

    session: Any  # AuthorizedSession: the SDK has no types
    base_url: str

    def ask(self, method: str, path: str, *, fine: tuple[int, ...] = (), **more: Any) -> requests.Response:
        """Make one request and return its answer.

        path: below the address, with its query.
        fine: statuses beside 2xx that are no error.

        Raises the SDK's GoogleAPICallError for any other status.
        """
        answer: requests.Response = self.session.request(
            method, f"{self.base_url}{path}", allow_redirects=False, **more
        )
        if answer.status_code not in fine and not 200 <= answer.status_code < 300:
            raise from_http_response(answer)  # type: ignore[no-untyped-call]
        return answer


@dataclass(frozen=True)
class Target:
    """What is to become of the bytes: the bucket's upload path, the object's resource and the query's parameters."""

    path: str
    resource: Mapping[str, Any]
    parameters: Mapping[str, str]


class RelatedBody:
    """A multipart/related body: the object's resource in JSON, then its content, which is not copied."""

    def __init__(self, target: Target, view: memoryview, pace: Pace) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/related; boundary={boundary}"
        head = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(target.resource)}\r\n"
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        self._waiting = [memoryview(head.encode()), view, memoryview(f"\r\n--{boundary}--\r\n".encode())]
        self._size_bytes = sum(map(len, self._waiting))
        self._sent_bytes = 0
        self._pace = pace

    def __len__(self) -> int:
        return self._size_bytes

    def read(self, size: int = -1) -> bytes | memoryview:
        """Return the next piece: at least SEND_BYTES, where its part has so many left."""
        del size
        self._pace.check(self._sent_bytes)
        while self._waiting and not self._waiting[0]:
            del self._waiting[0]
        if not self._waiting:
            return b""
        piece = self._waiting[0][:SEND_BYTES]
        self._waiting[0] = self._waiting[0][SEND_BYTES:]
        self._sent_bytes += len(piece)
        return piece


def upload_at_once(line: Line, target: Target, view: memoryview, clock: Clock) -> Mapping[str, Any]:
    """Send `view` and the object's resource in one request; return the resource that the server made of it."""
    body = RelatedBody(target, view, Pace(clock))
    answer = line.ask(
        "POST",
        target.path,
        params={"uploadType": "multipart", **target.parameters},
        data=body,
        headers={"Content-Type": body.content_type},
    )
    return _resource(answer)


@dataclass
class _Session:
    """An upload session at the server. Whoever knows its path may write to it."""

    path: str = field(repr=False)
    began: datetime


class ResumableUploads:
    """The upload sessions of one store: what an attempt left unfinished, the next one goes on with.

    Kept in memory only. Google keeps what was sent for a week, but lists sessions to nobody.
    """

    def __init__(self, chunk_bytes: int, clock: Clock) -> None:
        self._chunk_bytes = chunk_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Session] = {}

    def upload(self, line: Line, target: Target, view: memoryview, sha256: str) -> Mapping[str, Any]:
        """Send the bytes that the server does not have yet; return the resource that it made of them.

        sha256: of `view`: what was begun for another content is not gone on with.

        After a failure that leaves the session good it is kept for the next call; otherwise it is cancelled.
        """
        identity = (str(target.resource["name"]), sha256)
        with self._lock:
            session = self._kept.pop(identity, None)  # one user at a time
        answer = self._status(line, session, len(view)) if session else None
        if session is None or answer is None:
            session, answer = self._begin(line, target, len(view)), None
        try:
            return self._send(line, session, view, answer)
        except GoogleAPICallError as exc:
            if exc.code in _SESSION_GONE:
                raise StoreUnavailable(f"the upload session of {identity[0]} ended; it begins again") from exc
            if exc.code and exc.code < 500 and exc.code not in _WAITS_AND_GOES_ON:
                _cancel(line, session)
            else:
                self._keep(identity, session)
            raise
        except BaseException:
            self._keep(identity, session)
            raise

    def forget(self, name: str, sha256: str) -> None:
        """Keep no session of this object: it is stored."""
        with self._lock:
            self._kept.pop((name, sha256), None)

    def cancel(self, line: Callable[[], Line], *, before: datetime | None = None) -> int:
        """Cancel the kept sessions, or those begun `before` then; return how many. Stops at the first dead line.

        line: called only if there is something to cancel.
        """
        with self._lock:
            chosen = [identity for identity, kept in self._kept.items() if before is None or kept.began < before]
            sessions = [self._kept.pop(identity) for identity in chosen]
        for number, session in enumerate(sessions):
            if not _cancel(line(), session):
                return number
        return len(sessions)

    def _keep(self, identity: tuple[str, str], session: _Session) -> None:
        with self._lock:
            self._kept[identity] = session
            while len(self._kept) > KEPT_SESSIONS:
                del self._kept[next(iter(self._kept))]

    def _begin(self, line: Line, target: Target, size_bytes: int) -> _Session:
        answer = line.ask(
            "POST",
            target.path,
            params={"uploadType": "resumable", **target.parameters},
            json=target.resource,
            headers={"X-Upload-Content-Type": "application/octet-stream", "X-Upload-Content-Length": str(size_bytes)},
        )
        parts = urlsplit(answer.headers.get("Location", ""))
        if not parts.query:
            raise StoreUnavailable("the server began an upload session but did not say where")
        return _Session(f"{parts.path}?{parts.query}", self._clock.utcnow())  # our token goes to no other host

    def _status(self, line: Line, session: _Session, size_bytes: int) -> requests.Response | None:
        """Ask how far `session` is; None if the server knows it no more."""
        try:
            return _put(line, session, b"", f"bytes */{size_bytes}")
        except GoogleAPICallError as exc:
            if exc.code and 400 <= exc.code < 500 and exc.code not in _WAITS_AND_GOES_ON:
                return None
            raise

    def _send(
        self, line: Line, session: _Session, view: memoryview, answer: requests.Response | None
    ) -> Mapping[str, Any]:
        """Send chunk after chunk from where `answer`, the newest one, says that the server is."""
        position = 0
        while answer is None or answer.status_code not in _FINISHED:
            done = 0 if answer is None else _committed_bytes(answer)
            if done < position:
                raise StoreUnavailable("the server lost a part of what it had confirmed")
            position = done
            piece = view[position : position + self._chunk_bytes]
            end = position + len(piece)
            wanted = f"bytes {position}-{end - 1}/{len(view)}" if piece else f"bytes */{len(view)}"
            body = Body(piece, Pace(self._clock)) if piece else b""
            answer = _put(line, session, body, wanted)
            if answer.status_code == RESUME_INCOMPLETE and _committed_bytes(answer) <= position:
                raise StoreUnavailable("the server took nothing of a whole chunk")
        return _resource(answer)


def _put(line: Line, session: _Session, body: Body | bytes, content_range: str) -> requests.Response:
    headers = {"Content-Range": content_range}
    return line.ask("PUT", session.path, fine=(RESUME_INCOMPLETE,), data=body, headers=headers)


def _cancel(line: Line, session: _Session) -> bool:
    """Cancel `session`; say whether the server answered at all. 499 is its "yes"."""
    with contextlib.suppress(*CAUGHT):
        line.ask("DELETE", session.path, fine=tuple(range(400, 600)))
        return True
    return False


def _committed_bytes(answer: requests.Response) -> int:
    """Return how many bytes the server has for good: "Range: bytes=0-524287", or no such header for none."""
    last = answer.headers.get("Range", "").rpartition("-")[2]
    return int(last) + 1 if last.isdigit() else 0


def _resource(answer: requests.Response) -> Mapping[str, Any]:
    resource: Mapping[str, Any] = answer.json()
    return resource


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
