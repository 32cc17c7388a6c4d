"""Google Cloud Storage, by the SDK google-cloud-storage over its JSON API.

What is special here:
- Every upload carries the MD5 and CRC32C of its content, which Google checks before the object exists, and the SHA-256
  (and that MD5) as metadata, in the same request: `verify` compares them with the hashes that Google keeps and needs no
  download, see there.
- Up to `single_put_bytes` an object goes up in one request, above it in a session that a later call goes on with.
  Sessions can be listed by nobody and end by themselves after a week; we cancel our own when nobody will resume them.
- The SDK retries everywhere, fetches the bucket in a thread of its own, and asks the token server again and again. All
  of that is off.
- Replacing an object takes the right to delete. An account without it works with `create_only`.
- One object can be written about once a second, more often is answered with 429.
- All storage classes, ARCHIVE too, answer within milliseconds; they differ in prices and in minimum ages.

Limits: https://cloud.google.com/storage/quotas
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from google.api_core.exceptions import GoogleAPICallError

from providers.stores.base import Buffer, Capabilities, Checksum, ObjectInfo, PlaceFacts, Proof, StoredHash, Wire
from providers.stores.errors import (
    ChecksumMismatch,
    CredentialExpired,
    LocationMissing,
    ObjectCorrupt,
    ObjectNotFound,
    Rejected,
    StoreError,
    StoreUnavailable,
    Unsupported,
)
from providers.stores.gcs_bucket import facts_of, policies_for
from providers.stores.gcs_client import Client, open_client
from providers.stores.gcs_errors import CAUGHT, answer_may_be_lost, map_error, words_of
from providers.stores.gcs_options import GCSOptions, Retention, StorageClass
from providers.stores.gcs_upload import Digests, ResumableUploads, Target, digests_of, upload_at_once
from providers.stores.networked import NetworkedStore
from providers.stores.per_process import PerProcess
from providers.stores.reading import RECEIVE_BYTES, cut_out, range_header, received, sha256_by_reading
from providers.stores.session import CONNECTIONS
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
_LISTED = "kind,items(name,size,timeCreated,storageClass),nextPageToken"


class GCSStore(NetworkedStore[GCSOptions, PerProcess[Client]]):
    """One prefix of one bucket. The SDK's client is made at the first call, one per process."""

    Options = GCSOptions
    wire = Wire(
        put=b"uploadType=multipart",
        get=b"alt=media",
        head=b"?projection=noAcl",
        list=b"maxResults=",
        delete=b"DELETE /storage/",
    )
    regions = "gcs"

    def __init__(self, options: GCSOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(options, clock=clock, folder=options.prefix)
        self.capabilities = Capabilities(
            connections=CONNECTIONS,
            single_put_bytes=options.single_put_bytes,
            checksum=Checksum.MD5,
            stored_hash=StoredHash.MD5,
            proves_at_rest=True,
            conditional_create=True,
            object_lock=options.retention is not Retention.NONE,
            resumable=True,
            storage_classes=CLASSES,
            exceptions={"storing again replaces": "this location never replaces an object"}
            if options.create_only
            else {},
        )
        self._path = f"/storage/v1/b/{quote(options.bucket, safe='')}/o"
        self._uploads = ResumableUploads(options.chunk_bytes, clock)

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        """See `ObjectStore.put`. Proved by the MD5 that Google checks, and again by the one in its answer."""
        key, view = self._key(name), memoryview(content).cast("B")
        digests = digests_of(view)
        if sha256 not in (None, digests.sha256):  # it becomes metadata that `verify` believes
            raise ChecksumMismatch(f"{name}: the content is not what its SHA-256 says")
        with self._errors(f"storing {name}"):
            try:
                stored = self._send(self._target(key, digests), view, digests)
            except CAUGHT as exc:
                stored = self._settled(exc, key, len(view), digests, name)
        if stored.get("md5Hash") != digests.md5 or int(stored.get("size", -1)) != len(view):
            raise ChecksumMismatch(f"{name}: the server stored something else than what was sent")
        return ObjectInfo(name, len(view), proof=Proof.SERVER_MD5, storage_class=stored.get("storageClass", ""))

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `ObjectStore.get`. The stored bytes as they are: nothing is unpacked on the way."""
        if length == 0:
            self.head(name)
            return b""
        path = f"/download{self._path}/{quote(self._key(name), safe='')}?alt=media"
        headers = {"Accept-Encoding": "gzip"}  # what somebody stored as gzip comes as it is
        if offset or length is not None:
            headers["Range"] = range_header(offset, length)
        with self._errors(f"reading {name}", name):
            answer = self._client().line.ask("GET", path, headers=headers, stream=True, fine=(416,))
            with contextlib.closing(answer):
                if answer.status_code == 416:  # begins past the end
                    return b""
                content = received(answer.raw.stream(RECEIVE_BYTES, decode_content=False), self._clock)
        if len(content) != int(answer.headers.get("Content-Length", len(content))):
            raise StoreUnavailable(f"{name} ended early after {len(content)} bytes")
        if "Range" in headers and answer.status_code != 206:  # the server ignores ranges and sent everything
            content = cut_out(content, offset, length)
        return content

    def head(self, name: str) -> ObjectInfo:
        return self._info(name, self._looked_at(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._errors(f"listing {prefix}"):
            found = self._client().sdk.list_blobs(
                self.options.bucket,
                prefix=self._prefix + prefix,
                page_size=self.options.list_page,
                fields=_LISTED,
                timeout=None,
                retry=None,
            )
            for blob in found:
                yield self._info(blob.name.removeprefix(self._prefix), blob)

    def delete(self, name: str) -> None:
        blob = self._blob(name)
        with contextlib.suppress(ObjectNotFound), self._errors(f"deleting {name}", name):
            blob.delete(timeout=None, retry=None)

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        """See `ObjectStore.verify`.

        Without a download this proves: when these bytes were stored, Google computed their MD5, found it equal to the
        one that we had computed in the same pass as this SHA-256, and keeps both with that very generation of the
        object; new content means a new generation. It does not prove that Google's disks give the same bytes back
        today (Google checks them against its own CRC32C), and somebody who may change metadata could lie about both.
        An object without our metadata, or stored by composing others, is read back.
        """
        blob = self._looked_at(name)
        metadata = blob.metadata or {}
        if blob.md5_hash and blob.crc32c and metadata.get("md5") == blob.md5_hash and "sha256" in metadata:
            stored, proof = metadata["sha256"], Proof.SERVER_MD5
        else:
            stored, proof = sha256_by_reading(self, name, int(blob.size)), Proof.READ_BACK
        if stored != sha256:
            raise ObjectCorrupt(f"{name} in bucket {self.options.bucket} does not have the expected content")
        info = self._info(name, blob)
        return ObjectInfo(name, info.size_bytes, stored, info.modified, proof, info.storage_class)

    def remove_unfinished(self, *, before: datetime) -> int:
        """Cancel the upload sessions that this store began `before` then and nobody went on with.

        Those of other processes cannot be found: Google lists them to nobody and ends them after a week.
        """
        with self._errors("cancelling unfinished uploads"):
            return self._uploads.cancel(lambda: self._client().line, before=before)

    def change_class(self, name: str, storage_class: str) -> None:
        if storage_class not in CLASSES:
            raise Unsupported(f"{name}: there is no storage class {storage_class} here, only {', '.join(CLASSES)}")
        blob = self._looked_at(name)
        if blob.storage_class == storage_class:
            return
        same = blob.generation  # never over what somebody stored meanwhile
        with self._errors(f"moving {name} to {storage_class}", name):
            blob.update_storage_class(
                storage_class, if_generation_match=same, if_source_generation_match=same, timeout=None, retry=None
            )

    def protect(self, name: str, *, until: datetime) -> None:
        if not self.capabilities.object_lock:
            super().protect(name, until=until)
        blob = self._looked_at(name)
        ends = blob.retention.retain_until_time
        if ends is not None and ends >= until:
            return
        with self._errors(f"protecting {name}", name):
            blob.retention.mode = self.options.retention.value
            blob.retention.retain_until_time = until
            blob.patch(if_metageneration_match=blob.metageneration, timeout=None, retry=None)

    def public_addresses(self, name: str) -> tuple[str, ...]:
        base, key = self.options.endpoint_url.rstrip("/"), self._key(name)
        return (
            f"{base}/{quote(self.options.bucket, safe='')}/{quote(key)}",
            f"{base}{self._path}/{quote(key, safe='')}?alt=media",
        )

    def facts(self) -> PlaceFacts:
        with self._errors("looking at the bucket"):
            return facts_of(self._client().sdk, self.options.bucket)

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        return policies_for(options)

    def close(self) -> None:
        """Cancel what nobody can resume any more, since sessions are kept in this store alone; release connections."""
        with contextlib.suppress(StoreError):
            self._uploads.cancel(lambda: self._client().line)
        super().close()

    def _make_line(self) -> PerProcess[Client]:
        return PerProcess(lambda: open_client(self.options, self._clock), lambda client: client.sdk.close())

    def _target(self, key: str, digests: Digests) -> Target:
        resource: dict[str, Any] = {
            "name": key,
            "contentType": "application/octet-stream",
            "md5Hash": digests.md5,
            "crc32c": digests.crc32c,
            "metadata": {"sha256": digests.sha256, "md5": digests.md5},
        }
        if self.options.storage_class is not StorageClass.AS_BUCKET:
            resource["storageClass"] = self.options.storage_class.value
        parameters = {"ifGenerationMatch": "0"} if self.options.create_only else {}
        if self.options.kms_key:
            parameters["kmsKeyName"] = self.options.kms_key
        return Target(f"/upload{self._path}", resource, parameters)

    def _send(self, target: Target, view: memoryview, digests: Digests) -> Mapping[str, Any]:
        line = self._client().line
        if len(view) <= self.options.single_put_bytes:
            return upload_at_once(line, target, view, self._clock)
        return self._uploads.upload(line, target, view, digests.sha256)

    def _settled(self, exc: Exception, key: str, size_bytes: int, digests: Digests, name: str) -> Mapping[str, Any]:
        """Return the stored object's resource if the upload that failed with `exc` is there all the same.

        Raises `exc` if it is not, Rejected if another object is there that must not be replaced.
        """
        if not answer_may_be_lost(exc):
            raise exc
        blob = self._blob_at(key)
        with contextlib.suppress(*CAUGHT):
            blob.reload(timeout=None, retry=None)
        if blob.md5_hash == digests.md5 and blob.size == size_bytes:
            self._uploads.forget(key, digests.sha256)
            return {"md5Hash": blob.md5_hash, "size": blob.size, "storageClass": blob.storage_class or ""}
        if self.options.create_only and blob.generation and getattr(exc, "code", None) == 412:
            raise Rejected(f"{name} exists with other content, and this location never replaces an object") from exc
        raise exc

    def _looked_at(self, name: str) -> Any:
        """Return the SDK's blob `name` with everything that the server tells of it."""
        blob = self._blob(name)
        with self._errors(f"looking at {name}", name):
            blob.reload(timeout=None, retry=None)
        return blob

    def _info(self, name: str, blob: Any) -> ObjectInfo:
        return ObjectInfo(name, int(blob.size), modified=blob.time_created, storage_class=blob.storage_class or "")

    def _blob(self, name: str) -> Any:
        return self._blob_at(self._key(name))

    def _blob_at(self, key: str) -> Any:
        return self._client().sdk.bucket(self.options.bucket).blob(key)

    def _client(self) -> Client:
        return self._line.get()

    @contextlib.contextmanager
    def _errors(self, what: str, name: str | None = None) -> Iterator[None]:
        """Map the SDK's exceptions; with `name`, find out whether a 404 means the object or the bucket."""
        try:
            yield
        except CAUGHT as exc:
            error = map_error(exc, what, self._clock)
            if isinstance(error, CredentialExpired):
                self._client().forget_token()
            if isinstance(error, ObjectNotFound) and (name is None or self._bucket_is_missing(exc)):
                error = LocationMissing(f"{what}: the bucket {self.options.bucket} does not exist")
            raise error from exc

    def _bucket_is_missing(self, exc: Exception) -> bool:
        """Ask for the bucket after a 404, unless the answer says what is missing."""
        said = words_of(exc) if isinstance(exc, GoogleAPICallError) else ""
        if said.startswith("No such object"):
            return False
        if "bucket does not exist" in said:
            return True
        try:
            self._client().line.ask("GET", f"{self._path}?maxResults=1&fields=kind")
        except CAUGHT as bucket_exc:
            return isinstance(map_error(bucket_exc, "looking at the bucket", self._clock), ObjectNotFound)
        return False
