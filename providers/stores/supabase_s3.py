"""Supabase Storage by its S3 endpoint: the same buckets without the CDN in between, with S3 access keys.

A kind of its own rather than an option of `providers.stores.supabase`: it has other credentials, other uploads and
other errors, and shares all of them with the S3 store. What differs from S3:
- The endpoint ignores Content-MD5, x-amz-checksum-* and the body's hash in the signature. So every `put` is proved
  by us: the ETag is compared with ours, or the object is read back.
- HEAD is answered out of the database (s3-handler.ts dbHeadObject). So `verify` also reads a byte, which comes from
  where the bytes are.
- Error codes are empty for boto3, whose parser stumbles over the XML namespace; statuses are enough.
- Names are those of `providers.stores.supabase`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from providers.stores.base import Buffer, Checksum, ObjectInfo, PlaceFacts, Proof
from providers.stores.errors import ChecksumMismatch, ObjectNotFound, StoreUnavailable
from providers.stores.options import option
from providers.stores.reading import sha256_by_reading
from providers.stores.s3 import S3Store
from providers.stores.s3_objects import size_of
from providers.stores.s3_options import MEBIBYTE, BucketOptions, Dialect, check_host_part
from providers.stores.s3_upload import SHA256_KEY
from providers.stores.supabase import SupabaseStore
from providers.stores.supabase_api import bare_etag, check_project_address, checked_name, public_address
from providers.stores.supabase_upload import Fingerprint
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

PATH = "/storage/v1/s3"


@dataclass(frozen=True, kw_only=True)
class SupabaseS3Options(BucketOptions):
    """Which project and bucket, and the S3 access key; all of it is on the console's page Storage, S3."""

    url: str = option("Project address", text="https://<project>.storage.supabase.co", env="SUPABASE_URL")
    bucket: str = option("Bucket", env="SUPABASE_BACKUP_BUCKET")
    access_key: str = option("S3 access key id", credential=True, env="SUPABASE_S3_ACCESS_KEY_ID")
    secret_key: str = option("S3 secret access key", secret=True, env="SUPABASE_S3_SECRET_ACCESS_KEY")
    region: str = option("Region", text="Of the project; requests are signed for it.", env="SUPABASE_REGION")
    single_put_bytes: int = option(
        "Largest single upload [bytes]", default=16 * MEBIBYTE, text="Above 16 MiB the service splits it by itself."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_host_part("region", self.region)
        check_project_address(self.url)

    def dialect(self) -> Dialect:
        return Dialect(
            address=f"{(self.endpoint_url or self.url).rstrip('/')}{PATH}",
            region=self.region,
            checksum=Checksum.MD5,
            proves_at_rest=True,
            max_object_bytes=500 * 10**9,
        )


class SupabaseS3Store(S3Store):
    """One folder of one bucket of one project, spoken to as S3."""

    Options = SupabaseS3Options
    wire = dataclasses.replace(S3Store.wire, endpoint="url")
    regions = "supabase_storage"

    def __init__(self, options: BucketOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(options, clock=clock)
        self.capabilities = dataclasses.replace(
            self.capabilities,
            checksum=Checksum.READ_BACK,
            unicode_names=False,
            exceptions=SupabaseStore.capabilities.exceptions,
        )

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        view = memoryview(content).cast("B")
        fingerprint = Fingerprint.of(view, sha256, part_bytes=self.options.part_bytes)
        super().put(name, view, sha256=fingerprint.sha256)
        try:
            found = self._head(name)
        except ObjectNotFound as error:
            raise StoreUnavailable(f"{name} was accepted and is not there") from error
        if found.get("Metadata", {}).get(SHA256_KEY, fingerprint.sha256) != fingerprint.sha256:
            raise StoreUnavailable(f"{name} was replaced by somebody else before it was proved")
        info = ObjectInfo(name, size_of(found), modified=found.get("LastModified"))
        if info.size_bytes == len(view) and bare_etag(found["ETag"]) in fingerprint.etags:
            return dataclasses.replace(info, proof=Proof.SERVER_MD5)
        if sha256_by_reading(self, name, info.size_bytes) == fingerprint.sha256:
            return dataclasses.replace(info, proof=Proof.READ_BACK)
        self.delete(name)
        raise ChecksumMismatch(f"{name} was stored damaged, and was removed again")

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        """Prove the content of `name`, without a download if it went up in one request.

        Then its ETag is still what our upload recorded beside this SHA-256, and a byte of it can be read.
        An ETag is what the backend computed when it stored the object: a bit that a disk lost since is found by reading
        only. What went up in parts is read back.
        """
        info = super().verify(name, sha256=sha256)
        if info.proof is not Proof.READ_BACK and info.size_bytes:
            self.get(name, length=1)
        return info

    def public_addresses(self, name: str) -> tuple[str, ...]:
        options = self.options
        project = (options.endpoint_url or getattr(options, "url", "")).rstrip("/")
        return (public_address(project, options.bucket, self._key(name)),)

    def facts(self) -> PlaceFacts:
        everything = "everything in all buckets of the project: S3 access keys cannot be narrowed"
        return dataclasses.replace(super().facts(), excess_rights=(everything,))

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        return SupabaseStore.policies(options)

    @staticmethod
    def _checked(name: str) -> str:
        return checked_name(name)
