"""AWS S3, servers that speak its language (Swift, Ceph, MinIO), and the base of the dialects R2, B2 and Wasabi.

What is special here:
- The provider's server checks what arrives against a checksum in the request, in the way its `checksum` profile says
  (AWS: sha256; R2: sha256_header_only; B2, Wasabi, older Ceph: md5).
- `verify` needs no download of what went up in one request: AWS keeps and tells the SHA-256; for the other profiles it
  is stored as metadata by the very request in which the server checks the content. Like every hash that is only told
  it proves what was stored and is still listed, not that the disks below were read: that is the sampling's work.
- boto3's own retries, redirects and default checksums are off: retrying is the work of one wrapper, where copies lie
  is to be known, and its CRC trailer is refused by several servers.
- An ETag is no identity (multipart, encryption). It settles a lost answer, where a wrong "no" costs one upload.
- `get` cannot check what comes down, ranges have no hash: whoever knows the hash (the engine) compares it.
- In a bucket with versions a deletion only sets a marker: the space is freed by a lifecycle rule for old versions.
- Over plain http boto3 signs, and so hashes, the body a second time: use https.

Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import base64
import contextlib
import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from providers.stores import s3_facts, s3_objects
from providers.stores.base import Buffer, Capabilities, Checksum, ObjectInfo, PlaceFacts, Proof, StoredHash, Wire
from providers.stores.errors import ObjectCorrupt, ObjectNotFound, StoreUnavailable, Unsupported
from providers.stores.networked import NetworkedStore
from providers.stores.options import InvalidOptions, option
from providers.stores.reading import RECEIVE_BYTES, cut_out, range_header, received, sha256_by_reading
from providers.stores.s3_client import CONNECTIONS, S3Line
from providers.stores.s3_options import ARCHIVE_CLASSES, BucketOptions, Dialect, Encryption, Keeping, LockOptions
from providers.stores.s3_policies import iam_policies, lifecycle_rule
from providers.stores.s3_upload import (
    MD5_KEY,
    SHA256_KEY,
    MultipartUpload,
    Target,
    head_arguments,
    put_at_once,
    require_etag,
    unfinished_uploads,
)
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

_AWS_ENDPOINT = re.compile(r"(?:https://[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?/?)?")
_PLAIN_ETAG = re.compile(r"[0-9a-f]{32}")


class StorageClass(enum.StrEnum):
    """The storage classes of AWS that a backup can use, and none of them named: the bucket's."""

    BUCKET = ""
    STANDARD = "STANDARD"
    STANDARD_IA = "STANDARD_IA"
    ONEZONE_IA = "ONEZONE_IA"
    INTELLIGENT_TIERING = "INTELLIGENT_TIERING"
    GLACIER_IR = "GLACIER_IR"
    GLACIER = "GLACIER"
    DEEP_ARCHIVE = "DEEP_ARCHIVE"


@dataclass(frozen=True, kw_only=True)
class S3Options(LockOptions):
    """Where the bucket is, who we are there, and how objects are to be kept."""

    bucket: str = option("Bucket", env="AWS_BACKUP_BUCKET")
    access_key: str = option("Access key id", credential=True, env="AWS_ACCESS_KEY_ID")
    secret_key: str = option("Secret access key", secret=True, env="AWS_SECRET_ACCESS_KEY")
    session_token: str = option(
        "Session token", default="", secret=True, env="AWS_SESSION_TOKEN", text="Only with temporary credentials."
    )
    region: str = option("Region", default="us-east-1", env="AWS_REGION")
    endpoint_url: str = option(
        "Address", default="", text="Empty for AWS; https://... of any other provider.", env="AWS_ENDPOINT_URL"
    )
    checksum: Checksum = option(  # noqa: RUF009 - `option` makes a field, each call its own
        "Checksum profile",
        default=Checksum.SHA256,
        text="sha256 for AWS, sha256_header_only for R2, md5 for B2, Wasabi and older Ceph.",
    )
    path_style: bool = option("Bucket in the path", default=True, text="Off if the server wants it as a host name.")
    storage_class: StorageClass = option(  # noqa: RUF009
        "Storage class of packs", default=StorageClass.BUCKET, text="GLACIER and DEEP_ARCHIVE take hours to read."
    )
    encryption: Encryption = option(  # noqa: RUF009
        "Encryption by AWS", default=Encryption.BUCKET, text="Beside our own: bucket, AES256 or aws:kms."
    )
    kms_key_id: str = option("KMS key", default="", text="ARN of the key for aws:kms; empty for the account's own.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checksum not in (Checksum.SHA256, Checksum.SHA256_HEADER_ONLY, Checksum.MD5):
            raise InvalidOptions(f"option checksum: S3 knows sha256, sha256_header_only and md5, not {self.checksum}")
        if self.kms_key_id and self.encryption is not Encryption.KMS:
            raise InvalidOptions("option kms_key_id: set encryption to aws:kms, or leave the key empty")

    def dialect(self) -> Dialect:
        at_aws = bool(_AWS_ENDPOINT.fullmatch(self.endpoint_url))
        return Dialect(
            address=self.endpoint_url,
            region=self.region,
            session_token=self.session_token,
            checksum=self.checksum,
            proves_at_rest=at_aws or self.checksum is not Checksum.SHA256,
            path_style=self.path_style,
            conditional_create=True,
            object_lock=at_aws or self.lock_days > 0,
            storage_classes=tuple(StorageClass)[1:] if at_aws else (),
            keeping=Keeping(
                storage_class=self.storage_class,
                encryption=self.encryption,
                kms_key_id=self.kms_key_id,
                lock_days=self.lock_days,
                lock_mode=self.lock_mode,
            ),
        )


class S3Store(NetworkedStore[BucketOptions, S3Line]):
    """One prefix of one bucket. The SDK's client is made at the first call, one per process."""

    Options: type[BucketOptions] = S3Options
    wire = Wire(put=b"PUT /", get=b"GET /", head=b"HEAD /", list=b"list-type=2", delete=b"DELETE /")
    regions = "aws_s3"

    def __init__(self, options: BucketOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(options, clock=clock, folder=options.prefix)
        self.dialect = dialect = options.dialect()
        self.capabilities = Capabilities(
            connections=CONNECTIONS,
            max_object_bytes=dialect.max_object_bytes,
            single_put_bytes=options.single_put_bytes,
            checksum=dialect.checksum,
            stored_hash=StoredHash.SHA256 if dialect.checksum is Checksum.SHA256 else StoredHash.MD5,
            proves_at_rest=dialect.proves_at_rest,
            conditional_create=dialect.conditional_create,
            object_lock=dialect.object_lock,
            resumable=True,
            storage_classes=dialect.storage_classes,
            online=dialect.keeping.storage_class not in ARCHIVE_CLASSES,
        )

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        options, target, view = self.options, self._target(name), memoryview(content).cast("B")
        with self._line.errors(f"storing {name}"):
            if len(view) > options.single_put_bytes:
                MultipartUpload(**target, part_bytes=options.part_bytes, at_once=options.parts_at_once).put(view)
            else:
                put_at_once(Target(**target), view, sha256)
        proof = Proof.SERVER_MD5 if self.dialect.checksum is Checksum.MD5 else Proof.SERVER_SHA256
        return ObjectInfo(name, len(view), proof=proof)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            self.head(name)
            return b""
        wanted: dict[str, Any] = {}
        if offset or length is not None:
            wanted["Range"] = range_header(offset, length)
        with self._line.errors(f"reading {name}", name):
            try:
                answer: Any = self._line.client().get_object(Bucket=self.options.bucket, Key=self._key(name), **wanted)
                require_etag(answer, f"reading {name}")
            except ClientError as exc:
                if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 416:  # begins past the end
                    return b""
                raise
            with contextlib.closing(answer["Body"]) as body:
                content = received(iter(partial(body.read, RECEIVE_BYTES), b""), self._clock)
        promised = answer.get("ContentLength", len(content))  # sent in chunks, an end too early is an error of the line
        if len(content) != promised:
            raise StoreUnavailable(f"{name} ended early: {len(content)} of {promised} bytes")
        if wanted and "ContentRange" not in answer:  # the server ignores ranges and sent everything
            content = cut_out(content, offset, length)
        return content

    def head(self, name: str) -> ObjectInfo:
        answer = self._head(name)
        kept = self._kept_hash(answer)
        return ObjectInfo(
            name,
            s3_objects.size_of(answer),
            sha256=kept[0] if kept and kept[1] is Proof.SERVER_SHA256 else None,
            modified=answer.get("LastModified"),
            storage_class=s3_objects.class_of(answer),
        )

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._line.errors(f"listing {prefix}"):
            pages = (
                self._line.client()
                .get_paginator("list_objects_v2")
                .paginate(
                    Bucket=self.options.bucket,
                    Prefix=self._prefix + prefix,
                    PaginationConfig={"PageSize": self.options.list_page},
                )
            )
            for page in pages:
                if "IsTruncated" not in page:  # a 200 with somebody's web page reads as an empty listing otherwise
                    raise StoreUnavailable(f"listing {prefix}: the answer is no listing of an S3 server")
                for entry in page.get("Contents", []):
                    name, kept = entry["Key"].removeprefix(self._prefix), s3_objects.class_of(entry)
                    yield ObjectInfo(name, entry.get("Size", 0), modified=entry.get("LastModified"), storage_class=kept)

    def delete(self, name: str) -> None:
        key = self._key(name)
        with contextlib.suppress(ObjectNotFound), self._line.errors(f"deleting {name}", name):
            self._line.client().delete_object(Bucket=self.options.bucket, Key=key)

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        """Compare with what the server tells, or read back what it tells nothing of: large objects sent in parts.

        Profile sha256: the server computed it over what arrived. sha256_header_only: it checked the one that stands in
        the metadata when it stored both. md5: it checked the content against the MD5 that stands in the metadata
        beside the SHA-256, and its own MD5 of the object (the ETag) is still that one.
        """
        answer = self._head(name)
        stored, proof = self._kept_hash(answer) or (
            sha256_by_reading(self, name, s3_objects.size_of(answer)),
            Proof.READ_BACK,
        )
        if stored != sha256:
            raise ObjectCorrupt(f"{name} in bucket {self.options.bucket} does not have the expected content")
        return ObjectInfo(
            name, s3_objects.size_of(answer), sha256=stored, modified=answer.get("LastModified"), proof=proof
        )

    def remove_unfinished(self, *, before: datetime) -> int:
        removed = 0
        with self._line.errors("removing unfinished uploads"):
            for upload in unfinished_uploads(self._line.client(), self.options.bucket, self._prefix):
                if upload["Initiated"] < before:
                    self._line.client().abort_multipart_upload(
                        Bucket=self.options.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    removed += 1
        return removed

    def change_class(self, name: str, storage_class: str) -> None:
        if storage_class not in self.capabilities.storage_classes:
            super().change_class(name, storage_class)
        if storage_class in ARCHIVE_CLASSES and not s3_objects.is_pack(name):
            raise Unsupported(f"{name} is needed to open the vault and stays online: only packs can go to an archive")
        found = self._head(name)
        if s3_objects.class_of(found) == storage_class:
            return
        with self._line.errors(f"moving {name} to {storage_class}", name):
            s3_objects.copy_to_class(
                self._line.client(), self.options.bucket, self._key(name), found, storage_class, dialect=self.dialect
            )
        moved = self._head(name)
        if (s3_objects.size_of(moved), self._kept_hash(moved)) != (s3_objects.size_of(found), self._kept_hash(found)):
            raise ObjectCorrupt(f"{name} was not the same after it was moved to {storage_class}")

    def thaw(self, name: str, *, days: int = 7) -> bool:
        found = self._head(name)
        with self._line.errors(f"bringing {name} back from the archive", name):
            return s3_objects.thaw(self._line.client(), self.options.bucket, self._key(name), found, days)

    def protect(self, name: str, *, until: datetime) -> None:
        """Lock the present version of `name`. A deletion then still hides it behind a marker, but cannot remove it."""
        if not self.capabilities.object_lock:
            super().protect(name, until=until)
        found, mode = self._head(name), self.dialect.keeping.lock_mode
        with self._line.errors(f"protecting {name}", name):
            s3_objects.protect(self._line.client(), self.options.bucket, self._key(name), found, until, mode)

    def public_addresses(self, name: str) -> tuple[str, ...]:
        endpoint = self._line.client().meta.endpoint_url.rstrip("/")
        bucket, key = self.options.bucket, quote(self._key(name))
        as_host = f"{endpoint.replace('://', f'://{bucket}.', 1)}/{key}"
        # A name under somebody else's host need not exist; AWS answers for every bucket.
        return (f"{endpoint}/{bucket}/{key}", *([as_host] if _AWS_ENDPOINT.fullmatch(endpoint) else []))

    def facts(self) -> PlaceFacts:
        with self._line.errors("looking at the bucket"):
            return s3_facts.find_facts(self._line.client(), self.options.bucket, self._prefix)

    @classmethod
    def reads_at_once(cls, options: Mapping[str, Any]) -> bool:
        return options.get("storage_class", "") not in ARCHIVE_CLASSES

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        return {**iam_policies(options), "lifecycle of the bucket (optional)": lifecycle_rule(options)}

    def _make_line(self) -> S3Line:
        return S3Line(self.options, self._clock)

    def _target(self, name: str) -> dict[str, Any]:
        """Return where `name` goes, and how, as arguments of an upload."""
        return {
            "client": self._line.client(),
            "bucket": self.options.bucket,
            "key": self._key(name),
            "profile": self.dialect.checksum,
            "clock": self._clock,
            "keeping": s3_objects.keeping_arguments(self.dialect.keeping, name, self._clock.utcnow()),
        }

    def _head(self, name: str) -> Any:
        with self._line.errors(f"looking at {name}", name):
            answer: Any = self._line.client().head_object(
                Bucket=self.options.bucket, Key=self._key(name), **head_arguments(self.dialect.checksum)
            )
            require_etag(answer, f"looking at {name}")
            return answer

    def _kept_hash(self, answer: Any) -> tuple[str, Proof] | None:
        """Return the SHA-256 that an answer to HEAD proves, and how; None if it proves none.

        A checksum of checksums (multipart) is not the object's SHA-256.
        """
        encoded, metadata, etag = (
            answer.get("ChecksumSHA256", ""),
            answer.get("Metadata", {}),
            answer["ETag"].strip('"'),
        )
        if encoded and "-" not in encoded and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            return base64.b64decode(encoded).hex(), Proof.SERVER_SHA256
        recorded = metadata.get(SHA256_KEY, "")
        if not recorded or not self.dialect.proves_at_rest:
            return None
        if self.dialect.checksum is Checksum.MD5:
            return (recorded, Proof.SERVER_MD5) if metadata.get(MD5_KEY) == etag else None
        return (recorded, Proof.SERVER_SHA256) if _PLAIN_ETAG.fullmatch(etag) else None
