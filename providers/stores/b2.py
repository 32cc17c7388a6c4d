"""Backblaze B2 through its S3 interface.

What differs from AWS:
- It checks Content-MD5 and answers 400 to every x-amz-checksum header, also to the one with which HEAD asks.
- Versions are always kept: a deletion hides an object until a lifecycle rule of the bucket removes what is hidden. A
  key without the capability deleteFiles can hide, and never destroys.
- Answers of 500 and 503 ("no tomes available", "is too busy") are how B2 spreads load: the next attempt reaches
  another server. Only SlowDown asks for a slower pace.
- Exceeded caps come as 403 with words, and mean full, not forbidden.
- No KMS, no storage classes; Object Lock if it is switched on for the bucket. https only, no anonymous listings.

Limits: https://www.backblaze.com/docs/cloud-storage-call-the-s3-compatible-api
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from providers.stores.base import Checksum, PlaceFacts
from providers.stores.options import option
from providers.stores.s3 import S3Store
from providers.stores.s3_options import Dialect, Keeping, LockOptions
from providers.stores.s3_policies import key_prefix, wants_locks

_MAX_OBJECT_BYTES = 10 * 1000**4
_CAPABILITIES = ("listBuckets", "listAllBucketNames", "readBuckets", "listFiles", "readFiles", "writeFiles")
_LOCK_CAPABILITIES = ("readBucketRetentions", "readFileRetentions", "writeFileRetentions")


@dataclass(frozen=True, kw_only=True)
class B2Options(LockOptions):
    """Which region and bucket, and who we are there."""

    region: str = option("Region", env="B2_REGION", text="As in the bucket's endpoint, for example eu-central-003.")
    bucket: str = option("Bucket", env="B2_BACKUP_BUCKET")
    access_key: str = option(
        "Key id", credential=True, env="B2_APPLICATION_KEY_ID", text="keyID of an application key, not the master."
    )
    secret_key: str = option("Application key", secret=True, env="B2_APPLICATION_KEY")

    def dialect(self) -> Dialect:
        return Dialect(
            address=self.endpoint_url or f"https://s3.{self.region}.backblazeb2.com",
            region=self.region,
            checksum=Checksum.MD5,
            proves_at_rest=True,
            object_lock=True,
            max_object_bytes=_MAX_OBJECT_BYTES,
            keeping=Keeping(lock_days=self.lock_days, lock_mode=self.lock_mode),
        )


class B2Store(S3Store):
    """One prefix of one bucket at B2."""

    Options = B2Options
    regions = "backblaze_b2"

    def facts(self) -> PlaceFacts:
        """Tell no excess of rights: B2 wants keys to list bucket names, and has nothing else that we could ask for."""
        return dataclasses.replace(super().facts(), excess_rights=())

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        """Return the bodies of b2_create_key for the writer and the pruner."""
        writer = [*_CAPABILITIES, *(_LOCK_CAPABILITIES if wants_locks(options) else ())]
        return {
            "writer": _key("wedbackup-writer", writer, options),
            "pruner": _key("wedbackup-pruner", [*writer, "deleteFiles"], options),
        }


def _key(name: str, capabilities: list[str], options: Mapping[str, str]) -> str:
    body = {
        "keyName": name,
        "capabilities": capabilities,
        "bucketId": f"ID OF {options.get('bucket') or 'BUCKET'}",
        "namePrefix": key_prefix(options),
    }
    return json.dumps({key: value for key, value in body.items() if value}, indent=2)
