"""What a store finds out about its bucket, against moto."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from providers.stores.base import PlaceFacts
from providers.stores.errors import LocationMissing, StoreUnavailable
from providers.stores.s3 import S3Store
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.servers.s3 import MOTO_REGION, open_aws

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BLOCKED: Any = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


def open_to_all_by_policy(aws: S3Client) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::weddings/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    aws.put_bucket_policy(Bucket="weddings", Policy=json.dumps(policy))


def open_to_all_by_list(aws: S3Client) -> None:
    aws.put_bucket_acl(Bucket="weddings", ACL="public-read")


def block(aws: S3Client) -> None:
    aws.put_public_access_block(Bucket="weddings", PublicAccessBlockConfiguration=BLOCKED)


@pytest.mark.parametrize(
    ("made", "public"),
    [
        ([], False),
        ([open_to_all_by_list], True),
        ([open_to_all_by_policy], True),
        ([open_to_all_by_list, open_to_all_by_policy, block], False),
    ],
)
def test_a_bucket_that_strangers_can_read_is_found(aws: S3Client, made: list[Any], public: bool) -> None:
    for make in made:
        make(aws)
    assert open_aws().facts().public is public


@pytest.mark.parametrize(
    ("question", "answer"),
    [("get_bucket_acl", {}), ("get_bucket_policy_status", {"PolicyStatus": {}}), ("get_bucket_policy_status", {})],
)
def test_success_without_an_answer_is_not_taken_for_private(
    aws: S3Client, monkeypatch: pytest.MonkeyPatch, question: str, answer: dict[str, Any]
) -> None:
    """supabase/storage 4fa61fb answers every unknown sub-resource of a bucket with 200, also of a public one."""
    open_to_all_by_list(aws)
    store, asked = open_aws(), []

    def evasive(**_: Any) -> dict[str, Any]:
        asked.append(question)
        return answer

    client = store._line.client()
    monkeypatch.setattr(client, question, evasive)
    monkeypatch.setattr(
        client, "get_bucket_acl", evasive if question == "get_bucket_acl" else lambda **_: {"Grants": []}
    )
    assert store.facts().public is None and asked


def test_a_fresh_bucket_is_told_as_it_is(aws: S3Client) -> None:
    facts = open_aws().facts()
    assert (facts.versioned, facts.locked, facts.region) == (False, False, MOTO_REGION)
    assert (facts.lifecycle, facts.dangers) == ((), ())


def test_versions_and_locks_are_found(aws: S3Client) -> None:
    aws.put_bucket_versioning(Bucket="weddings", VersioningConfiguration={"Status": "Enabled"})
    aws.put_object_lock_configuration(Bucket="weddings", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    facts = open_aws().facts()
    assert (facts.versioned, facts.locked) == (True, True)


def rule(name: str, prefix: str = "", **effects: Any) -> dict[str, Any]:
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, **effects}


EXPIRES: dict[str, Any] = {"Expiration": {"Days": 30}}
ARCHIVES: dict[str, Any] = {"Transitions": [{"Days": 60, "StorageClass": "DEEP_ARCHIVE"}]}


@pytest.mark.parametrize(
    ("made", "words", "danger"),
    [
        (rule("tidy", **EXPIRES), "deletes objects after 30 days", "tidy deletes our objects after 30 days"),
        (rule("tidy", "wed", **EXPIRES), "deletes objects below wed after 30 days", "tidy deletes our objects"),
        (rule("ours", "weddings/a", **EXPIRES), "deletes objects below weddings/a after 30 days", "ours deletes"),
        (rule("logs", "logs/", **EXPIRES), "deletes objects below logs/ after 30 days", ""),
        (rule("off", **EXPIRES) | {"Status": "Disabled"}, "", ""),
        (rule("cold", **ARCHIVES), "moves objects to DEEP_ARCHIVE after 60 days", "cold archives"),
        (rule("packs", "weddings/6f1c/data/", **ARCHIVES), "moves objects below weddings/6f1c/data/ to DEEP", ""),
        (
            rule("old", NoncurrentVersionExpiration={"NoncurrentDays": 9}),
            "deletes old versions after 9 days",
            "",
        ),
        (
            rule("parts", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
            "removes unfinished uploads after 7 days",
            "",
        ),
        (
            rule("tagged", **EXPIRES) | {"Filter": {"Tag": {"Key": "kind", "Value": "draft"}}},
            "deletes objects with certain tags after 30 days",
            "",
        ),
    ],
    ids=lambda value: value["ID"] if isinstance(value, dict) else "",
)
def test_rules_of_the_lifecycle_are_told_in_words_and_those_that_hit_us_as_dangers(
    aws: S3Client, made: Any, words: str, danger: str
) -> None:
    aws.put_bucket_lifecycle_configuration(Bucket="weddings", LifecycleConfiguration={"Rules": [made]})
    facts = open_aws(prefix="weddings").facts()
    assert "".join(facts.lifecycle).startswith(words) and bool(facts.lifecycle) is bool(words)
    assert danger in "".join(facts.dangers) and bool(facts.dangers) is bool(danger)


def test_the_lifecycle_that_we_propose_threatens_nothing(aws: S3Client) -> None:
    proposed = S3Store.policies({"bucket": "weddings", "prefix": "weddings"})["lifecycle of the bucket (optional)"]
    aws.put_bucket_lifecycle_configuration(Bucket="weddings", LifecycleConfiguration=json.loads(proposed))
    facts = open_aws(prefix="weddings").facts()
    assert facts.lifecycle == ("removes unfinished uploads below weddings/ after 7 days",)
    assert facts.dangers == ()


def test_copies_that_the_provider_makes_by_itself_are_told(aws: S3Client) -> None:
    for bucket in ("weddings", "weddings-far"):
        if bucket != "weddings":
            aws.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": MOTO_REGION})
        aws.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    target = {"Bucket": "arn:aws:s3:::weddings-far"}
    made = {"ID": "far", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""}, "Destination": target}
    made["DeleteMarkerReplication"] = {"Status": "Disabled"}
    configuration: Any = {"Role": "arn:aws:iam::123456789012:role/copy", "Rules": [made]}
    aws.put_bucket_replication(Bucket="weddings", ReplicationConfiguration=configuration)
    assert open_aws().facts().lifecycle == ("the provider copies objects to the bucket weddings-far",)


def test_a_credential_that_sees_more_than_its_bucket_is_told(aws: S3Client) -> None:
    """moto allows everything."""
    rights = " ".join(open_aws().facts().excess_rights)
    assert "s3:ListAllMyBuckets" in rights and "s3:GetBucketPolicy" in rights


def test_a_bucket_that_is_not_there_has_no_facts(aws: S3Client) -> None:
    with pytest.raises(LocationMissing, match="nobody-made-this"):
        open_aws(bucket="nobody-made-this").facts()


@pytest.mark.services
def test_what_is_refused_or_unknown_stays_open(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"GET /", reply=Reply("403 Forbidden"), times=99)
    assert proxied.facts() == PlaceFacts(region=None)
    assert swift_proxy.fault.hits > 5


@pytest.mark.services
def test_a_server_in_trouble_is_no_server_without_facts(proxied: S3Store, swift_proxy: FaultProxy) -> None:
    swift_proxy.fault = Fault(match=b"?versioning", reply=Reply("503 Service Unavailable"))
    with pytest.raises(StoreUnavailable):
        proxied.facts()
    assert swift_proxy.fault.hits == 1
