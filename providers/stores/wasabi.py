"""Wasabi: S3 and IAM as AWS has them, one storage class, no fees for requests and for what goes out within reason.

What differs from AWS:
- We let it check Content-MD5, which every S3 server knows; whether it keeps x-amz-checksum-sha256 is not documented.
- The bucket's region is part of the address, and a bucket is reached under its own region's address only.
- Too many requests are answered with 400 RequestRateLimitExceeded.
- Deleting before the minimum storage time (90 days, 30 under some contracts) is charged as if the object had stayed.
- Object Lock yes, KMS no, archive classes none.

Limits: https://docs.wasabi.com/apidocs/wasabi-api
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from providers.stores.base import Checksum
from providers.stores.options import option
from providers.stores.s3 import S3Store
from providers.stores.s3_options import Dialect, Keeping, LockOptions
from providers.stores.s3_policies import iam_policies


@dataclass(frozen=True, kw_only=True)
class WasabiOptions(LockOptions):
    """Which region and bucket, and who we are there."""

    region: str = option("Region", env="WASABI_REGION", text="Where the bucket was made, for example eu-central-2.")
    bucket: str = option("Bucket", env="WASABI_BACKUP_BUCKET")
    access_key: str = option("Access key id", credential=True, env="WASABI_ACCESS_KEY_ID")
    secret_key: str = option("Secret access key", secret=True, env="WASABI_SECRET_ACCESS_KEY")

    def dialect(self) -> Dialect:
        return Dialect(
            address=self.endpoint_url or f"https://s3.{self.region}.wasabisys.com",
            region=self.region,
            checksum=Checksum.MD5,
            proves_at_rest=True,
            object_lock=True,
            keeping=Keeping(lock_days=self.lock_days, lock_mode=self.lock_mode),
        )


class WasabiStore(S3Store):
    """One prefix of one bucket at Wasabi."""

    Options = WasabiOptions
    regions = "wasabi"

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        return iam_policies(options)
