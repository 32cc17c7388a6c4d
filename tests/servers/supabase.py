"""A small honest fake of Supabase Storage, with the real server's quirks; objects are kept in memory.

It speaks REST and TUS; the S3 endpoint is in tests.servers.supabase_s3, what it keeps in tests.servers.supabase_state.

What it does like the real one, and where that is written (repository supabase/storage, August 2026):
- refusals are HTTP 400 with the true status in the body (src/http/error-handler.ts, src/internal/errors/codes.ts);
  those of TUS have the true status and plain text (src/http/routes/tus/lifecycle.ts, tus-node-server
  packages/utils/src/constants.ts);
- nothing that arrives is checked; the ETag is the MD5 of what was stored (backend "file"), or with backend "s3" as S3
  makes it: MD5 up to 16 MiB by REST, MD5 of the parts' MD5s with "-<parts>" by TUS, one part per PATCH, a piece below
  5 MiB joined to the next (src/storage/backend/*, tus-node-server packages/s3-store/src/index.ts uploadParts);
- the database's row and the backend's bytes are two things: info and lists know only the row, reading knows both;
- whether a name exists is asked before the upload and not again at its end, so that of 8 creates at the same time 2 to
  8 "win" (src/storage/uploader.ts canUpload, completeUpload);
- the key is a JWT signed with HS256; a role other than service_role sees empty lists, finds nothing, deletes nothing
  without an error, and may not upload (row-level security); an expired or foreign one is refused in the words of the
  library `jose` (src/internal/auth/jwt.ts). The gateway takes sb_secret_ keys as well
  (https://supabase.com/docs/guides/api/api-keys);
- names hold only the signs of src/storage/limits.ts; list-v2 gives at most 1000 entries and an opaque cursor; a list
  of, or a deletion in, a bucket that does not exist is empty; an empty folder made in the console is a placeholder;
- TUS keeps what arrived of a cut piece, answers 409 to a wrong offset, forgets after an hour (TUS_URL_EXPIRY_MS).

Stricter than the real one: a PATCH that is not the last must have 6 MiB. The documentation demands it
(https://supabase.com/docs/guides/storage/uploads/resumable-uploads); what happens otherwise is not documented.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import threading
import urllib.parse
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.supabase_s3 import S3Endpoint
from tests.servers.supabase_state import Bucket, Refusal, Row, Supabase, Upload, base64url, md5
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

MEBIBYTE = 1024 * 1024
CHUNK_BYTES = 6 * MEBIBYTE
S3_PART_BYTES_MIN = 5 * MEBIBYTE
PAGE_MAX = 1000
TUS_LIFE = timedelta(hours=1)

_KEY = re.compile(r"[A-Za-z0-9_/!.*'() &$@=;:+,?-]+")
_API = "/storage/v1"


class Handler(BaseHTTPRequestHandler):
    """One request. Subclassed with the service that it speaks for."""

    protocol_version = "HTTP/1.1"
    service: Supabase
    role = ""

    def do_GET(self) -> None:
        self._route()

    do_POST = do_PUT = do_PATCH = do_HEAD = do_DELETE = do_GET  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the fault proxy in front keeps the requests."""

    def _route(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.unread = int(self.headers.get("Content-Length", 0))
        try:
            if path.startswith(f"{_API}/s3/"):
                S3Endpoint(self).answer(path.removeprefix(f"{_API}/s3/"))
                return
            self.role = self.service.role_of(self.headers.get("Authorization", ""))
            for method, pattern, run in _ROUTES:
                found = re.fullmatch(_API + pattern, path)
                if found and method == self.command:
                    run(self, *found.groups())
                    return
            raise Refusal(404, "NotFound", f"Route {self.command}:{path} not found")
        except Refusal as refusal:
            self._refuse(refusal)
        except ConnectionError:
            self.close_connection = True

    # --- objects

    def create(self, bucket: str, name: str) -> None:
        settings = self._bucket(bucket, superuser=True)
        limit = settings.file_size_limit
        if limit is not None and self.unread > limit:
            raise Refusal(413, "EntityTooLarge", "The object exceeded the maximum allowed size")
        self._may_upload(settings, name)
        content = self.body()
        if self.unread:  # the client went away: nothing is stored
            self.close_connection = True
            return
        recorded = self.headers.get("x-metadata")
        user_metadata = json.loads(base64.b64decode(recorded)) if recorded else None
        self.service.complete(bucket, name, content, self.service.etag(content), user_metadata)
        self._answer({"Id": secrets.token_hex(16), "Key": f"{bucket}/{name}"})

    def download(self, bucket: str, name: str) -> None:
        cached = {"cf-cache-status": "HIT"} if self.service.cached else {}
        self.send_content(self._row(bucket, name), cached)

    def send_content(self, row: Row, headers: dict[str, str]) -> None:
        """Answer with the bytes that the backend has, or the range of them that is asked for."""
        content = self.service.blobs.get(row.version)
        if content is None:
            raise Refusal(404, "NoSuchKey", "The resource was not found")
        etag = row.etag if self.service.backend == "s3" else self.service.etag(content)
        headers |= {"ETag": etag, "Content-Type": "application/octet-stream"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self.send(200, content, headers)
            return
        start = int(wanted[1])
        end = min(int(wanted[2] or len(content)), len(content) - 1)
        if start >= len(content):
            raise Refusal(416, "InvalidRange", "invalid range provided")
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self.send(206, content[start : end + 1], headers)

    def info(self, bucket: str, name: str) -> None:
        row = self._row(bucket, name)
        modified = row.modified.isoformat()
        self._answer(
            {"id": row.version, "name": name, "version": row.version, "bucket_id": bucket, "size": row.size_bytes}
            | {"content_type": "application/octet-stream", "cache_control": "no-cache", "etag": row.etag}
            | {"metadata": row.user_metadata, "last_modified": modified, "created_at": modified},
            {"ETag": row.etag},
        )

    def list_v2(self, bucket: str) -> None:
        wanted = json.loads(self.body())
        settings = self.service.buckets.get(bucket)
        after = base64.b64decode(wanted["cursor"]).decode() if "cursor" in wanted else ""
        rows = dict(settings.rows) if settings and self._sees_all() else {}
        names = sorted(name for name in rows if name.startswith(wanted["prefix"]) and name > after)
        limit = min(wanted.get("limit", PAGE_MAX), PAGE_MAX)
        objects = [
            {
                "id": rows[name].version,
                "name": name,
                "updated_at": rows[name].modified.isoformat(),
                "metadata": {"size": rows[name].size_bytes, "eTag": rows[name].etag},
            }
            for name in names[:limit]
        ]
        page: dict[str, Any] = {"folders": [], "objects": objects, "hasNext": len(names) > limit}
        if page["hasNext"]:
            page["nextCursor"] = base64.b64encode(names[limit - 1].encode()).decode()
        self._answer(page)

    def delete(self, bucket: str) -> None:
        prefixes = json.loads(self.body())["prefixes"]
        settings, deleted = self.service.buckets.get(bucket), []
        if settings is not None and self._sees_all():
            with self.service.lock:
                for name in prefixes:
                    if row := settings.rows.pop(name, None):
                        self.service.blobs.pop(row.version, None)
                        deleted.append({"name": name, "bucket_id": bucket})
        self._answer(deleted)

    def bucket(self, name: str) -> None:
        settings = self._bucket(name)
        self._answer(
            {"id": name, "name": name, "public": settings.public, "file_size_limit": settings.file_size_limit}
            | {"allowed_mime_types": settings.allowed_mime_types}
        )

    # --- TUS

    def tus_create(self) -> None:
        fields = {
            key: base64.b64decode(value).decode()
            for key, value in (pair.split(" ") for pair in self.headers["Upload-Metadata"].split(","))
        }
        bucket, name, size = fields["bucketName"], fields["objectName"], int(self.headers["Upload-Length"])
        if bucket not in self.service.buckets:
            raise Refusal(404, "NoSuchBucket", "Bucket not found", tus=True)
        settings = self.service.buckets[bucket]
        if settings.file_size_limit is not None and size > settings.file_size_limit:
            raise Refusal(413, "", "Maximum size exceeded\n", tus=True)
        self._may_upload(settings, name, tus=True)
        recorded = json.loads(fields["metadata"]) if "metadata" in fields else None
        upload_id = base64url(f"{bucket}/{name}/{secrets.token_hex(8)}".encode())
        self.service.uploads[upload_id] = Upload(bucket, name, size, self.service.clock.utcnow(), recorded)
        # In production it names https and its own host, whatever the client came by (lifecycle.ts generateUrl).
        self.send(201, b"", {"Location": f"https://project.supabase.co{_API}/upload/resumable/{upload_id}"})

    def tus_head(self, upload_id: str) -> None:
        upload = self._upload(upload_id)
        with upload.lock:
            offset = len(upload.content)
        self.send(200, b"", {"Upload-Offset": str(offset), "Upload-Length": str(upload.size_bytes)})

    def tus_patch(self, upload_id: str) -> None:
        upload, offset = self._upload(upload_id), int(self.headers["Upload-Offset"])
        if offset != len(upload.content):
            raise Refusal(409, "", "Upload-Offset conflict\n", tus=True)
        if self.unread != CHUNK_BYTES and offset + self.unread != upload.size_bytes:
            raise Refusal(400, "", f"a piece of {self.unread} bytes that is not the last\n", tus=True)
        with upload.lock:
            for piece in self.pieces():
                upload.content += piece
            self._join(upload)
        if self.unread:
            self.close_connection = True
            return
        if len(upload.content) == upload.size_bytes:
            content = bytes(upload.content)
            parts = upload.parts if self.service.backend == "s3" else None
            etag = self.service.etag(content, parts)
            self.service.complete(upload.bucket, upload.name, content, etag, upload.user_metadata)
        self.send(204, b"", {"Upload-Offset": str(len(upload.content))})

    def tus_delete(self, upload_id: str) -> None:
        upload = self._upload(upload_id)
        if len(upload.content) == upload.size_bytes:
            raise Refusal(400, "", "Cannot terminate an already completed upload", tus=True)
        del self.service.uploads[upload_id]
        self.send(204, b"")

    def _upload(self, upload_id: str) -> Upload:
        upload = self.service.uploads.get(upload_id)
        if upload is None:
            raise Refusal(404, "", "The file for this url was not found\n", tus=True)
        if self.service.clock.utcnow() > upload.created + TUS_LIFE:
            raise Refusal(410, "", "The file for this url no longer exists\n", tus=True)
        return upload

    @staticmethod
    def _join(upload: Upload) -> None:
        """Hand to S3 what is enough for a part; what is too small waits for the next piece."""
        waiting = upload.content[upload.joined :]
        if waiting and (len(waiting) >= S3_PART_BYTES_MIN or len(upload.content) == upload.size_bytes):
            upload.parts.append(md5(bytes(waiting)))
            upload.joined = len(upload.content)

    # --- rights

    def _sees_all(self) -> bool:
        return self.role == "service_role"

    def _bucket(self, name: str, *, superuser: bool = False) -> Bucket:
        settings = self.service.buckets.get(name)
        if settings is None or not (superuser or self._sees_all()):
            raise Refusal(404, "NoSuchBucket", "Bucket not found")
        return settings

    def _row(self, bucket: str, name: str) -> Row:
        row = self._bucket(bucket, superuser=True).rows.get(name)
        if row is None or not self._sees_all():
            raise Refusal(404, "NoSuchKey", "Object not found")
        return row

    def _may_upload(self, settings: Bucket, name: str, *, tus: bool = False) -> None:
        kind = self.headers.get("Content-Type", "application/octet-stream")
        if not _KEY.fullmatch(name):
            raise Refusal(400, "InvalidKey", f"Invalid key: {name}", tus=tus)
        if not self._sees_all():
            raise Refusal(403, "AccessDenied", "new row violates row-level security policy", tus=tus)
        if settings.allowed_mime_types is not None and kind not in settings.allowed_mime_types:
            raise Refusal(415, "InvalidMimeType", f"mime type {kind} is not supported", tus=tus)
        if name in settings.rows and self.headers.get("x-upsert") != "true":
            raise Refusal(409, "KeyAlreadyExists", "The resource already exists", tus=tus)

    # --- the wire

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives; `unread` says how much never came."""
        with contextlib.suppress(ConnectionError):
            while self.unread and (piece := self.rfile.read1(min(self.unread, 256 * 1024))):
                self.unread -= len(piece)
                yield piece

    def body(self) -> bytes:
        return b"".join(self.pieces())

    def _answer(self, said: object, headers: dict[str, str] | None = None) -> None:
        self.send(200, json.dumps(said).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _refuse(self, refusal: Refusal) -> None:
        self.body()
        if refusal.tus:
            self.send(refusal.status, refusal.message.encode(), {"Content-Type": "text/plain"})
            return
        said = {"statusCode": str(refusal.status), "code": refusal.code, "error": refusal.code}
        body = json.dumps(said | {"message": refusal.message}).encode()
        self.send(500 if refusal.status == 500 else 400, body, {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


_ROUTES = (
    ("POST", r"/upload/resumable/?", Handler.tus_create),
    ("HEAD", r"/upload/resumable/([^/]+)", Handler.tus_head),
    ("PATCH", r"/upload/resumable/([^/]+)", Handler.tus_patch),
    ("DELETE", r"/upload/resumable/([^/]+)", Handler.tus_delete),
    ("GET", r"/bucket/([^/]+)", Handler.bucket),
    ("GET", r"/object/info/authenticated/([^/]+)/(.+)", Handler.info),
    ("GET", r"/object/authenticated/([^/]+)/(.+)", Handler.download),
    ("POST", r"/object/list-v2/([^/]+)", Handler.list_v2),
    ("POST", r"/object/([^/]+)/(.+)", Handler.create),
    ("DELETE", r"/object/([^/]+)", Handler.delete),
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error here."""


@contextlib.contextmanager
def running_supabase(*, backend: str = "file", clock: Clock = SYSTEM_CLOCK) -> Iterator[Supabase]:
    """Start the fake with these peculiarities, yield it, stop it."""
    service = Supabase(backend=backend, clock=clock)
    handler = type("BoundHandler", (Handler,), {"service": service})
    server = _Server(("127.0.0.1", service.port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name="supabase")
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
