"""What can be told about a bucket at Google, and the least rights that our service accounts need there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.api_core.exceptions import Forbidden

from providers.stores.base import PlaceFacts

_EVERYBODY = {"allUsers", "allAuthenticatedUsers"}
_EXCESS = {
    "storage.buckets.delete": "delete the bucket",
    "storage.buckets.update": "change the bucket's settings, its lifecycle rules and retention among them",
    "storage.buckets.setIamPolicy": "decide who may use the bucket",
    "storage.objects.setIamPolicy": "make single objects public",
    "storage.objects.overrideUnlockedRetention": "shorten the protection of objects",
}
_OLD_VERSIONS = {"numNewerVersions", "daysSinceNoncurrentTime", "noncurrentTimeBefore"}
_READ = ("storage.buckets.get", "storage.objects.get", "storage.objects.list")
_WRITE = ("storage.objects.create",)
_REPLACE = ("storage.objects.delete",)  # replacing an object needs it as well
_PROTECT = ("storage.objects.setRetention", "storage.objects.update")


def facts_of(client: Any, name: str) -> PlaceFacts:
    """Ask for the facts of the bucket `name`; what the account may not ask stays None. Raises the SDK's exceptions.

    Soft delete counts as keeping versions: what is deleted can be brought back, and our roles cannot end it.
    """
    bucket = client.bucket(name)
    held = bucket.test_iam_permissions(list(_EXCESS), timeout=None, retry=None)
    excess = tuple(_EXCESS[permission] for permission in _EXCESS if permission in held)
    try:
        bucket.reload(timeout=None, retry=None)
    except Forbidden:
        return PlaceFacts(excess_rights=excess)
    return PlaceFacts(
        public=_is_public(bucket),
        versioned=bool(bucket.versioning_enabled or bucket.soft_delete_policy.retention_duration_seconds),
        locked=bool(bucket.retention_period) or bucket.object_retention_mode == "Enabled",
        lifecycle=_lifecycle_in_words(bucket),
        region=str(bucket.location).lower(),
        excess_rights=excess,
        dangers=tuple(_rule_in_words(rule) for rule in map(dict, bucket.lifecycle_rules) if _deletes_current(rule)),
    )


def policies_for(options: Mapping[str, str]) -> Mapping[str, str]:
    """Return the roles to make in Google's console, and how to grant them; see `ObjectStore.policies`."""
    project, bucket = options.get("project_id") or "PROJECT", options.get("bucket") or "BUCKET"
    protects = options.get("retention", "none") not in ("", "none")
    protect = _PROTECT if protects else ()
    return {
        "writer": _role("wedbackup writer", "wedbackupWriter", (*_READ, *_WRITE, *protect)),
        "pruner": _role("wedbackup pruner", "wedbackupPruner", (*_READ, *_WRITE, *_REPLACE, *protect)),
        "commands": _commands(project, bucket, str(options.get("prefix") or "").strip("/")),
    }


def _role(title: str, name: str, permissions: tuple[str, ...]) -> str:
    lines = "\n".join(f"- {permission}" for permission in sorted(permissions))
    return f"# {name}.yaml\ntitle: {title}\nstage: GA\nincludedPermissions:\n{lines}\n"


def _commands(project: str, bucket: str, prefix: str) -> str:
    """Return the commands that make both roles and grant them on the bucket alone."""
    only = _condition(bucket, prefix) if prefix else "--condition=None"
    return "\n".join(
        line
        for role, account in (("wedbackupWriter", "wedbackup-writer"), ("wedbackupPruner", "wedbackup-pruner"))
        for line in (
            f"gcloud iam roles create {role} --project={project} --file={role}.yaml",
            f"gcloud storage buckets add-iam-policy-binding gs://{bucket} {only} \\",
            f"  --member=serviceAccount:{account}@{project}.iam.gserviceaccount.com \\",
            f"  --role=projects/{project}/roles/{role}",
        )
    )


def _condition(bucket: str, prefix: str) -> str:
    """Return the condition that leaves the objects below `prefix`, and the bucket's own resource for listing."""
    base = f"projects/_/buckets/{bucket}"
    expression = f'resource.name == "{base}" || resource.name.startsWith("{base}/objects/{prefix}/")'
    return f"--condition='title=wedbackup,expression={expression}'"


def _is_public(bucket: Any) -> bool | None:
    """Say whether anybody may read or list; None when the account may not see who may, or single objects decide."""
    configuration = bucket.iam_configuration
    if configuration.public_access_prevention == "enforced":
        return False
    try:
        policy = bucket.get_iam_policy(requested_policy_version=3, timeout=None, retry=None)
    except Forbidden:
        return None
    if any(_EVERYBODY & set(binding.get("members", ())) for binding in policy.bindings):
        return True
    return False if configuration.uniform_bucket_level_access_enabled else None


def _lifecycle_in_words(bucket: Any) -> tuple[str, ...]:
    rules = [_rule_in_words(dict(rule)) for rule in bucket.lifecycle_rules]
    if days := _days(bucket.soft_delete_policy.retention_duration_seconds):
        rules.append(f"what is thrown away is kept, and paid for, {days} more")
    if days := _days(bucket.retention_period):
        rules.append(f"every object stays for {days} after it was stored")
    return tuple(rules)


def _rule_in_words(rule: Mapping[str, Any]) -> str:
    action: Mapping[str, Any] = rule.get("action", {})
    what = {
        "Delete": "deletes objects" if _deletes_current(rule) else "deletes old versions",
        "SetStorageClass": f"moves objects to {action.get('storageClass')}",
        "AbortIncompleteMultipartUpload": "removes unfinished XML uploads",
    }.get(str(action.get("type")), str(action.get("type")))
    conditions = ", ".join(f"{name} {value}" for name, value in sorted(rule.get("condition", {}).items()))
    return f"{what} when: {conditions or 'always'}"


def _deletes_current(rule: Mapping[str, Any]) -> bool:
    """Say whether `rule` deletes objects that are still current, not only old versions of them."""
    condition = rule.get("condition", {})
    only_old = condition.get("isLive") is False or _OLD_VERSIONS & set(condition)
    return rule.get("action", {}).get("type") == "Delete" and not only_old


def _days(seconds: int | None) -> str:
    """Return `seconds` [s] as days in words, "" for none."""
    return f"{seconds / 86_400:g} days" if seconds else ""
