"""Supabase Storage by its own interfaces: REST for small objects, TUS for what is larger than 6 MiB.

What is special here (sources: https://github.com/supabase/storage, read at version of August 2026):
- The service checks nothing that arrives: a flipped bit is stored. So every `put` is proved by us: the ETag that its
  backend computed is compared with ours, or the object is read back (supabase_upload). What is proved wrong is
  removed again: a replaced object is gone then, too.
- Each upload carries {"sha256", "etags"} as user metadata, written in the same database transaction in which the
  object becomes visible (src/storage/uploader.ts completeUpload).
- Listing by list-v2: flat, in pages of at most 1000, with a cursor. What the key may not see is silently left out, so
  an empty answer is followed by a question about the bucket.
- Deleting what may not be deleted succeeds and does nothing; so an empty answer is followed by a look.
- Of several creates at the same moment more than one "wins"; the last one stays. No lock can be made of that.
- Names: letters, digits and _/!.*'() &$@=;:+,?- only (src/storage/limits.ts).
- The hosted service has a CDN in front of downloads (plans Pro and up). An answer from it proves nothing about what
  is stored, and is refused as a proof; the S3 endpoint (supabase_s3) has no cache.

Limits: https://supabase.com/docs/guides/storage/uploads/file-limits
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from providers.stores.base import Buffer, Capabilities, Checksum, ObjectInfo, PlaceFacts, Proof, StoredHash, Wire
from providers.stores.errors import (
    AccessDenied,
    ChecksumMismatch,
    LocationMissing,
    ObjectCorrupt,
    ObjectNotFound,
    StoreError,
    StoreUnavailable,
)
from providers.stores.networked import NetworkedStore
from providers.stores.options import InvalidOptions, LineOptions, option
from providers.stores.reading import RECEIVE_BYTES, cut_out, range_header, received, sha256_by_reading
from providers.stores.supabase_api import (
    RangePastEnd,
    Service,
    StoredObject,
    answer_may_be_lost,
    bare_etag,
    check_project_address,
    checked_name,
    is_cached,
    listed_objects,
    public_address,
)
from providers.stores.supabase_upload import CHUNK_BYTES, CONTENT_TYPE, Fingerprint, ResumableUploads
from providers.stores.transfer import Body, Pace
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

CONNECTIONS = 16
LIST_PAGE = 1000
LARGEST_PACK_BYTES = 128 * 1024 * 1024  # what the format allows; usual are 16 MiB
_PLACEHOLDER = ".emptyFolderPlaceholder"  # what the console puts into an empty folder


_BUCKET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")  # what the service takes, and needs no quoting in a path


@dataclass(frozen=True, kw_only=True)
class SupabaseOptions(LineOptions):
    """Which project, which bucket, and the key that may do everything there."""

    url: str = option(
        "Project address", text="https://<project>.storage.supabase.co is the quickest.", env="SUPABASE_URL"
    )
    service_key: str = option(
        "Service key", secret=True, text="service_role or sb_secret_...", env="SUPABASE_SERVICE_ROLE_KEY"
    )
    bucket: str = option("Bucket", env="SUPABASE_BACKUP_BUCKET")
    prefix: str = option("Folder in the bucket", default="", text="Names begin with it; empty for the whole bucket.")
    region: str = option("Region", default="", text="Where the project is; only for the judgement of distances.")

    def __post_init__(self) -> None:
        check_project_address(self.url)
        if not _BUCKET.fullmatch(self.bucket):
            raise InvalidOptions("option bucket: at most 100 letters, digits, dashes, dots and underscores, no path")
        if not re.fullmatch(r"[\x21-\x7e]+", self.service_key):
            raise InvalidOptions("option service_key: it has spaces or signs that no key has; copy it again")


class SupabaseStore(NetworkedStore[SupabaseOptions, Service]):
    """One folder of one bucket of one project."""

    Options = SupabaseOptions
    wire = Wire(
        put=b"x-metadata:",
        get=b"/object/authenticated/",
        head=b"/object/info/",
        list=b"/object/list-v2/",
        delete=b"DELETE ",
        endpoint="url",
    )
    regions = "supabase_storage"
    capabilities = Capabilities(
        connections=CONNECTIONS,
        max_object_bytes=500 * 10**9,
        single_put_bytes=CHUNK_BYTES,
        checksum=Checksum.READ_BACK,
        stored_hash=StoredHash.MD5,
        proves_at_rest=True,
        resumable=True,
        unicode_names=False,
        exceptions={
            "signs that mean something in addresses are plain signs in names": (
                "its names take no # % [ ] ^ ` { } ~; they are refused at once"
            ),
        },
    )

    def __init__(self, options: SupabaseOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(options, clock=clock, folder=options.prefix)
        self._bucket = quote(options.bucket, safe="")
        self._uploads = ResumableUploads(self._line, options.bucket, clock)

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        key, view = self._key(name), memoryview(content).cast("B")
        fingerprint = Fingerprint.of(view, sha256)
        try:
            if len(view) > CHUNK_BYTES:
                self._uploads.send(key, view, fingerprint)
            else:
                self._put_at_once(key, view, fingerprint)
        except StoreError as error:
            settled = answer_may_be_lost(error) and self._is_there(name, fingerprint)
            if settled or not error.retryable:  # nobody will go on with it
                self._uploads.abandon(key, fingerprint)
            if not settled:
                raise
        return self._proved(name, fingerprint)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            self.head(name)
            return b""
        headers = {}
        if offset or length is not None:
            headers["Range"] = range_header(offset, length)
        try:
            path = self._download_path(name)
            with self._line.answer(f"reading {name}", "GET", path, headers=headers) as response:
                content = received(response.raw.stream(RECEIVE_BYTES), self._clock)
        except RangePastEnd:
            return b""
        announced = response.headers.get("Content-Length")
        if announced is not None and int(announced) != len(content):
            raise StoreUnavailable(f"{name} ended early: {len(content)} of {announced} bytes")
        if headers and response.status_code != 206:  # something on the way ignores ranges and sent everything
            content = cut_out(content, offset, length)
        return content

    def head(self, name: str) -> ObjectInfo:
        return _info(name, self._stored(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        what, start, cursor = f"listing {prefix}", self._prefix + prefix, ""
        while True:
            wanted = {"prefix": start, "limit": LIST_PAGE, "with_delimiter": False} | (
                {"cursor": cursor} if cursor else {}
            )
            page = self._line.json(what, "POST", f"/object/list-v2/{self._bucket}", json=wanted)
            entries = listed_objects(page, what)
            if not entries and not cursor:
                self._bucket_settings()  # an empty list is also the answer about a bucket that does not exist
            for key, size_bytes, modified in entries:
                if key.startswith(start) and not key.endswith(_PLACEHOLDER):
                    yield ObjectInfo(key.removeprefix(self._prefix), size_bytes, modified=modified)
            cursor = page.get("nextCursor") or ""
            if not cursor:
                return

    def delete(self, name: str) -> None:
        what, wanted = f"deleting {name}", {"prefixes": [self._key(name)]}
        if self._line.json(what, "DELETE", f"/object/{self._bucket}", json=wanted):
            return
        with contextlib.suppress(ObjectNotFound):
            self._stored(name)
            raise AccessDenied(f"{what}: the service deleted nothing, and it is still there")

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        """Prove the content of `name`.

        Without a download, if our upload recorded a SHA-256 with its ETags and the backend, asked for one byte, names
        one of them and the same length. That proves that the backend has the object, and computed this MD5
        when it stored it (a file backend computes it now); not that no disk has lost a bit since. The MD5 is bound
        to the SHA-256 by our own word: who has the service key could forge both. Everything else is read back.
        """
        stored = self._stored(name)
        etag, recorded = self._backend_etag(name, stored), stored.recorded
        if etag and "sha256" in recorded and etag in recorded.get("etags", "").split(","):
            found, proof = recorded["sha256"], Proof.SERVER_MD5
        else:
            found, proof = sha256_by_reading(self, name, stored.size_bytes), Proof.READ_BACK
        if found != sha256:
            raise ObjectCorrupt(f"{name} in bucket {self.options.bucket} does not have the expected content")
        return _info(name, stored, sha256=sha256, proof=proof)

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove what this process left: the service does not list unfinished uploads.

        Those of other processes expire there by themselves: after 24 hours at the hosted service, 1 hour by default
        elsewhere.
        """
        return self._uploads.remove(before=before)

    def public_addresses(self, name: str) -> tuple[str, ...]:
        return (public_address(self.options.url, self.options.bucket, self._key(name)),)

    def facts(self) -> PlaceFacts:
        bucket, dangers = self._bucket_settings(), []
        if (limit := bucket.get("file_size_limit")) and limit < LARGEST_PACK_BYTES:
            dangers.append(f"the bucket refuses objects above {limit} bytes, and packs may be larger")
        if (kinds := bucket.get("allowed_mime_types")) and CONTENT_TYPE not in kinds:
            dangers.append(f"the bucket refuses objects of the type {CONTENT_TYPE}, which all of ours have")
        return PlaceFacts(
            public=bool(bucket.get("public")),
            versioned=False,
            locked=False,
            region=self.options.region or None,
            excess_rights=("everything in the whole project: its service key cannot be narrowed to a bucket",),
            dangers=tuple(dangers),
        )

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        bucket = options.get("bucket") or "<bucket>"
        text = (
            "Supabase cannot narrow a service key: it may read, write and delete everything in its project, databases\n"
            "included, and passes by all row-level policies. Least rights here means least project:\n"
            "1. Make a project that holds nothing but backups, with members that administer nothing else.\n"
            f"2. In it, make the private bucket {bucket}, with no file size limit below 128 MB and any MIME type.\n"
            "3. Make a secret key (sb_secret_...) for this location alone, so that it can be revoked alone.\n"
        )
        return {
            "writer": text,
            "pruner": "No key can only delete: the pruner's is a second secret key of the same project.\n",
        }

    def _put_at_once(self, key: str, view: memoryview, fingerprint: Fingerprint) -> None:
        headers = {
            "Content-Type": CONTENT_TYPE,
            "x-upsert": "true",
            "x-metadata": base64.b64encode(fingerprint.metadata().encode()).decode(),
        }
        body = Body(view, Pace(self._clock))
        self._line.call(f"storing {key}", "POST", f"/object/{self._bucket}/{quote(key)}", headers=headers, data=body)

    def _proved(self, name: str, fingerprint: Fingerprint) -> ObjectInfo:
        """Return the info of what was just stored; remove it and raise ChecksumMismatch if it is not what was sent."""
        try:
            stored = self._stored(name)
        except ObjectNotFound as error:
            raise StoreUnavailable(f"{name} was accepted and is not there") from error
        if stored.recorded.get("sha256") != fingerprint.sha256:
            raise StoreUnavailable(f"{name} was replaced by somebody else before it was proved")
        if stored.size_bytes == fingerprint.size_bytes and stored.etag in fingerprint.etags:
            return _info(name, stored, proof=Proof.SERVER_MD5)
        self._backend_etag(name, stored)  # for the question whether the CDN will answer: it may have the old object
        if sha256_by_reading(self, name, stored.size_bytes) == fingerprint.sha256:
            return _info(name, stored, proof=Proof.READ_BACK)
        self.delete(name)
        raise ChecksumMismatch(f"{name} was stored damaged, and was removed again")

    def _is_there(self, name: str, fingerprint: Fingerprint) -> bool:
        """Say whether an upload whose answer was lost was carried out nevertheless."""
        try:
            stored = self._stored(name)
        except StoreError:
            return False
        return stored.recorded.get("sha256") == fingerprint.sha256 and stored.size_bytes == fingerprint.size_bytes

    def _stored(self, name: str) -> StoredObject:
        path, what = f"/object/info/authenticated/{self._bucket}/{quote(self._key(name))}", f"looking at {name}"
        return StoredObject.of(self._line.json(what, "GET", path), what)

    def _bucket_settings(self) -> dict[str, Any]:
        what = f"looking at the bucket {self.options.bucket}"
        try:
            settings = self._line.json(what, "GET", f"/bucket/{self._bucket}")
        except ObjectNotFound as error:
            raise LocationMissing(str(error)) from error
        if not isinstance(settings, dict):
            raise StoreUnavailable(f"{what}: the service's answer makes no sense")
        return settings

    def _backend_etag(self, name: str, stored: StoredObject) -> str:
        """Ask the backend itself, by reading one byte, for its ETag; "" if there is no byte or the length is another.

        Raises StoreError when it was not the backend that answered.
        """
        if not stored.size_bytes:
            return ""
        path, what = self._download_path(name), f"asking for {name}"
        response = self._line.call(what, "GET", path, headers={"Range": "bytes=0-0"})
        if is_cached(response.headers):
            raise _cached(name)
        size = response.headers.get("Content-Range", "").rpartition("/")[2]
        return bare_etag(response.headers.get("ETag", "")) if size == str(stored.size_bytes) else ""

    def _download_path(self, name: str) -> str:
        return f"/object/authenticated/{self._bucket}/{quote(self._key(name))}"

    def _make_line(self) -> Service:
        return Service(self.options.url, self.options.service_key, self.options, self._clock)

    @staticmethod
    def _checked(name: str) -> str:
        return checked_name(name)


def _info(name: str, stored: StoredObject, *, sha256: str | None = None, proof: Proof | None = None) -> ObjectInfo:
    return ObjectInfo(name, stored.size_bytes, sha256=sha256, modified=stored.modified, proof=proof)


def _cached(name: str) -> StoreError:
    error = StoreError(f"{name} came out of Supabase's CDN, which proves nothing about what is stored")
    error.retryable = False
    error.advice = "Use the S3 endpoint for this location (kind supabase_s3): it has no cache. Or verify again later."
    return error
