"""How bytes go up to Box: in one request with their SHA-1, or in parts of an upload session, each with its own.

Functions here raise the SDK's own exceptions, and SessionGone; `providers.stores.box` is their only caller.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from box_sdk_gen import BoxAPIError, UploadFileAttributes, UploadFileAttributesParentField, UploadFileVersionAttributes

from providers.stores.box_errors import FAILURES, SessionGone, map_error, status_of
from providers.stores.box_line import Stream
from providers.stores.box_tree import Item
from providers.stores.errors import StoreUnavailable
from providers.stores.unfinished import UnfinishedUploads
from wedbackup.core.clock import Clock

PARTS_PAGE = 1000
COMMIT_QUESTIONS = 10
COMMIT_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Target:
    """Where a document goes: the name in a folder, as a new version of `item` if that has the name already."""

    folder_id: str
    name: str
    item: Item | None


@dataclass(frozen=True)
class Session:
    """An upload session; all parts but the last have `part_bytes` [bytes]."""

    id: str
    part_bytes: int


def upload_at_once(client: Any, target: Target, view: memoryview, sha1: str, clock: Clock) -> Any:
    """Store `view` with one request; return Box's file."""
    stream = Stream(view, clock)
    if target.item:
        attributes = UploadFileVersionAttributes(target.name)
        return only_entry(client.uploads.upload_file_version(target.item.id, attributes, stream, content_md_5=sha1))
    parent = UploadFileAttributesParentField(target.folder_id)
    attributes = UploadFileAttributes(target.name, parent)
    return only_entry(client.uploads.upload_file(attributes, stream, file_file_name="document", content_md_5=sha1))


def only_entry(answer: Any) -> Any:
    """Return the file in the answer to an upload; raises ValueError if there is none."""
    if not answer.entries or not answer.entries[0].sha_1:
        raise ValueError("no file")
    return answer.entries[0]


class PartUploads:
    """Uploads in parts; an interrupted one is kept for the next attempt of the same content to the same path."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unfinished: UnfinishedUploads[Session] = UnfinishedUploads()

    def upload(self, client: Any, path: str, target: Target, view: memoryview, sha1: str) -> Any:
        """Store `view` at `path`; return Box's file."""
        session = self._unfinished.take(path, sha1)
        kept = self._kept_parts(client, session) if session else {}
        session = session or self._begin(client, target, len(view))
        try:
            parts = [
                self._part(client, session, view, start, kept.get(start))
                for start in range(0, len(view), session.part_bytes)
            ]
            return self._commit(client, session, parts, sha1)
        except (*FAILURES, StoreUnavailable) as exc:
            error = exc if isinstance(exc, StoreUnavailable) else map_error(exc, path, self._clock)
            if error.retryable and not isinstance(exc, SessionGone):
                self._unfinished.keep(path, sha1, session, now=self._clock.utcnow())
            else:
                self._abort(client, session)
            raise

    def abort_before(self, client: Any, moment: datetime) -> int:
        """Abort what this process left unfinished before `moment`; return how many."""
        sessions = self._unfinished.take_before(moment)
        for session in sessions:
            self._abort(client, session)
        return len(sessions)

    def _begin(self, client: Any, target: Target, size_bytes: int) -> Session:
        if target.item:
            begun = client.chunked_uploads.create_file_upload_session_for_existing_file(
                target.item.id, size_bytes, file_name=target.name
            )
        else:
            begun = client.chunked_uploads.create_file_upload_session(target.folder_id, size_bytes, target.name)
        if not begun.id or not begun.part_size:
            raise ValueError("no upload session")
        return Session(begun.id, begun.part_size)

    def _kept_parts(self, client: Any, session: Session) -> dict[int, Any]:
        """Return the parts that the server has, by where they begin."""
        parts: dict[int, Any] = {}
        while True:
            with _gone(session):
                page = client.chunked_uploads.get_file_upload_session_parts(
                    session.id, offset=len(parts), limit=PARTS_PAGE
                )
            parts |= {part.offset: part for part in page.entries}
            if len(page.entries) < PARTS_PAGE:
                return parts

    def _part(self, client: Any, session: Session, view: memoryview, start: int, kept: Any) -> Any:
        """Return the part that begins at `start`, sending it unless the server holds the very same bytes."""
        piece = view[start : start + session.part_bytes]
        sha1 = hashlib.sha1(piece, usedforsecurity=False)
        if kept and (kept.sha_1, kept.size) == (sha1.hexdigest(), len(piece)):
            return kept
        with _gone(session):
            sent = client.chunked_uploads.upload_file_part(
                session.id,
                Stream(piece, self._clock),
                _digest(sha1.digest()),
                f"bytes {start}-{start + len(piece) - 1}/{len(view)}",
            )
        if not sent.part:
            raise ValueError("no part")
        return sent.part

    def _commit(self, client: Any, session: Session, parts: list[Any], sha1: str) -> Any:
        """Make the file out of its parts; Box answers "not yet" while it still puts them together."""
        for _ in range(COMMIT_QUESTIONS):
            with _gone(session):
                answer = client.chunked_uploads.create_file_upload_session_commit(
                    session.id, parts, _digest(bytes.fromhex(sha1))
                )
            if answer is not None:
                return only_entry(answer)
            self._clock.sleep(COMMIT_PAUSE_SECONDS)
        raise StoreUnavailable("Box is still putting the parts together", retry_after=COMMIT_QUESTIONS)

    def _abort(self, client: Any, session: Session) -> None:
        with contextlib.suppress(*FAILURES):
            client.chunked_uploads.delete_file_upload_session_by_id(session.id)


@contextlib.contextmanager
def _gone(session: Session) -> Any:
    """Turn "not found" into SessionGone: it does not mean a document here."""
    try:
        yield
    except BoxAPIError as exc:
        if status_of(exc) in (404, 410):
            raise SessionGone(session.id) from exc
        raise


def _digest(sha1: bytes) -> str:
    return f"sha={base64.b64encode(sha1).decode('ascii')}"
