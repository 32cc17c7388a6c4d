"""What can be done with stored objects beside reading them: other storage classes, locks, copies out of an archive.

Functions here raise the SDK's own exceptions; `providers.stores.s3` is their only caller and maps them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from providers.stores.base import Checksum
from providers.stores.errors import Unsupported
from providers.stores.s3_errors import code_of
from providers.stores.s3_options import ARCHIVE_CLASSES, GIBIBYTE, UNLOCKED, Dialect, Encryption, Keeping, LockMode

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

COPY_BYTES_MAX = 5 * GIBIBYTE
THAW_TIER = "Standard"  # 3 to 5 hours, 12 from DEEP_ARCHIVE; the cheapest that every archive class has
_PACK = re.compile(r"(?:.*/)?data/.+")


def size_of(answer: Mapping[str, Any]) -> int:
    """Return the size that an answer to HEAD tells [bytes]; supabase/storage leaves it out where it is 0."""
    return int(answer.get("ContentLength", 0))


def is_pack(name: str) -> bool:
    """Say whether `name` is a vault's pack; everything else is small and needed to find and open packs."""
    return _PACK.fullmatch(name) is not None


def keeping_arguments(keeping: Keeping, name: str, now: datetime) -> dict[str, Any]:
    """Return the arguments of an upload of `name` that say how the object is to be kept from `now` on (aware UTC)."""
    arguments = _encryption_arguments(keeping)
    if keeping.storage_class and is_pack(name):
        arguments["StorageClass"] = keeping.storage_class
    if keeping.lock_days and not name.startswith(UNLOCKED):
        arguments["ObjectLockMode"] = str(keeping.lock_mode)
        arguments["ObjectLockRetainUntilDate"] = now + timedelta(days=keeping.lock_days)
    return arguments


def _encryption_arguments(keeping: Keeping) -> dict[str, Any]:
    if keeping.encryption is Encryption.BUCKET:
        return {}
    key = {"SSEKMSKeyId": keeping.kms_key_id} if keeping.kms_key_id else {}
    return {"ServerSideEncryption": str(keeping.encryption), **key}


def class_of(answer: Mapping[str, Any]) -> str:
    """Return the storage class in an answer to HEAD or in a listing; S3 says nothing for the usual one."""
    return answer.get("StorageClass") or "STANDARD"


def copy_to_class(
    client: S3Client, bucket: str, key: str, found: Mapping[str, Any], wanted: str, *, dialect: Dialect
) -> None:
    """Copy an object onto itself into the class `wanted`, with its metadata and its lock.

    found: the answer to HEAD. A copy would drop the lock and take the bucket's encryption, so both are said again.

    Raises Unsupported above 5 GiB.
    """
    if size_of(found) > COPY_BYTES_MAX:
        raise Unsupported(f"{key} has over 5 GiB: S3 copies no more in one request. Let a lifecycle rule move it.")
    arguments = _encryption_arguments(dialect.keeping)
    if found.get("ObjectLockMode"):
        arguments["ObjectLockMode"] = found["ObjectLockMode"]
        arguments["ObjectLockRetainUntilDate"] = found["ObjectLockRetainUntilDate"]
    if dialect.checksum is Checksum.SHA256:
        arguments["ChecksumAlgorithm"] = "SHA256"
    client.copy_object(
        Bucket=bucket,
        Key=key,
        CopySource={"Bucket": bucket, "Key": key},
        CopySourceIfMatch=found["ETag"],
        StorageClass=wanted,  # type: ignore[arg-type]  # one of the dialect's classes
        MetadataDirective="COPY",
        **arguments,
    )


def thaw(client: S3Client, bucket: str, key: str, found: Mapping[str, Any], days: int) -> bool:
    """Return whether an object can be read now; ask for it to be brought back for `days` if nobody has yet.

    found: the answer to HEAD, whose header x-amz-restore tells of a copy that is being made or ready.
    """
    tiered = bool(found.get("ArchiveStatus"))  # the archive tiers of INTELLIGENT_TIERING come back for good
    if class_of(found) not in ARCHIVE_CLASSES and not tiered:
        return True
    restore = found.get("Restore", "")
    if restore:
        return 'ongoing-request="false"' in restore
    request: Any = {"GlacierJobParameters": {"Tier": THAW_TIER}}
    if not tiered:
        request["Days"] = days
    try:
        client.restore_object(Bucket=bucket, Key=key, RestoreRequest=request)
    except ClientError as exc:
        if code_of(exc) != "RestoreAlreadyInProgress":
            raise
    return False


def protect(client: S3Client, bucket: str, key: str, found: Mapping[str, Any], until: datetime, mode: LockMode) -> None:
    """Have deletion and change of an object refused until then (aware UTC), unless it is protected for longer already.

    found: the answer to HEAD. A compliance lock that is there stays one.
    """
    held = found.get("ObjectLockRetainUntilDate")
    if held and held >= until:
        return
    stricter = LockMode.COMPLIANCE if found.get("ObjectLockMode") == LockMode.COMPLIANCE else mode
    client.put_object_retention(Bucket=bucket, Key=key, Retention={"Mode": stricter.value, "RetainUntilDate": until})
