"""Classes, encryption, locks and the way back from an archive, against moto."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from providers.stores.base import Checksum
from providers.stores.errors import Archived, ObjectNotFound, Unsupported
from providers.stores.s3 import StorageClass
from providers.stores.s3_options import Encryption, LockMode
from tests.servers.s3 import MEBIBYTE, SMALL_PARTS, open_aws
from wedbackup.core.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PACK = "6f1c/data/3f/3f1a"
NAMES_TO_OPEN_A_VAULT = ("6f1c/config", "6f1c/keys/0a", "6f1c/index/0b", "6f1c/snapshots/0c")


def head(aws: S3Client, name: str) -> dict[str, object]:
    return dict(aws.head_object(Bucket="weddings", Key=name))


# --- classes


@pytest.mark.parametrize("wanted", [*StorageClass][1:])
def test_the_class_is_for_packs_and_what_opens_a_vault_stays_online(aws: S3Client, wanted: StorageClass) -> None:
    store = open_aws(storage_class=wanted)
    for name in (PACK, *NAMES_TO_OPEN_A_VAULT):
        store.put(name, b"x")
    found = {info.name: info.storage_class for info in store.list()}
    assert found == {PACK: wanted} | dict.fromkeys(NAMES_TO_OPEN_A_VAULT, "STANDARD")
    assert store.capabilities.online == (wanted not in ("GLACIER", "DEEP_ARCHIVE"))


def test_a_pack_in_parts_takes_its_class_too(aws: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.stores.s3_upload.SMALL_BYTES", 6 * MEBIBYTE)  # moto takes only plain bytes
    store = open_aws(storage_class=StorageClass.STANDARD_IA, **SMALL_PARTS)
    store.put(PACK, bytes(6 * MEBIBYTE))
    assert store.head(PACK).storage_class == "STANDARD_IA"


def test_an_object_changes_class_with_its_metadata_and_its_lock(aws: S3Client) -> None:
    lock_the_bucket(aws)
    store = open_aws(checksum=Checksum.MD5, lock_days=10)
    store.put(PACK, b"content")
    before = head(aws, PACK)
    store.change_class(PACK, "GLACIER_IR")
    after = head(aws, PACK)
    assert after["StorageClass"] == "GLACIER_IR"
    for kept in ("Metadata", "ObjectLockMode", "ObjectLockRetainUntilDate", "ContentLength", "ETag"):
        assert after[kept] == before[kept]


def test_an_object_that_has_its_class_already_is_not_copied(aws: S3Client) -> None:
    store = open_aws()
    store.put(PACK, b"content")
    before = head(aws, PACK)
    store.change_class(PACK, "STANDARD")
    assert head(aws, PACK)["LastModified"] == before["LastModified"]


@pytest.mark.parametrize(
    ("name", "wanted", "why"),
    [(PACK, "COLD", "no storage class COLD"), *((name, "GLACIER", "stays online") for name in NAMES_TO_OPEN_A_VAULT)],
)
def test_a_class_that_does_not_exist_or_would_close_the_vault_is_refused(
    aws: S3Client, name: str, wanted: str, why: str
) -> None:
    store = open_aws()
    store.put(name, b"content")
    with pytest.raises(Unsupported, match=why):
        store.change_class(name, wanted)
    assert store.head(name).storage_class == "STANDARD"


def test_an_object_too_large_to_be_copied_is_refused_with_a_way_out(
    aws: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.stores.s3_objects.COPY_BYTES_MAX", 6)
    store = open_aws()
    store.put(PACK, b"content")
    with pytest.raises(Unsupported, match="lifecycle rule"):
        store.change_class(PACK, "STANDARD_IA")


# --- archives


@pytest.mark.parametrize("archive", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_object_is_read_after_it_was_brought_back(aws: S3Client, archive: str) -> None:
    store = open_aws(storage_class=StorageClass(archive))
    store.put(PACK, b"content")
    with pytest.raises(Archived) as caught:
        store.get(PACK)
    assert not caught.value.retryable
    assert store.thaw(PACK, days=3) is False  # asked for
    assert 'expiry-date="' in str(head(aws, PACK)["Restore"])  # moto has it ready at once
    assert store.thaw(PACK) is True
    assert store.get(PACK) == b"content"


def test_an_archived_object_is_still_verified(aws: S3Client) -> None:
    store = open_aws(storage_class=StorageClass.DEEP_ARCHIVE, checksum=Checksum.MD5)
    store.put(PACK, b"content")
    assert store.verify(PACK, sha256=hashlib.sha256(b"content").hexdigest()).proof


def test_what_is_online_needs_no_thaw(aws: S3Client) -> None:
    store = open_aws()
    store.put(PACK, b"content")
    assert store.thaw(PACK) is True
    with pytest.raises(ObjectNotFound):
        store.thaw("never/was")


# --- encryption


def test_packs_are_encrypted_with_the_key_that_was_named(aws: S3Client) -> None:
    store = open_aws(encryption=Encryption.KMS, kms_key_id="arn:aws:kms:eu-central-1:1:key/2")
    store.put(PACK, b"content")
    found = head(aws, PACK)
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "arn:aws:kms:eu-central-1:1:key/2")
    store.change_class(PACK, "STANDARD_IA")
    assert head(aws, PACK)["SSEKMSKeyId"] == "arn:aws:kms:eu-central-1:1:key/2"


def test_encryption_by_s3_itself_can_be_asked_for(aws: S3Client) -> None:
    open_aws(encryption=Encryption.S3).put(PACK, b"content")
    assert head(aws, PACK)["ServerSideEncryption"] == "AES256"


# --- versions and locks


def lock_the_bucket(aws: S3Client) -> None:
    aws.put_bucket_versioning(Bucket="weddings", VersioningConfiguration={"Status": "Enabled"})
    aws.put_object_lock_configuration(Bucket="weddings", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})


def test_a_bucket_with_versions_shows_what_is_current(aws: S3Client) -> None:
    aws.put_bucket_versioning(Bucket="weddings", VersioningConfiguration={"Status": "Enabled"})
    store = open_aws()
    for content in (b"old", b"new"):
        store.put(PACK, content)
    assert [info.size_bytes for info in store.list()] == [3]
    store.delete(PACK)
    assert [*store.list()] == []
    with pytest.raises(ObjectNotFound):
        store.get(PACK)
    versions = aws.list_object_versions(Bucket="weddings")
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (2, 1)


@pytest.mark.parametrize("mode", LockMode)
def test_new_objects_are_locked_for_the_days_asked_but_not_what_probes_remove_again(
    aws: S3Client, mode: LockMode
) -> None:
    lock_the_bucket(aws)
    store = open_aws(lock_days=10, lock_mode=mode)
    store.put(PACK, b"content")
    store.put("wedbackup-probe/1", b"content")
    found = head(aws, PACK)
    left = found["ObjectLockRetainUntilDate"] - SYSTEM_CLOCK.utcnow()  # type: ignore[operator]
    assert (found["ObjectLockMode"], round(left / timedelta(days=1))) == (mode, 10)
    assert "ObjectLockMode" not in head(aws, "wedbackup-probe/1")


def test_protection_only_ever_grows(aws: S3Client) -> None:
    lock_the_bucket(aws)
    store = open_aws(lock_days=10, lock_mode=LockMode.COMPLIANCE)
    store.put(PACK, b"content")
    now = SYSTEM_CLOCK.utcnow().replace(microsecond=0)
    for days, expected in ((20, 20), (5, 20)):
        store.protect(PACK, until=now + timedelta(days=days))
        found = head(aws, PACK)
        assert found["ObjectLockRetainUntilDate"] == now + timedelta(days=expected)
        assert found["ObjectLockMode"] == "COMPLIANCE"


def test_an_object_without_a_lock_can_be_given_one(aws: S3Client) -> None:
    lock_the_bucket(aws)
    store = open_aws()
    store.put(PACK, b"content")
    until = SYSTEM_CLOCK.utcnow().replace(microsecond=0) + timedelta(days=1)
    store.protect(PACK, until=until)
    assert head(aws, PACK)["ObjectLockRetainUntilDate"] == until


def test_where_the_bucket_has_no_lock_protection_is_refused_with_advice(aws: S3Client) -> None:
    store = open_aws()
    store.put(PACK, b"content")
    with pytest.raises(Unsupported) as caught:
        store.protect(PACK, until=SYSTEM_CLOCK.utcnow() + timedelta(days=1))
    assert "Object Lock" in caught.value.advice
