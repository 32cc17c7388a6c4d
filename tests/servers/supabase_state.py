"""What the fake of Supabase Storage (tests.servers.supabase) knows and keeps: buckets, objects, uploads, keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.servers.ports import free_port
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

S3_PUT_BYTES_MAX = 16 * 1024 * 1024
SECRET_KEY = "sb_secret_of-the-tests"
S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION = "an-access-key-of-the-tests", "and-its-secret", "eu-central-1"


@dataclass
class Bucket:
    """Its settings, and what the database knows of its objects."""

    public: bool = False
    file_size_limit: int | None = None
    allowed_mime_types: list[str] | None = None
    rows: dict[str, Row] = field(default_factory=dict)


@dataclass
class Row:
    """One object in the database; its bytes are in the backend under `version`."""

    version: str
    size_bytes: int
    etag: str
    modified: datetime
    user_metadata: dict[str, str] | None


@dataclass
class Upload:
    """An unfinished TUS upload."""

    bucket: str
    name: str
    size_bytes: int
    created: datetime
    user_metadata: dict[str, str] | None
    content: bytearray = field(default_factory=bytearray)
    parts: list[bytes] = field(default_factory=list)  # MD5s of the parts that S3 has
    joined: int = 0  # how many bytes are in parts
    lock: threading.Lock = field(default_factory=threading.Lock)  # one request at a time, as tus-node-server does it


@dataclass
class Parts:
    """An unfinished multipart upload of the S3 endpoint."""

    bucket: str
    name: str
    begun: datetime
    contents: dict[int, bytes] = field(default_factory=dict)


class Refusal(Exception):
    """What the service does not do: a JSON body, or plain text if `tus`."""

    def __init__(self, status: int, code: str, message: str, *, tus: bool = False) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.tus = status, code, message, tus


class Supabase:
    """The service behind the handler: its state, shared by all threads.

    backend:   "file" or "s3", which differ in their ETags.
    encrypted: the backend's ETags are no MD5 (S3 with SSE-KMS).
    cached:    a CDN answers all downloads.
    """

    def __init__(self, *, backend: str = "file", clock: Clock = SYSTEM_CLOCK) -> None:
        self.backend, self.clock = backend, clock
        self.encrypted = self.cached = False
        self.port = free_port()
        self.buckets: dict[str, Bucket] = {}
        self.uploads: dict[str, Upload] = {}
        self.multiparts: dict[str, Parts] = {}
        self.blobs: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self._jwt_secret = secrets.token_hex(32)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key(self, role: str = "service_role", *, days: float = 3650, secret: str = "") -> str:
        """Return a JWT for `role` that is good for `days`, signed with the project's secret or another one."""
        claims = {"role": role, "exp": int((self.clock.utcnow() + timedelta(days=days)).timestamp())}
        header = {"alg": "HS256", "typ": "JWT"}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{self._signature(signed, secret or self._jwt_secret)}"

    def role_of(self, authorization: str) -> str:
        """Return the role of a request; raise Refusal for a key that is not good."""
        key = authorization.removeprefix("Bearer ")
        if key == SECRET_KEY:
            return "service_role"
        signed, _, signature = key.rpartition(".")
        if signed.count(".") != 1:
            raise Refusal(403, "AccessDenied", "Invalid Compact JWS")
        if not hmac.compare_digest(signature, self._signature(signed, self._jwt_secret)):
            raise Refusal(403, "AccessDenied", "signature verification failed")
        claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        if claims["exp"] <= self.clock.utcnow().timestamp():
            raise Refusal(403, "AccessDenied", '"exp" claim timestamp check failed')
        return str(claims["role"])

    def complete(self, bucket: str, name: str, content: bytes, etag: str, user_metadata: dict[str, str] | None) -> None:
        """Make an upload visible: the last one to get here is the one that stays."""
        version = secrets.token_hex(8)
        with self.lock:
            rows = self.buckets[bucket].rows
            old = rows.get(name)
            self.blobs[version] = content
            rows[name] = Row(version, len(content), etag, self.clock.utcnow(), user_metadata)
            if old is not None:
                self.blobs.pop(old.version, None)

    def etag(self, content: bytes, parts: list[bytes] | None = None) -> str:
        """Return the ETag that this backend computes; parts: the MD5s of the parts that S3 was given."""
        if self.encrypted:
            return f'"{secrets.token_hex(16)}"'
        if self.backend == "s3" and parts is None and len(content) > S3_PUT_BYTES_MAX:
            starts = range(0, len(content), S3_PUT_BYTES_MAX)
            parts = [md5(content[start : start + S3_PUT_BYTES_MAX]) for start in starts]
        if self.backend == "s3" and parts is not None:
            return f'"{md5(b"".join(parts)).hex()}-{len(parts)}"'
        return f'"{md5(content).hex()}"'

    def damage(self, bucket: str, name: str) -> None:
        """Flip a bit of the stored bytes, as a failing disk does."""
        row = self.buckets[bucket].rows[name]
        content = bytearray(self.blobs[row.version])
        content[len(content) // 2] ^= 1
        self.blobs[row.version] = bytes(content)

    def lose(self, bucket: str, name: str) -> None:
        """Lose the bytes and keep the database's row."""
        del self.blobs[self.buckets[bucket].rows[name].version]

    @staticmethod
    def _signature(signed: str, secret: str) -> str:
        return base64url(hmac.digest(secret.encode(), signed.encode(), "sha256"))


def md5(content: bytes) -> bytes:
    return hashlib.md5(content).digest()


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
