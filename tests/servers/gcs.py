"""Google Cloud Storage for tests: gcp-storage-emulator (PyPI) and, in front of its handlers, what it lacks.

The emulator keeps the objects, makes the resources, checks MD5 and CRC32C, and answers ranges. This layer adds what
Google documents and the emulator leaves out:
- connections that stay open, and requests at the same time;
- lists in pages (https://cloud.google.com/storage/docs/json_api/v1/objects/list);
- upload sessions: a cut chunk keeps whole multiples of 256 KiB, a session without bytes has no Range header, a finished
  one still answers, DELETE gives 499 (https://cloud.google.com/storage/docs/performing-resumable-uploads);
- ifGenerationMatch, ifSourceGenerationMatch, ifMetagenerationMatch (.../docs/request-preconditions);
- rewrites that need a second call and change the class (.../docs/json_api/v1/objects/rewrite);
- retention of objects (.../docs/object-lock);
- permissions that are really lacking (.../docs/json_api/v1/buckets/testIamPermissions);
- 416, the words of errors (.../docs/json_api/v1/status-codes), and a token server that checks the signature
  (https://developers.google.com/identity/protocols/oauth2/service-account#httprest).

Not here: lifecycle rules at work, encryption keys, rate limits.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gcp_storage_emulator import server as emulator
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.storage import Storage
from google.auth import jwt

from tests.servers.ports import free_port

KEPT_MULTIPLE = 256 * 1024
REWRITE_BYTES = 1024 * 1024  # a larger object needs a second call
PRIVATE = {"publicAccessPrevention": "enforced", "uniformBucketLevelAccess": {"enabled": True}}
OBJECT = r"/(?:download/)?storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)"


class Status(NamedTuple):
    value: int
    phrase: str


class Refused(Exception):
    """The request gets an error: status, reason and message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass
class GCS:
    """A running server on 127.0.0.1.

    held:   the permissions that every account has; None for all.
    tokens: those that are good. A request without one is anonymous and may do everything, as in the emulator.
    """

    port: int
    storage: Any
    held: set[str] | None = None
    tokens: set[str] = field(default_factory=set)
    tokens_given: int = 0
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)
    finished: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make_bucket(self, **resource: Any) -> str:
        """Make a bucket as docs/providers/gcs.md says, but for what `resource` changes; return its name."""
        name = f"bucket-{secrets.token_hex(6)}"
        with self.lock:
            buckets.create_bucket(name, self.storage)
            self.storage.buckets[name] |= {"iamConfiguration": PRIVATE, **resource}
        return name

    def sessions(self) -> int:
        """Return how many upload sessions are unfinished."""
        return len(self.storage.resumable)

    def key_json(self, **changes: str) -> str:
        """Return the key file of an account that this server knows."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        fields = {
            "type": "service_account",
            "project_id": "a-wedding",
            "client_email": "writer@a-wedding.iam.gserviceaccount.com",
            "private_key_id": "key-1",
            "private_key": pem,
            "token_uri": f"{self.url}/token",
        }
        return json.dumps(fields | changes)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    gcs: GCS

    def serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        cut = len(body) < size
        if cut and "upload_id=" not in self.path:
            self.close_connection = True
            return
        whole, self.rfile = self.rfile, io.BytesIO(body)
        try:
            with self.gcs.lock:
                response = self.answer(body, cut)
        finally:
            self.rfile = whole
        with contextlib.suppress(ConnectionError):
            response.close()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a line that broke on order
            super().handle()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - names of the standard library

    def answer(self, body: bytes, cut: bool) -> Any:
        request, response = emulator.Request(self, self.command), emulator.Response(self)
        try:
            self.check_token()
            if (self.headers.get("Content-Type") or "").startswith("multipart/related"):
                request._data = _parts(self.headers["Content-Type"], body)
            elif cut:
                request._data = body[: len(body) // KEPT_MULTIPLE * KEPT_MULTIPLE]
            _handle(self.gcs, request, response)
        except Refused as refused:
            response.status = Status(refused.status, refused.reason)
            details = {"reason": refused.reason, "message": str(refused)}
            response.json({"error": {"code": refused.status, "message": str(refused), "errors": [details]}})
        return response

    def check_token(self) -> None:
        given = self.headers.get("Authorization", "")
        if given and given.removeprefix("Bearer ") not in self.gcs.tokens:
            raise Refused(401, "authError", "Invalid Credentials")

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


def _parts(content_type: str, body: bytes) -> dict[str, Any]:
    """Split a multipart/related body; the emulator's own way is that of mails, slow with bytes."""
    delimiter = b"\r\n--" + content_type.partition("boundary=")[2].strip('"').encode()
    _, meta, content, _ = (b"\r\n" + body).split(delimiter, 3)
    meta_json, content = meta.partition(b"\r\n\r\n")[2], content.partition(b"\r\n\r\n")[2]
    return {"meta": json.loads(meta_json), "content": content, "content-type": "application/octet-stream"}


def _handle(gcs: GCS, request: Any, response: Any) -> None:
    for method, pattern, function in OWN:
        match = re.fullmatch(pattern, request._parsed_url.path)
        if match and request.method == method and ("upload_id" in request.query) == (function is _session):
            function(gcs, request, response, {key: unquote(value) for key, value in match.groupdict().items()})
            return
    _emulate(gcs, request, response)


def _emulate(gcs: GCS, request: Any, response: Any) -> None:
    for pattern, functions in emulator.HANDLERS:
        match = re.fullmatch(pattern, request.path)
        if match and request.method in functions:
            request.set_match(match)
            functions[request.method](request, response, gcs.storage)
            break
    else:
        raise Refused(501, "notImplemented", "Not implemented")
    if int(response.status.value) == 404 and not response._content:
        bucket = request.params["bucket_name"]
        if bucket in gcs.storage.buckets and "object_id" in request.params:
            raise Refused(404, "notFound", f"No such object: {bucket}/{request.params['object_id']}")
        raise Refused(404, "notFound", "The specified bucket does not exist.")


def _existing(gcs: GCS, bucket: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = gcs.storage.objects.get(bucket, {}).get(name, {})
    return found


def _require(request: Any, parameter: str, found: str) -> None:
    if request.query.get(parameter, [found])[0] != found:
        raise Refused(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def _require_unprotected(existing: dict[str, Any]) -> None:
    until = existing.get("retention", {}).get("retainUntilTime")
    if until and datetime.fromisoformat(until) > datetime.now(UTC):
        raise Refused(403, "retentionPolicyNotMet", f"Object is subject to object retention until {until}.")


def _insert(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    resource = request.data["meta"] if request.query["uploadType"] == ["multipart"] else request.data
    existing = _existing(gcs, names["bucket"], resource["name"])
    _require(request, "ifGenerationMatch", existing.get("generation", "0"))
    _require_unprotected(existing)
    if existing and gcs.held is not None and "storage.objects.delete" not in gcs.held:
        raise Refused(403, "forbidden", "The account does not have storage.objects.delete access to the object.")
    _emulate(gcs, request, response)


def _session(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    (upload_id,) = request.query["upload_id"]
    if upload_id in gcs.finished:
        response.json(gcs.finished[upload_id])
        return
    if upload_id not in gcs.storage.resumable:
        raise Refused(404, "notFound", "The upload session is not known.")
    if request.method == "DELETE":
        del gcs.storage.resumable[upload_id]
        response.status = Status(499, "Client Closed Request")
        return
    _emulate(gcs, request, response)
    if int(response.status.value) == 308 and gcs.storage.get_resumable_byte_count(upload_id) == 0:
        del response._headers["Range"]
    elif int(response.status.value) == 200:
        gcs.finished[upload_id] = json.loads(response._content)
    elif int(response.status.value) == 400:
        gcs.storage.resumable.pop(upload_id, None)  # a wrong hash ends the session


def _list(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    _emulate(gcs, request, response)
    page = json.loads(response._content)
    after = request.query.get("pageToken", [""])[0]
    items = [item for item in page.get("items", []) if item["name"] > after]
    size = int(request.query.get("maxResults", ["1000"])[0])
    page["items"] = items[:size]
    if len(items) > size:
        page["nextPageToken"] = items[size - 1]["name"]
    response.json(page)


def _get(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    found = _existing(gcs, names["bucket"], names["name"])
    first = re.match(r"bytes=(\d+)-", request.get_header("Range") or "")
    if found and first and int(first[1]) >= int(found["size"]):
        raise Refused(416, "requestedRangeNotSatisfiable", "Request range not satisfiable")
    _emulate(gcs, request, response)


def _delete(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    _require_unprotected(_existing(gcs, names["bucket"], names["name"]))
    if gcs.held is not None and "storage.objects.delete" not in gcs.held:
        raise Refused(403, "forbidden", "The account does not have storage.objects.delete access to the object.")
    _emulate(gcs, request, response)
    response.status = Status(204, "No Content")


def _patch(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    existing = _existing(gcs, names["bucket"], names["name"])
    _require(request, "ifMetagenerationMatch", existing.get("metageneration", ""))
    retention = request.data.get("retention")
    if retention and "objectRetention" not in gcs.storage.buckets[names["bucket"]]:
        raise Refused(400, "invalid", "Object retention is not enabled on the bucket.")
    _emulate(gcs, request, response)
    if retention:
        existing["retention"] = retention
        response.json(existing)


def _rewrite(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    existing = _existing(gcs, names["bucket"], names["name"])
    for parameter in ("ifGenerationMatch", "ifSourceGenerationMatch"):
        _require(request, parameter, existing.get("generation", "0"))
    if int(existing.get("size", 0)) > REWRITE_BYTES and "rewriteToken" not in request.query:
        progress = {"totalBytesRewritten": str(REWRITE_BYTES), "objectSize": existing["size"]}
        response.json({"kind": "storage#rewriteResponse", "done": False, "rewriteToken": "go-on", **progress})
        return
    _emulate(gcs, request, response)
    rewritten = _existing(gcs, names["bucket"], names["name"])
    rewritten |= {key: request.data[key] for key in ("storageClass", "metadata") if key in request.data}
    response.json({**json.loads(response._content), "resource": rewritten})


def _permissions(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    asked = request.query.get("permissions", [])
    held = [one for one in asked if gcs.held is None or one in gcs.held]
    response.json({"kind": "storage#testIamPermissionsResponse", "permissions": held})


def _bucket(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    if gcs.held is not None and "storage.buckets.get" not in gcs.held:
        raise Refused(403, "forbidden", "The account does not have storage.buckets.get access to the bucket.")
    _emulate(gcs, request, response)


def _token(gcs: GCS, request: Any, response: Any, names: dict[str, str]) -> None:
    """Give a token to who shows an assertion signed with the account's key; errors are those of OAuth."""
    pem = gcs.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    form = parse_qs(request.data.decode())
    try:
        claims = jwt.decode(form["assertion"][0], certs=pem.decode(), audience=None)
        assert claims["iss"].startswith("writer@") and claims["aud"].endswith("/token")
    except ValueError:
        response.status = Status(400, "Bad Request")
        response.json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        return
    gcs.tokens_given += 1
    gcs.tokens.add(token := f"token-{secrets.token_hex(8)}")
    response.json({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})


UPLOAD = r"/upload/storage/v1/b/(?P<bucket>[^/]+)/o"
OWN: tuple[tuple[str, str, Callable[[GCS, Any, Any, dict[str, str]], None]], ...] = (
    ("POST", "/token", _token),
    ("POST", UPLOAD, _insert),
    ("PUT", UPLOAD, _session),
    ("DELETE", UPLOAD, _session),
    ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)/o", _list),
    ("GET", OBJECT, _get),
    ("DELETE", OBJECT, _delete),
    ("PATCH", OBJECT, _patch),
    ("POST", OBJECT + r"/rewriteTo/b/[^/]+/o/[^/]+", _rewrite),
    ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)/iam/testPermissions", _permissions),
    ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)", _bucket),
)


class _Memory(Storage):
    def _write_config_to_file(self) -> None:
        """Keep nothing for a next start: it would write the list of all objects after each change."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # many stores connect at once


@contextlib.contextmanager
def running_gcs() -> Iterator[GCS]:
    """Start a server with its objects in memory, yield it, stop it."""
    gcs = GCS(free_port(), _Memory(use_memory_fs=True))
    handler = type("BoundHandler", (Handler,), {"gcs": gcs})
    httpd = _Server(("127.0.0.1", gcs.port), handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="gcs")
    thread.start()
    try:
        yield gcs
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join(timeout=10)
