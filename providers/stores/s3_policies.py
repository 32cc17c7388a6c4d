"""The least rights of our credentials, as policies of AWS IAM; Wasabi takes the same language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from providers.stores.s3_options import UNLOCKED

BUCKET_ACTIONS = ("s3:ListBucket", "s3:ListBucketMultipartUploads")
FACTS_ACTIONS = (
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketAcl",
    "s3:GetReplicationConfiguration",
)
OBJECT_ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
LOCK_ACTIONS = ("s3:GetObjectRetention", "s3:PutObjectRetention")


def iam_policies(options: Mapping[str, str]) -> dict[str, str]:
    """Return the policies of the writer and of the pruner for the bucket and the prefix in `options`."""
    return {
        "writer": _policy(options, deletes=False),
        "pruner": _policy(options, deletes=True),
    }


def lifecycle_rule(options: Mapping[str, str]) -> str:
    """Return a lifecycle configuration that ends what interrupted uploads left, and deletes nothing else."""
    rule = {
        "ID": "wedbackup-unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": key_prefix(options)},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    return json.dumps({"Rules": [rule]}, indent=2)


def key_prefix(options: Mapping[str, str]) -> str:
    """Return what all our keys begin with, "" in a bucket of our own."""
    prefix = str(options.get("prefix") or "").strip("/")
    return f"{prefix}/" if prefix else ""


def wants_locks(options: Mapping[str, str]) -> bool:
    """Whether objects are to be locked, so that our credential needs the rights for it."""
    return str(options.get("lock_days") or "0") != "0"


def _policy(options: Mapping[str, str], *, deletes: bool) -> str:
    bucket = f"arn:aws:s3:::{options.get('bucket') or 'BUCKET'}"
    ours = f"{bucket}/{key_prefix(options)}"
    actions = [*OBJECT_ACTIONS]
    if wants_locks(options):
        actions += LOCK_ACTIONS
    statements = [
        # Unlimited by prefix: S3 says 403 instead of 404 for a missing object to whom may list only a part.
        _statement("List", [*BUCKET_ACTIONS], [bucket]),
        _statement("ReadAndWrite", actions, [f"{ours}*"]),
        _statement("LookAtTheSettings", [*FACTS_ACTIONS], [bucket]),
        _statement("Delete", ["s3:DeleteObject"], [f"{ours}*"] if deletes else [f"{ours}{own}*" for own in UNLOCKED]),
    ]
    if options.get("encryption") == "aws:kms":
        key = options.get("kms_key_id") or "arn:aws:kms:REGION:ACCOUNT:key/KEY"
        statements.append(_statement("UseTheKey", ["kms:GenerateDataKey", "kms:Decrypt"], [key]))
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def _statement(name: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources}
