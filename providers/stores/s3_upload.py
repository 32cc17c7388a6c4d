"""How bytes go up to S3: bodies without copies, checksums that the server checks, parts that can be resumed.

Functions here raise the SDK's own exceptions; `providers.stores.s3` is their only caller and maps them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from providers.stores.base import Checksum
from providers.stores.transfer import Body, Pace
from wedbackup.core.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, PartTypeDef

SMALL_BYTES = 1024 * 1024
PARTS_MAX = 10_000


def body_of(view: memoryview, clock: Clock) -> Any:
    """Return what to hand to the SDK: a small body as bytes, a large one without a copy."""
    return bytes(view) if len(view) <= SMALL_BYTES else Body(view, Pace(clock))


def ask_first_only_with_large_bodies(params: dict[str, Any], **_: Any) -> None:
    """Handle the SDK's before-call event: a small body goes up at once, without "Expect: 100-continue".

    For a large one the question is worth its round trip: a refusal comes before the body and is heard.
    """
    if not isinstance(params.get("body"), Body):
        params["headers"].pop("Expect", None)


def checksum_arguments(profile: Checksum, view: memoryview, sha256: str | None) -> dict[str, Any]:
    """Return the request's checksum arguments, by which the server refuses what does not arrive whole.

    sha256: lower-case hex of `view` if it is known already.
    """
    if profile is Checksum.MD5:
        return {"ContentMD5": _base64(hashlib.md5(view, usedforsecurity=False).digest())}
    digest = bytes.fromhex(sha256) if sha256 else hashlib.sha256(view).digest()
    arguments = {"ChecksumSHA256": _base64(digest)}
    if profile is Checksum.SHA256:
        arguments["ChecksumAlgorithm"] = "SHA256"
    return arguments


def md5_etag(view: memoryview) -> str:
    """Return the ETag that a server gives to an object stored by one unencrypted request."""
    return hashlib.md5(view, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class MultipartUpload:
    """One object going up in parts of `part_bytes` [bytes], every part checked by the server."""

    client: S3Client
    bucket: str
    key: str
    profile: Checksum
    part_bytes: int
    clock: Clock

    def upload(self, view: memoryview) -> tuple[str, list[CompletedPartTypeDef]]:
        """Send the parts that the server does not have yet; return the upload's id and all parts."""
        upload_id = self._unfinished()
        kept = self._kept_parts(upload_id) if upload_id else {}
        if upload_id is None:
            with_checksum: Any = {"ChecksumAlgorithm": "SHA256"} if self.profile is Checksum.SHA256 else {}
            upload_id = self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key, **with_checksum)[
                "UploadId"
            ]
        parts = [
            self._part(upload_id, number, piece, kept.get(number))
            for number, piece in enumerate(self._pieces(view), start=1)
        ]
        return upload_id, parts

    def complete(self, upload_id: str, parts: list[CompletedPartTypeDef]) -> None:
        """Make the object out of its parts."""
        self.client.complete_multipart_upload(
            Bucket=self.bucket, Key=self.key, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )

    def abort(self) -> None:
        """Remove every unfinished upload of this key with its parts."""
        for upload in unfinished_uploads(self.client, self.bucket, self.key):
            if upload["Key"] == self.key:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=upload["UploadId"])

    def _pieces(self, view: memoryview) -> Iterator[memoryview]:
        part_bytes = max(self.part_bytes, -(-len(view) // PARTS_MAX))
        for start in range(0, len(view), part_bytes):
            yield view[start : start + part_bytes]

    def _unfinished(self) -> str | None:
        """Return the newest unfinished upload of this key; None if there is none or we may not look."""
        try:
            uploads = [
                upload for upload in unfinished_uploads(self.client, self.bucket, self.key) if upload["Key"] == self.key
            ]
        except ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 501):  # write-only credential, old server
                return None
            raise
        newest = max(uploads, key=lambda upload: upload["Initiated"], default=None)
        return newest["UploadId"] if newest else None

    def _kept_parts(self, upload_id: str) -> dict[int, PartTypeDef]:
        pages = self.client.get_paginator("list_parts").paginate(Bucket=self.bucket, Key=self.key, UploadId=upload_id)
        return {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}

    def _part(self, upload_id: str, number: int, piece: memoryview, kept: PartTypeDef | None) -> CompletedPartTypeDef:
        """Return part `number`, sending it unless the server holds the very same bytes."""
        checksum = checksum_arguments(self.profile, piece, None)
        if kept and kept["Size"] == len(piece) and _same_content(kept, piece, checksum.get("ChecksumSHA256")):
            etag = kept["ETag"]
        else:
            etag = self.client.upload_part(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body_of(piece, self.clock),
                **checksum,
            )["ETag"]
        part: CompletedPartTypeDef = {"PartNumber": number, "ETag": etag}
        if self.profile is Checksum.SHA256:
            part["ChecksumSHA256"] = checksum["ChecksumSHA256"]
        return part


def unfinished_uploads(client: S3Client, bucket: str, prefix: str) -> Iterator[Any]:
    """Yield the unfinished multipart uploads of keys that start with `prefix`."""
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Uploads", [])


def parts_etag(parts: list[CompletedPartTypeDef]) -> str:
    """Return the ETag of an object made of `parts`: the MD5 of the parts' MD5s and their number, or ""."""
    try:
        digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    except ValueError:  # encrypted by the server: its ETags are no MD5
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _same_content(kept: PartTypeDef, piece: memoryview, sha256_base64: str | None) -> bool:
    if sha256_base64 and kept.get("ChecksumSHA256"):
        return kept["ChecksumSHA256"] == sha256_base64
    return kept["ETag"].strip('"') == md5_etag(piece)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
