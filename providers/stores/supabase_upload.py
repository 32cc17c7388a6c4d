"""How bytes go up to Supabase and how we know afterwards that they are the right ones.

Supabase checks nothing that is sent (a flipped bit is stored). It keeps the ETag that its backend computed of what
arrived, and that can be compared:

- stored by one request: the MD5 of the content (file backend and S3 backend, which uses PutObject up to 16 MiB:
  supabase/storage src/storage/backend/file.ts, src/storage/backend/s3/adapter.ts bufferedMultipartUpload);
- stored by TUS on the S3 backend: the MD5 of the parts' MD5s, one part per PATCH of 6 MiB, also when there is only one
  (src/test/tus.test.ts expectedAssetEtag; tus-node-server packages/s3-store uploadParts);
- after a resumed upload, with server-side encryption by KMS, or with another part size: something else. Then only
  reading back tells.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import requests

from providers.stores.errors import ChecksumMismatch, LocationMissing, ObjectNotFound, StoreError, StoreUnavailable
from providers.stores.supabase_api import Service
from providers.stores.transfer import Body, Pace
from providers.stores.unfinished import UnfinishedUploads
from wedbackup.core.clock import Clock

CHUNK_BYTES = 6 * 1024 * 1024  # what the hosted service demands of every PATCH but the last
CONTENT_TYPE = "application/octet-stream"
_PATH = "/upload/resumable"
_TUS = {"Tus-Resumable": "1.0.0", "x-upsert": "true"}


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a content here.

    size_bytes: its length [bytes].
    sha256:     lower-case hex.
    etags:      what the server's ETag can be if it stored these very bytes.
    """

    size_bytes: int
    sha256: str
    etags: tuple[str, ...]

    @classmethod
    def of(cls, view: memoryview, sha256: str | None, *, part_bytes: int = CHUNK_BYTES) -> Fingerprint:
        """Return the fingerprint of `view`; part_bytes: how a large one goes up.

        sha256: what the caller takes it for. Nobody at the other end checks that, so it is checked here: raises
        ChecksumMismatch when the content has another one, because memory failed since.
        """
        digest = hashlib.sha256(view).hexdigest()
        if sha256 not in (None, digest):
            raise ChecksumMismatch("the content does not have the SHA-256 that it is said to have; nothing was sent")
        whole = hashlib.md5(view, usedforsecurity=False)
        digests = [whole.digest()]
        if len(view) > part_bytes:
            pieces = (view[start : start + part_bytes] for start in range(0, len(view), part_bytes))
            digests = [hashlib.md5(piece, usedforsecurity=False).digest() for piece in pieces]
        parts = f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
        return cls(len(view), digest, (whole.hexdigest(), parts))

    def metadata(self) -> str:
        """Return what is stored beside the object, in the same transaction, as JSON."""
        return json.dumps({"sha256": self.sha256, "etags": ",".join(self.etags)})


class ResumableUploads:
    """Uploads by TUS 1.0.0 (https://tus.io/protocols/resumable-upload), which go on where an earlier attempt ended.

    They are remembered in memory only: another process starts anew, and what was left expires at the server.
    """

    def __init__(self, service: Service, bucket: str, clock: Clock) -> None:
        self._service, self._bucket, self._clock = service, bucket, clock
        self._unfinished = UnfinishedUploads[str]()  # by their paths at the server

    def send(self, key: str, view: memoryview, fingerprint: Fingerprint) -> None:
        """Send what the server does not have yet of `view`; the last piece makes the object visible.

        After a failure it is remembered for the next attempt.
        """
        path, offset = self._resume(key, fingerprint)
        if not path:
            path = self._create(key, fingerprint)
        try:
            while offset < len(view):
                offset = self._patch(path, key, offset, view[offset : offset + CHUNK_BYTES])
        except StoreError:
            self._keep(key, fingerprint, path)
            raise

    def abandon(self, key: str, fingerprint: Fingerprint) -> None:
        """Remove what an attempt left, if it left anything."""
        if path := self._unfinished.take(key, fingerprint.sha256):
            self._terminate(path)

    def remove(self, *, before: datetime) -> int:
        """Remove the uploads of this process that nothing happened to since `before`; return how many."""
        paths = self._unfinished.take_before(before)
        for path in paths:
            self._terminate(path)
        return len(paths)

    def _keep(self, key: str, fingerprint: Fingerprint, path: str) -> None:
        self._unfinished.keep(key, fingerprint.sha256, path, now=self._clock.utcnow())

    def _create(self, key: str, fingerprint: Fingerprint) -> str:
        fields = {
            "bucketName": self._bucket,
            "objectName": key,
            "contentType": CONTENT_TYPE,
            "metadata": fingerprint.metadata(),
        }
        headers = {**_TUS, "Upload-Length": str(fingerprint.size_bytes), "Upload-Metadata": _encoded(fields)}
        try:
            response = self._service.call(f"beginning to store {key}", "POST", _PATH, headers=headers)
        except ObjectNotFound as error:  # there is no object yet: it is the bucket that is missing
            raise LocationMissing(f"storing {key}: the bucket {self._bucket} does not exist") from error
        # The answer names a whole address, perhaps not the one we came by: our key goes to no other host.
        upload_id = response.headers.get("Location", "").rstrip("/").rpartition("/")[2]
        if not upload_id:
            raise StoreUnavailable(f"beginning to store {key}: the server named no upload")
        return f"{_PATH}/{upload_id}"

    def _resume(self, key: str, fingerprint: Fingerprint) -> tuple[str, int]:
        """Return the path of an earlier attempt and how far it came [bytes]; ("", 0) without one or if it expired."""
        path = self._unfinished.take(key, fingerprint.sha256)
        if path is None:
            return "", 0
        what = f"asking how much of {key} is there"
        try:
            response = self._service.call(what, "HEAD", path, headers=_TUS)
        except ObjectNotFound:
            return "", 0
        except StoreError:
            self._keep(key, fingerprint, path)
            raise
        return path, _offset(response, 0, fingerprint.size_bytes, what)

    def _patch(self, path: str, key: str, offset: int, piece: memoryview) -> int:
        """Send one piece; return how far the server is now [bytes]."""
        headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        what = f"storing {key} from byte {offset} on"
        body = Body(piece, Pace(self._clock))
        response = self._service.call(what, "PATCH", path, headers=headers, data=body)
        return _offset(response, offset + 1, offset + len(piece), what)

    def _terminate(self, path: str) -> None:
        with contextlib.suppress(StoreError):  # finished or expired meanwhile, or it will expire
            self._service.call("giving up an upload", "DELETE", path, headers=_TUS)


def _offset(response: requests.Response, least: int, most: int, what: str) -> int:
    """Return the offset that the server reports; raise StoreUnavailable if it cannot be true."""
    value = response.headers.get("Upload-Offset", "")
    if not value.isdigit() or not least <= int(value) <= most:
        raise StoreUnavailable(f"{what}: the server's offset {value[:20]!r} is not between {least} and {most}")
    return int(value)


def _encoded(fields: Mapping[str, str]) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
