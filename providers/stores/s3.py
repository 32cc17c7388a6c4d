"""AWS S3 and servers that speak its language: Swift, Ceph, MinIO, R2, B2, Wasabi.

What is special here:
- The provider's server checks what arrives against a checksum in the request, in the way its `checksum` profile says
  (AWS: sha256; R2: sha256_header_only; B2, Wasabi, older Ceph: md5). A pack goes up in one request, so AWS
  afterwards knows the pack's SHA-256 and `verify` needs no download.
- boto3's own retries and default checksums are off: retrying is the work of one wrapper, and its CRC trailer is
  refused by several servers.
- An ETag is no identity (multipart, encryption). It only settles a lost answer, where a wrong "no" costs one upload.
- `get` cannot check what comes down, ranges have no hash: whoever knows the hash (the engine) compares it.
- Over plain http boto3 signs, and so hashes, the body a second time: use https.

Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from providers.stores.base import (
    Buffer,
    Capabilities,
    Checksum,
    LocationMissing,
    ObjectCorrupt,
    ObjectInfo,
    ObjectNotFound,
    ObjectStore,
    Proof,
    StoreUnavailable,
    Wire,
    check_name,
)
from providers.stores.options import InvalidOptions, LineOptions, option
from providers.stores.s3_errors import answer_may_be_lost, map_error
from providers.stores.s3_upload import (
    MultipartUpload,
    ask_first_only_with_large_bodies,
    body_of,
    checksum_arguments,
    md5_etag,
    parts_etag,
    unfinished_uploads,
)
from providers.stores.transfer import Pace
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

MEBIBYTE = 1024 * 1024
CONNECTIONS = 16
READ_BACK_BYTES = 8 * MEBIBYTE
RECEIVE_BYTES = 256 * 1024
_session_lock = threading.Lock()
_AWS_ENDPOINT = re.compile(r"(?:https://[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?/?)?")


@dataclass(frozen=True, kw_only=True)
class S3Options(LineOptions):
    """Where the bucket is and who we are there."""

    bucket: str = option("Bucket")
    access_key: str = option("Access key id", credential=True)
    secret_key: str = option("Secret access key", secret=True)
    endpoint_url: str = option("Address", default="", text="Empty for AWS; https://... of any other provider.")
    region: str = option("Region", default="us-east-1")
    prefix: str = option("Folder in the bucket", default="", text="Keys begin with it; empty for the whole bucket.")
    checksum: Checksum = option(  # noqa: RUF009 - `option` makes a field, each call its own
        "Checksum profile",
        default=Checksum.SHA256,
        text="sha256 for AWS, sha256_header_only for R2, md5 for B2, Wasabi and older Ceph.",
    )
    path_style: bool = option("Bucket in the path", default=True, text="Off if the server wants it as a host name.")
    single_put_bytes: int = option("Largest single upload [bytes]", default=64 * MEBIBYTE)
    part_bytes: int = option("Part of a larger upload [bytes]", default=16 * MEBIBYTE)
    list_page: int = option("Objects per page of a listing", default=1000)

    def __post_init__(self) -> None:
        if self.checksum not in (Checksum.SHA256, Checksum.SHA256_HEADER_ONLY, Checksum.MD5):
            raise InvalidOptions(f"option checksum: S3 knows sha256, sha256_header_only and md5, not {self.checksum}")
        if self.part_bytes < 5 * MEBIBYTE:
            raise InvalidOptions("option part_bytes: S3 takes no parts below 5 MiB (5242880)")
        if self.endpoint_url and not self.endpoint_url.startswith(("https://", "http://")):
            raise InvalidOptions("option endpoint_url: write it with https:// in front")


class S3Store(ObjectStore):
    """One prefix of one bucket. The SDK's client is made at the first call, one per process."""

    Options = S3Options
    wire = Wire(put=b"PUT /", get=b"GET /", head=b"HEAD /", list=b"list-type=2", delete=b"DELETE /")

    def __init__(self, options: S3Options, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.options = options
        self.capabilities = Capabilities(
            connections=CONNECTIONS,
            single_put_bytes=options.single_put_bytes,
            checksum=options.checksum,
            proves_at_rest=options.checksum is Checksum.SHA256 and bool(_AWS_ENDPOINT.fullmatch(options.endpoint_url)),
            conditional_create=True,
        )
        self._clock = clock
        self._prefix = f"{check_name(options.prefix.strip('/'))}/" if options.prefix.strip("/") else ""
        self._lock = threading.Lock()
        self._client: S3Client | None = None
        self._client_pid = 0

    def __getstate__(self) -> S3Options:
        return self.options

    def __setstate__(self, options: S3Options) -> None:
        self.__init__(options)  # type: ignore[misc]

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        key, view = self._key(name), memoryview(content).cast("B")
        with self._errors(f"storing {name}"):
            if len(view) > self.options.single_put_bytes:
                self._put_in_parts(key, view, name)
            else:
                self._put_at_once(key, view, sha256)
        proof = Proof.SERVER_MD5 if self.options.checksum is Checksum.MD5 else Proof.SERVER_SHA256
        return ObjectInfo(name, len(view), proof=proof)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            self.head(name)
            return b""
        wanted: dict[str, Any] = {}
        if offset or length is not None:
            wanted["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        with self._errors(f"reading {name}", name):
            try:
                answer: Any = self._s3().get_object(Bucket=self.options.bucket, Key=self._key(name), **wanted)
            except ClientError as exc:
                if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 416:  # begins past the end
                    return b""
                raise
            with contextlib.closing(answer["Body"]) as body:
                content = self._received(body)
        if len(content) != answer["ContentLength"]:
            raise StoreUnavailable(f"{name} ended early: {len(content)} of {answer['ContentLength']} bytes")
        if wanted and "ContentRange" not in answer:  # the server ignores ranges and sent everything
            content = content[offset:] if length is None else content[offset : offset + length]
        return content

    def head(self, name: str) -> ObjectInfo:
        return self._info(name, self._head(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._errors(f"listing {prefix}"):
            pages = (
                self._s3()
                .get_paginator("list_objects_v2")
                .paginate(
                    Bucket=self.options.bucket,
                    Prefix=self._prefix + prefix,
                    PaginationConfig={"PageSize": self.options.list_page},
                )
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    name = entry["Key"].removeprefix(self._prefix)
                    yield ObjectInfo(name, entry["Size"], modified=entry["LastModified"])

    def delete(self, name: str) -> None:
        key = self._key(name)
        with contextlib.suppress(ObjectNotFound), self._errors(f"deleting {name}", name):
            self._s3().delete_object(Bucket=self.options.bucket, Key=key)

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        info = self.head(name)
        if info.sha256 is None:
            digest, position = hashlib.sha256(), 0
            while position < info.size_bytes:
                piece = self.get(name, offset=position, length=READ_BACK_BYTES)
                if not piece:
                    raise StoreUnavailable(f"{name} became shorter while it was read")
                digest.update(piece)
                position += len(piece)
        stored = info.sha256 or digest.hexdigest()
        if stored != sha256:
            raise ObjectCorrupt(f"{name} in bucket {self.options.bucket} does not have the expected content")
        proof = Proof.SERVER_SHA256 if info.sha256 else Proof.READ_BACK
        return ObjectInfo(name, info.size_bytes, sha256=stored, modified=info.modified, proof=proof)

    def remove_unfinished(self, *, before: datetime) -> int:
        removed = 0
        with self._errors("removing unfinished uploads"):
            for upload in unfinished_uploads(self._s3(), self.options.bucket, self._prefix):
                if upload["Initiated"] < before:
                    self._s3().abort_multipart_upload(
                        Bucket=self.options.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    removed += 1
        return removed

    def close(self) -> None:
        with self._lock:
            if self._client is not None and self._client_pid == os.getpid():
                self._client.close()
            self._client = None

    def _received(self, body: Any) -> bytes:
        """Read an answer's body to its end."""
        pace, pieces, position = Pace(self._clock), [], 0
        while piece := body.read(RECEIVE_BYTES):
            pieces.append(piece)
            position += len(piece)
            pace.check(position)
        return b"".join(pieces)

    def _put_at_once(self, key: str, view: memoryview, sha256: str | None) -> None:
        checksum = checksum_arguments(self.options.checksum, view, sha256)
        try:
            self._s3().put_object(Bucket=self.options.bucket, Key=key, Body=body_of(view, self._clock), **checksum)
        except (BotoCoreError, ClientError) as exc:
            if not self._settled(exc, key, len(view), md5_etag(view), checksum.get("ChecksumSHA256")):
                raise

    def _put_in_parts(self, key: str, view: memoryview, name: str) -> None:
        options = self.options
        upload = MultipartUpload(self._s3(), options.bucket, key, options.checksum, options.part_bytes, self._clock)
        try:
            upload_id, parts = upload.upload(view)
            try:
                upload.complete(upload_id, parts)
            except (BotoCoreError, ClientError) as exc:
                if not self._settled(exc, key, len(view), parts_etag(parts), None):
                    raise
        except (BotoCoreError, ClientError) as exc:
            if not map_error(exc, name, self._clock).retryable:  # nobody will resume it
                with contextlib.suppress(BotoCoreError, ClientError):
                    upload.abort()
            raise

    def _settled(self, exc: Exception, key: str, size_bytes: int, etag: str, sha256_base64: str | None) -> bool:
        """Say whether the upload that failed with `exc` is nevertheless stored: the answer alone was lost."""
        if not answer_may_be_lost(exc):
            return False
        try:
            found: Any = self._s3().head_object(Bucket=self.options.bucket, Key=key, ChecksumMode="ENABLED")
        except (BotoCoreError, ClientError):
            return False
        stored = found.get("ChecksumSHA256")
        same = stored == sha256_base64 if stored and sha256_base64 else found["ETag"].strip('"') == etag
        return bool(found["ContentLength"] == size_bytes and same)

    def _head(self, name: str) -> Any:
        with self._errors(f"looking at {name}", name):
            return self._s3().head_object(Bucket=self.options.bucket, Key=self._key(name), ChecksumMode="ENABLED")

    def _info(self, name: str, answer: Any) -> ObjectInfo:
        """Return the info in a HEAD answer. A checksum of checksums (multipart) is not the object's SHA-256."""
        encoded = answer.get("ChecksumSHA256", "")
        whole = encoded and "-" not in encoded and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        sha256 = base64.b64decode(encoded).hex() if whole else None
        return ObjectInfo(name, answer["ContentLength"], sha256=sha256, modified=answer["LastModified"])

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _s3(self) -> S3Client:
        """Return this process's client: one made before a fork shares its sockets with the parent."""
        with self._lock:
            if self._client is None or self._client_pid != os.getpid():
                self._client, self._client_pid = _make_client(self.options), os.getpid()
            return self._client

    @contextlib.contextmanager
    def _errors(self, what: str, name: str | None = None) -> Iterator[None]:
        """Map the SDK's exceptions; with `name`, find out whether a 404 means the object or the bucket."""
        try:
            yield
        except (BotoCoreError, ClientError, OSError, ValueError) as exc:
            error = map_error(exc, what, self._clock)
            missing = isinstance(error, ObjectNotFound) and (name is None or self._bucket_is_missing(exc))
            if missing or isinstance(error, LocationMissing):
                error = LocationMissing(f"{what}: the bucket {self.options.bucket} does not exist")
            raise error from exc

    def _bucket_is_missing(self, exc: Exception) -> bool:
        """Ask for the bucket after a 404 that does not say what is missing (HEAD has no body)."""
        if isinstance(exc, ClientError) and exc.response.get("Error", {}).get("Code") == "NoSuchKey":
            return False
        try:
            self._s3().head_bucket(Bucket=self.options.bucket)
        except (BotoCoreError, ClientError) as bucket_exc:
            return isinstance(map_error(bucket_exc, "looking at the bucket", self._clock), ObjectNotFound)
        return False


@functools.cache
def _session() -> Any:
    """Return this process's SDK session, which keeps the parsed description of the S3 API."""
    import boto3  # 0.3 s: only where S3 is really used

    return boto3.session.Session()


def _make_client(options: S3Options) -> S3Client:
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        retries={"total_max_attempts": 1},
        connect_timeout=options.connect_seconds,
        read_timeout=options.read_seconds,
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        proxies={"http": options.proxy_url, "https": options.proxy_url} if options.proxy_url else None,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if options.path_style else "virtual",
            "payload_signing_enabled": options.endpoint_url.startswith("http://"),
        },
    )
    with _session_lock:  # a session makes one client at a time
        client: S3Client = _session().client(
            "s3",
            endpoint_url=options.endpoint_url or None,
            region_name=options.region,
            aws_access_key_id=options.access_key,
            aws_secret_access_key=options.secret_key,
            verify=options.ca_file or None,
            config=config,
        )
    client.meta.events.register_last("before-call.s3", ask_first_only_with_large_bodies)
    return client
