"""How bytes go up to S3: bodies without copies, checksums that the server checks, parts side by side and resumed.

Functions here raise the SDK's own exceptions; `providers.stores.s3` is their only caller and maps them. A request whose
answer alone was lost is settled here: HEAD tells whether the object is there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from providers.stores.base import Checksum
from providers.stores.errors import StoreUnavailable
from providers.stores.s3_errors import answer_may_be_lost, map_error
from providers.stores.s3_objects import size_of
from providers.stores.transfer import Body, Pace
from wedbackup.core.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, PartTypeDef

SMALL_BYTES = 1024 * 1024
PARTS_MAX = 10_000
SHA256_KEY, MD5_KEY = "wedbackup-sha256", "wedbackup-md5"


def body_of(view: memoryview, pace: Pace) -> Any:
    """Return what to hand to the SDK: a small body as bytes, a large one without a copy."""
    return bytes(view) if len(view) <= SMALL_BYTES else Body(view, pace)


@dataclass(frozen=True)
class Digests:
    """The hashes of one body, as this dialect needs them.

    sha256, md5: lower-case hex; empty where it is not needed.
    """

    profile: Checksum
    sha256: str
    md5: str

    def arguments(self) -> dict[str, Any]:
        """Return the checksum arguments, by which the server refuses what does not arrive whole."""
        if self.profile is Checksum.MD5:
            return {"ContentMD5": _base64(self.md5)}
        arguments = {"ChecksumSHA256": _base64(self.sha256)}
        if self.profile is Checksum.SHA256:
            arguments["ChecksumAlgorithm"] = "SHA256"
        return arguments

    def metadata(self) -> dict[str, str]:
        """Return what is stored beside the object, in the request in which the server checks it, to verify it later.

        The server's own ETag is the MD5 of what it received. Where it checks by MD5, ours is written down too: the two
        being equal ties the SHA-256 to what the server stored.
        """
        if self.profile is Checksum.SHA256:
            return {}  # it keeps the SHA-256 itself
        return {SHA256_KEY: self.sha256, **({MD5_KEY: self.md5} if self.md5 else {})}


def digests_of(profile: Checksum, view: memoryview, sha256: str | None = None) -> Digests:
    """Return the hashes of a whole object `view`; sha256: lower-case hex if it is known already."""
    md5 = md5_etag(view) if profile is Checksum.MD5 else ""
    return Digests(profile, sha256 or hashlib.sha256(view).hexdigest(), md5)


def _part_digests(profile: Checksum, view: memoryview) -> Digests:
    """Return what the server needs to check one part: one hash, not two."""
    return Digests(profile, "", md5_etag(view)) if profile is Checksum.MD5 else digests_of(profile, view)


def md5_etag(view: memoryview) -> str:
    """Return the ETag that a server gives to an object stored by one unencrypted request."""
    return hashlib.md5(view, usedforsecurity=False).hexdigest()


class _StoppablePace(Pace):
    """Also ends a transfer when another one of the same upload has failed."""

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        super().__init__(clock)
        self._stop = stop

    def check(self, done_bytes: int) -> None:
        if self._stop.is_set():
            raise ConnectionAbortedError("another part of this upload has failed")
        super().check(done_bytes)


@dataclass(frozen=True)
class Target:
    """Where an object goes, and how.

    keeping: arguments that say how the object is to be kept (class, encryption, lock).
    """

    client: S3Client
    bucket: str
    key: str
    profile: Checksum
    clock: Clock
    keeping: Mapping[str, Any]


def put_at_once(target: Target, view: memoryview, sha256: str | None) -> None:
    """Store `view` by one request; sha256: lower-case hex if it is known already."""
    digests = digests_of(target.profile, view, sha256)
    arguments = {**digests.arguments(), **target.keeping}
    if metadata := digests.metadata():
        arguments["Metadata"] = metadata
    try:
        answer = target.client.put_object(
            Bucket=target.bucket, Key=target.key, Body=body_of(view, Pace(target.clock)), **arguments
        )
        require_etag(answer, f"storing {target.key}")
    except (BotoCoreError, ClientError) as exc:
        etag = digests.md5 or md5_etag(view)
        if not _is_stored(target, exc, len(view), etag, arguments.get("ChecksumSHA256")):
            raise


def require_etag(answer: Mapping[str, Any], what: str) -> None:
    """Raise StoreUnavailable if an answer comes from no S3 server, which tells the ETag of whatever it has or takes.

    The login page of a network answers every request with 200.
    """
    if not answer.get("ETag"):
        raise StoreUnavailable(f"{what}: the answer comes from no S3 server")


def head_arguments(profile: Checksum) -> dict[str, Any]:
    """Return what HEAD has to ask to be told a checksum; servers of the other profiles refuse the question (B2)."""
    return {"ChecksumMode": "ENABLED"} if profile is Checksum.SHA256 else {}


def _is_stored(target: Target, exc: Exception, size_bytes: int, etag: str, sha256_base64: str | None) -> bool:
    """Say whether the upload that failed with `exc` is nevertheless stored: the answer alone was lost."""
    if not answer_may_be_lost(exc):
        return False
    try:
        found: Any = target.client.head_object(Bucket=target.bucket, Key=target.key, **head_arguments(target.profile))
    except (BotoCoreError, ClientError):
        return False
    stored = found.get("ChecksumSHA256")
    same = stored == sha256_base64 if stored and sha256_base64 else found["ETag"].strip('"') == etag
    return bool(size_of(found) == size_bytes and same)


@dataclass(frozen=True)
class MultipartUpload(Target):
    """One object going up in parts of `part_bytes` [bytes], every part checked by the server.

    at_once: how many parts are under way at the same time.
    """

    part_bytes: int
    at_once: int

    def put(self, view: memoryview) -> None:
        """Store `view`; what was sent is removed again when no further attempt can succeed."""
        try:
            upload_id, parts = self._send(view)
            try:
                self._complete(upload_id, parts)
            except (BotoCoreError, ClientError) as exc:
                if not _is_stored(self, exc, len(view), parts_etag(parts), None):
                    raise
        except (BotoCoreError, ClientError) as exc:
            if not map_error(exc, self.key, self.clock).retryable:  # nobody will resume it
                with contextlib.suppress(BotoCoreError, ClientError):
                    self._abort()
            raise

    def _send(self, view: memoryview) -> tuple[str, list[CompletedPartTypeDef]]:
        """Send the parts that the server does not have yet; return the upload's id and all parts.

        The first part that fails ends the others: its error is raised at once, and what has arrived whole is kept for
        the next attempt.
        """
        upload_id = self._unfinished()
        kept = self._kept_parts(upload_id) if upload_id else {}
        if upload_id is None:
            upload_id = self._begin()
        stop = threading.Event()
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="s3-part") as pool:
            sendings = [
                pool.submit(self._part, upload_id, number, piece, kept.get(number), stop)
                for number, piece in enumerate(self._pieces(view), start=1)
            ]
            done, _ = wait(sendings, return_when=FIRST_EXCEPTION)
            if failed := next((sending for sending in done if sending.exception()), None):
                stop.set()
                pool.shutdown(cancel_futures=True)
                failed.result()  # raises
        return upload_id, [sending.result() for sending in sendings]

    def _complete(self, upload_id: str, parts: list[CompletedPartTypeDef]) -> None:
        """Make the object out of its parts."""
        answer = self.client.complete_multipart_upload(
            Bucket=self.bucket, Key=self.key, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )
        require_etag(answer, f"storing {self.key}")

    def _abort(self) -> None:
        """Remove every unfinished upload of this key with its parts."""
        for upload in unfinished_uploads(self.client, self.bucket, self.key):
            if upload["Key"] == self.key:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=upload["UploadId"])

    def _begin(self) -> str:
        with_checksum: Any = {"ChecksumAlgorithm": "SHA256"} if self.profile is Checksum.SHA256 else {}
        answer = self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key, **with_checksum, **self.keeping)
        return answer["UploadId"]

    def _pieces(self, view: memoryview) -> Iterator[memoryview]:
        """Yield the parts: all of the same size but the last, which R2 insists on."""
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

    def _part(
        self, upload_id: str, number: int, piece: memoryview, kept: PartTypeDef | None, stop: threading.Event
    ) -> CompletedPartTypeDef:
        """Return part `number`, sending it unless the server holds the very same bytes."""
        checksum = _part_digests(self.profile, piece).arguments()
        if kept and kept["Size"] == len(piece) and _same_content(kept, piece, checksum.get("ChecksumSHA256")):
            etag = kept["ETag"]
        else:
            etag = self.client.upload_part(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body_of(piece, _StoppablePace(self.clock, stop)),
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


def _base64(digest_hex: str) -> str:
    return base64.b64encode(bytes.fromhex(digest_hex)).decode("ascii")
