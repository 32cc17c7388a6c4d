"""Cloudflare R2: S3 without fees for what goes out, one region per account and jurisdiction.

What differs from AWS:
- The address follows from the account id, and for the EU and FedRAMP jurisdictions from these too: a bucket of a
  jurisdiction is not reached under the common address. Requests are signed for the region "auto".
- It takes x-amz-checksum-sha256 but answers 501 to x-amz-sdk-checksum-algorithm on several calls, to
  x-amz-checksum-algorithm and to the CRC trailer of recent SDKs: hence the profile sha256_header_only.
- No Object Lock, no versions, no access lists, no tags, no bucket policies and no KMS: a bucket lock rule set in the
  dashboard is what protects against deletion, and public access cannot be asked for through S3.
- Two classes, Standard and Infrequent Access; both are online.
- Parts of one upload are of the same size but the last, and one key takes one write a second (429 above it).

Limits: https://developers.cloudflare.com/r2/platform/limits/
What it lacks: https://developers.cloudflare.com/r2/api/s3/api/
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass

from providers.stores.base import Checksum, PlaceFacts
from providers.stores.options import option
from providers.stores.s3 import S3Store
from providers.stores.s3_options import GIBIBYTE, BucketOptions, Dialect, Keeping, check_host_part
from providers.stores.s3_policies import key_prefix

_MAX_OBJECT_BYTES = 5 * 1024 * GIBIBYTE - 5 * GIBIBYTE
_HOW = """\
R2 > Manage API tokens > Create Account API token
  Permission:  Object Read & Write
  Buckets:     only {bucket}
  Addresses:   only those of this server (optional)
"""
_WRITER = """
R2 knows no right to write without one to delete, nor one for a folder of a bucket. What keeps a stolen token from
deleting is a lock rule: bucket {bucket} > Settings > Bucket lock rules > prefix {prefix}, retention as long as your
shortest snapshot is kept. Leave {prefix}wedbackup-validation/ and {prefix}wedbackup-probe/ out of it.
"""
_PRUNER = """
A token of its own with the same permission, so that either can be revoked alone.
"""


class Jurisdiction(enum.StrEnum):
    """Where R2 guarantees that a bucket stays. Location hints are no guarantee and need no option."""

    NONE = ""
    EU = "eu"
    FEDRAMP = "fedramp"


class R2Class(enum.StrEnum):
    """The storage classes of R2, and none of them named: the bucket's."""

    BUCKET = ""
    STANDARD = "STANDARD"
    STANDARD_IA = "STANDARD_IA"


@dataclass(frozen=True, kw_only=True)
class R2Options(BucketOptions):
    """Which account and bucket, and who we are there."""

    account_id: str = option("Account id", env="R2_ACCOUNT_ID", text="In the dashboard's address and on R2's page.")
    jurisdiction: Jurisdiction = option(  # noqa: RUF009 - `option` makes a field, each call its own
        "Jurisdiction", default=Jurisdiction.NONE, env="R2_JURISDICTION", text="eu or fedramp if the bucket has one."
    )
    bucket: str = option("Bucket", env="R2_BACKUP_BUCKET")
    access_key: str = option("Access key id", credential=True, env="R2_ACCESS_KEY_ID")
    secret_key: str = option("Secret access key", secret=True, env="R2_SECRET_ACCESS_KEY")
    storage_class: R2Class = option("Storage class of packs", default=R2Class.BUCKET)  # noqa: RUF009

    def __post_init__(self) -> None:
        super().__post_init__()
        check_host_part("account_id", self.account_id)

    def dialect(self) -> Dialect:
        place = f".{self.jurisdiction}" if self.jurisdiction else ""
        return Dialect(
            address=self.endpoint_url or f"https://{self.account_id}{place}.r2.cloudflarestorage.com",
            region="auto",
            checksum=Checksum.SHA256_HEADER_ONLY,
            proves_at_rest=True,
            conditional_create=True,
            storage_classes=tuple(R2Class)[1:],
            max_object_bytes=_MAX_OBJECT_BYTES,
            keeping=Keeping(storage_class=self.storage_class),
        )


class R2Store(S3Store):
    """One prefix of one bucket at R2."""

    Options = R2Options
    regions = "cloudflare_r2"

    def facts(self) -> PlaceFacts:
        """Tell what S3 cannot ask there: R2 has no versions and no Object Lock."""
        return dataclasses.replace(super().facts(), versioned=False, locked=False)

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        words = {"bucket": options.get("bucket") or "BUCKET", "prefix": key_prefix(options)}
        token = _HOW.format(**words)
        return {"writer": token + _WRITER.format(**words), "pruner": token + _PRUNER}
