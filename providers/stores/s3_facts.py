"""What can be found out about a bucket and a credential by questions that change nothing.

Functions here raise the SDK's own exceptions; `providers.stores.s3` is their only caller and maps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from providers.stores.base import PlaceFacts
from providers.stores.s3_errors import code_of, status_of
from providers.stores.s3_options import ARCHIVE_CLASSES

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_EVERYBODY = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)


def find_facts(client: S3Client, bucket: str, prefix: str) -> PlaceFacts:
    """Return what the server tells of `bucket`; prefix: with which our keys begin, "" for all keys.

    A question that is refused, or that the server does not know, leaves its fact open.
    """
    region = client.head_bucket(Bucket=bucket).get("BucketRegion")
    versioning = _ask(lambda: client.get_bucket_versioning(Bucket=bucket))
    lock = _ask(
        lambda: client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"],
        "ObjectLockConfigurationNotFoundError",
    )
    rules = _rules(client, bucket)
    return PlaceFacts(
        public=_is_public(client, bucket),
        versioned=None if versioning is None else versioning.get("Status") == "Enabled",
        locked=None if lock is None else lock.get("ObjectLockEnabled") == "Enabled",
        lifecycle=(*(words for rule in rules for words in _in_words(rule)), *_replication(client, bucket)),
        region=region,
        excess_rights=tuple(_excess_rights(client, bucket)),
        dangers=tuple(words for rule in rules for words in _dangers(rule, prefix)),
    )


def _ask(question: Callable[[], Any], *absent: str) -> Any:
    """Return the answer; {} if the server says (by a code in `absent`) that there is no such thing; None if it does
    not tell. A server in trouble is an error: it might tell later.

    Some servers answer a question that they do not know with 200 and something else (supabase/storage); what was asked
    for is not in it, so nothing was told.
    """
    try:
        return question()
    except KeyError:
        return None
    except ClientError as exc:
        if code_of(exc) in absent:
            return {}
        if status_of(exc) == 429 or (status_of(exc) >= 500 and status_of(exc) != 501):
            raise
        return None


def _is_public(client: S3Client, bucket: str) -> bool | None:
    """Say whether strangers get in, by the bucket's policy or by its access list; both can be overruled by a block."""
    block = _ask(
        lambda: client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
        "NoSuchPublicAccessBlockConfiguration",
    )
    is_public = _ask(
        lambda: {"policy": client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]},
        "NoSuchBucketPolicy",
    )
    grants = _ask(lambda: client.get_bucket_acl(Bucket=bucket)["Grants"])
    by_policy = _opened(block, "RestrictPublicBuckets", None if is_public is None else is_public.get("policy", False))
    by_list = _opened(
        block,
        "IgnorePublicAcls",
        None if grants is None else any(grant.get("Grantee", {}).get("URI") in _EVERYBODY for grant in grants),
    )
    if by_policy or by_list:
        return True
    return None if by_policy is None or by_list is None else False


def _opened(block: Mapping[str, bool] | None, blocking: str, found: bool | None) -> bool | None:
    return False if block and block.get(blocking) else found


def _rules(client: S3Client, bucket: str) -> list[Mapping[str, Any]]:
    answer = _ask(lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket), "NoSuchLifecycleConfiguration")
    return [rule for rule in (answer or {}).get("Rules", []) if rule.get("Status") == "Enabled"]


def _replication(client: S3Client, bucket: str) -> Iterator[str]:
    answer = _ask(
        lambda: client.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"],
        "ReplicationConfigurationNotFoundError",
    )
    for rule in (answer or {}).get("Rules", []):
        target = rule["Destination"]["Bucket"].rpartition(":")[2]
        state = "copies" if rule.get("Status") == "Enabled" else "does not copy (switched off)"
        yield f"the provider {state} objects{_scope_in_words(rule)} to the bucket {target}"


def _excess_rights(client: S3Client, bucket: str) -> Iterator[str]:
    if _ask(client.list_buckets) is not None:
        yield "list all buckets of the account (s3:ListAllMyBuckets)"
    if _ask(lambda: client.get_bucket_policy(Bucket=bucket), "NoSuchBucketPolicy") is not None:
        yield "read the bucket's policy (s3:GetBucketPolicy); such a credential often may do everything (s3:*)"


def _in_words(rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a rule of a lifecycle does, one effect each."""
    scope = _scope_in_words(rule)
    if when := _when(rule.get("Expiration", {})):
        yield f"deletes objects{scope} {when}"
    for move in rule.get("Transitions", []):
        yield f"moves objects{scope} to {move['StorageClass']} {_when(move)}"
    if days := rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"):
        yield f"deletes old versions{scope} after {days} days"
    if days := rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"):
        yield f"removes unfinished uploads{scope} after {days} days"


def _dangers(rule: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yield what a rule does to our objects that a backup does not survive unharmed."""
    scope = _scope(rule)
    if _tags(rule) or not (prefix.startswith(scope) or scope.startswith(prefix)):
        return  # our objects have no tags
    name = rule.get("ID", "without a name")
    if when := _when(rule.get("Expiration", {})):
        yield f"the lifecycle rule {name} deletes our objects {when}: remove it, or limit it to other keys"
    archives: Iterable[Mapping[str, Any]] = rule.get("Transitions", [])
    if "/data/" not in f"/{scope}" and any(move["StorageClass"] in ARCHIVE_CLASSES for move in archives):
        yield f"the lifecycle rule {name} archives what is needed to open a vault: limit it to other keys"


def _when(effect: Mapping[str, Any]) -> str:
    if "Days" in effect:
        return f"after {effect['Days']} days"
    return f"on {effect['Date']:%Y-%m-%d}" if "Date" in effect else ""


def _scope(rule: Mapping[str, Any]) -> str:
    """Return the prefix that a rule is limited to."""
    found = rule.get("Filter", {})
    return str(found.get("Prefix") or found.get("And", {}).get("Prefix") or rule.get("Prefix") or "")


def _scope_in_words(rule: Mapping[str, Any]) -> str:
    scope = f" below {_scope(rule)}" if _scope(rule) else ""
    return f"{scope} with certain tags" if _tags(rule) else scope


def _tags(rule: Mapping[str, Any]) -> bool:
    found = rule.get("Filter", {})
    return bool(found.get("Tag") or found.get("And", {}).get("Tags"))
