"""Classes, protection, rights and facts at Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from providers.stores.base import Proof
from providers.stores.errors import AccessDenied, Rejected, Unsupported
from providers.stores.gcs import GCSStore
from providers.stores.gcs_options import Retention
from providers.validation.faultproxy import FaultProxy
from tests.servers.gcs import GCS
from tests.servers.gcs_fixtures import PACK, PACK_SHA256
from wedbackup.core.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.services


def test_a_change_of_class_keeps_content_and_proof(open_gcs: Callable[..., GCSStore], gcs_proxy: FaultProxy) -> None:
    store = open_gcs(endpoint_url=gcs_proxy.url)
    store.put("pack", PACK)
    store.change_class("pack", "COLDLINE")
    assert store.head("pack").storage_class == "COLDLINE"
    assert store.verify("pack", sha256=PACK_SHA256).proof is Proof.SERVER_MD5
    rewrites = [request for request in gcs_proxy.requests if "rewriteTo" in request]
    assert len(rewrites) == 2  # the server asked to be called again
    assert "rewriteToken=" in rewrites[1]
    assert all("ifGenerationMatch=" in one and "ifSourceGenerationMatch=" in one for one in rewrites)
    store.change_class("pack", "COLDLINE")
    assert len([request for request in gcs_proxy.requests if "rewriteTo" in request]) == 2
    with pytest.raises(Unsupported):
        store.change_class("pack", "GLACIER")


def test_a_protected_object_can_be_neither_deleted_nor_replaced_and_protection_only_grows(
    gcs: GCS, open_gcs: Callable[..., GCSStore]
) -> None:
    bucket = gcs.make_bucket(objectRetention={"mode": "Enabled"})
    store = open_gcs(bucket=bucket, retention=Retention.LOCKED)
    store.put("pack", PACK)
    until = SYSTEM_CLOCK.utcnow() + timedelta(days=30)
    store.protect("pack", until=until)
    store.protect("pack", until=until - timedelta(days=1))
    blob = store._looked_at("pack")
    assert (blob.retention.mode, blob.retention.retain_until_time) == ("Locked", until)
    with pytest.raises(AccessDenied) as caught:
        store.delete("pack")
    assert "protected" in caught.value.advice
    with pytest.raises(AccessDenied):
        store.put("pack", b"other")
    assert store.put("pack", PACK).proof  # the same again is there already
    assert store.facts().locked


def test_a_place_without_object_retention_says_so(open_gcs: Callable[..., GCSStore]) -> None:
    until = SYSTEM_CLOCK.utcnow() + timedelta(days=30)
    store = open_gcs()
    store.put("pack", PACK)
    with pytest.raises(Unsupported):
        store.protect("pack", until=until)
    assert not store.capabilities.object_lock
    with pytest.raises(Rejected, match="not enabled"):
        open_gcs(retention=Retention.UNLOCKED).protect("pack", until=until)


def test_the_bucket_tells_its_facts(gcs: GCS, open_gcs: Callable[..., GCSStore], gcs_held: set[str]) -> None:
    gcs_held |= {"storage.buckets.get", "storage.buckets.setIamPolicy"}
    rules = [
        {"action": {"type": "Delete"}, "condition": {"age": 30}},
        {"action": {"type": "Delete"}, "condition": {"numNewerVersions": 3}},
        {"action": {"type": "SetStorageClass", "storageClass": "ARCHIVE"}, "condition": {"age": 365}},
    ]
    bucket = gcs.make_bucket(
        location="EUROPE-WEST3",
        versioning={"enabled": True},
        lifecycle={"rule": rules},
        retentionPolicy={"retentionPeriod": str(7 * 86_400)},
    )
    facts = open_gcs(bucket=bucket).facts()
    assert (facts.public, facts.versioned, facts.locked, facts.region) == (False, True, True, "europe-west3")
    assert facts.excess_rights == ("decide who may use the bucket",)
    assert facts.lifecycle[:2] == ("deletes objects when: age 30", "deletes old versions when: numNewerVersions 3")
    assert "moves objects to ARCHIVE when: age 365" in facts.lifecycle
    assert "every object stays for 7 days after it was stored" in facts.lifecycle
    assert facts.dangers == ("deletes objects when: age 30",)


def test_a_public_bucket_is_noticed(gcs: GCS, open_gcs: Callable[..., GCSStore]) -> None:
    settings = {"publicAccessPrevention": "inherited", "uniformBucketLevelAccess": {"enabled": True}}
    bucket = gcs.make_bucket(iamConfiguration=settings)
    store = open_gcs(bucket=bucket)
    assert store.facts().public is False
    everybody = {"role": "roles/storage.objectViewer", "members": ["allUsers"]}
    gcs.storage.set_bucket_iam_policy(bucket, {"version": 1, "etag": "x", "bindings": [everybody]})
    assert store.facts().public is True


def test_an_account_that_may_not_look_at_the_bucket_still_tells_its_rights(
    open_gcs: Callable[..., GCSStore], gcs_held: set[str]
) -> None:
    gcs_held |= {"storage.buckets.delete"}
    facts = open_gcs().facts()
    assert (facts.public, facts.region, facts.excess_rights) == (None, None, ("delete the bucket",))


def test_the_roles_hold_what_is_needed_and_no_more() -> None:
    known = {"bucket": "wedding-copies", "project_id": "a-wedding", "prefix": "vaults"}
    policies = GCSStore.policies(known)
    assert "storage.objects.create" in policies["writer"]
    assert "delete" not in policies["writer"] + policies["writer"]
    assert "storage.objects.delete" in policies["pruner"]
    assert "setRetention" not in policies["writer"]
    assert "setRetention" in GCSStore.policies({**known, "retention": "Locked"})["writer"]
    assert 'startsWith("projects/_/buckets/wedding-copies/objects/vaults/")' in policies["commands"]
    assert GCSStore.policies({})["commands"].count("gs://BUCKET") == 2
