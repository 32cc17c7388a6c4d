"""Files above one request go up to Dropbox through upload sessions, each piece checked by its content hash.

A session cannot be aborted: what nobody finishes is invisible and disappears after 7 days. Functions here raise the
SDK's own exceptions; `providers.stores.dropbox` is their only caller and maps them.
"""

from __future__ import annotations

from dataclasses import dataclass

import dropbox
from dropbox.exceptions import ApiError
from dropbox.files import CommitInfo, FileMetadata, UploadSessionCursor, WriteMode

from providers.stores.dropbox_errors import FAILURES, correct_offset, map_error, session_is_gone
from providers.stores.dropbox_line import content_hash
from providers.stores.unfinished import UnfinishedUploads
from wedbackup.core.clock import Clock

CORRECTIONS_MAX = 5


@dataclass
class Session:
    """An upload session; offset is where the server stands, as far as we know [bytes]."""

    id: str
    offset: int = 0


class SessionUploads:
    """Uploads by sessions; an interrupted one is kept for the next attempt of the same content to the same path."""

    def __init__(self, part_bytes: int, clock: Clock) -> None:
        self._part_bytes = part_bytes
        self._clock = clock
        self._unfinished: UnfinishedUploads[Session] = UnfinishedUploads()

    def upload(self, client: dropbox.Dropbox, path: str, view: memoryview, whole_hash: str) -> FileMetadata:
        """Store `view`, whose content hash is `whole_hash`, at `path`."""
        session = self._unfinished.take(path, whole_hash)
        if session is None:
            session = Session(
                client.files_upload_session_start(b"", content_hash=content_hash(memoryview(b""))).session_id
            )
        try:
            self._send(client, session, view)
            cursor = UploadSessionCursor(session.id, len(view))
            commit = CommitInfo(path, WriteMode.overwrite, mute=True)
            return client.files_upload_session_finish(b"", cursor, commit)
        except FAILURES as exc:
            if map_error(exc, path, self._clock).retryable and not session_is_gone(exc):
                self._unfinished.keep(path, whole_hash, session, now=self._clock.utcnow())
            raise

    def _send(self, client: dropbox.Dropbox, session: Session, view: memoryview) -> None:
        """Send what is missing; where the server stands elsewhere than we thought, go on from there."""
        corrections = 0
        while session.offset < len(view):
            piece = bytes(view[session.offset : session.offset + self._part_bytes])
            try:
                client.files_upload_session_append_v2(
                    piece, UploadSessionCursor(session.id, session.offset), content_hash=content_hash(memoryview(piece))
                )
                session.offset += len(piece)
            except ApiError as exc:
                right = correct_offset(exc)
                corrections += 1
                if right is None or not 0 <= right <= len(view) or corrections > CORRECTIONS_MAX:
                    raise
                session.offset = right
