"""What a credential for Azure may do: read a SAS token, name its excess rights, and write down the least ones.

SAS tokens: https://learn.microsoft.com/rest/api/storageservices/create-service-sas
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

ACCOUNT_KEY_RIGHTS = (
    "everything in the whole storage account: an account key cannot be limited, use a SAS token of the container",
)
_EXCESS = {
    "d": "delete objects (d): only the credential that prunes needs it",
    "x": "delete versions (x)",
    "y": "delete for good what soft delete keeps (y)",
    "e": "run or read by path (e)",
    "o": "change owners (o)",
    "p": "change access rights (p)",
    "m": "move objects (m)",
}
_POLICY = """\
az storage container generate-sas \\
  --account-name {account} --name {container} \\
  --permissions {rights} --expiry {expiry} --https-only --output tsv"""
_ROLE = """\
{{
  "Name": "Wedding backup {who}",
  "IsCustom": true,
  "Description": "{description}",
  "Actions": [
    "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"
  ],
  "DataActions": [
{actions}
  ],
  "AssignableScopes": [
    "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Storage/storageAccounts/{account}"
  ]
}}"""
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_WRITES = ("read", "write", "add/action")


@dataclass(frozen=True)
class SasToken:
    """The public part of a shared access signature.

    query:   the whole token, without "?" or the address in front of it: a secret.
    rights:  its letters (`sp`); None if a stored access policy of the container holds them.
    expires: when it ends (`se`), aware UTC; None if it does not say or not readably.
    whole_account: it is for the account, not for one container.
    """

    query: str
    rights: str | None
    expires: datetime | None
    whole_account: bool

    def __repr__(self) -> str:
        return f"SasToken(rights={self.rights}, expires={self.expires})"

    @property
    def excess_rights(self) -> tuple[str, ...]:
        """What it allows that writing backups never needs, in words."""
        found = [words for letter, words in _EXCESS.items() if letter in (self.rights or "")]
        if self.whole_account:
            found.append("all containers of the account: make the token for the one container")
        return tuple(found)


def read_sas_token(text: str) -> SasToken:
    """Return what the token `text` says; it may have been copied with "?" or the whole address in front."""
    query = text.strip().rpartition("?")[2]
    fields = {name: values[-1] for name, values in parse_qs(query).items()}
    return SasToken(query, fields.get("sp"), _time(fields.get("se", "")), "ss" in fields)


def least_rights(options: Mapping[str, str]) -> Mapping[str, str]:
    """Return the texts for `ObjectStore.policies`."""
    place = {"account": options.get("account") or "ACCOUNT", "container": options.get("container") or "CONTAINER"}

    def token(rights: str) -> str:
        return _POLICY.format(**place, rights=rights, expiry="YYYY-MM-DDT00:00Z")

    def role(who: str, description: str, actions: tuple[str, ...]) -> str:
        listed = ",\n".join(f'    "{_BLOBS}/{action}"' for action in actions)
        return _ROLE.format(**place, who=who, description=description, actions=listed)

    return {
        "writer": token("rcwl"),
        "pruner": token("rcwdl"),
        "writer that also locks": token("rcwli"),
        "role to make the writer's token with": role("writer", "Stores and reads, deletes nothing.", _WRITES),
        "role to make the pruner's token with": role("pruner", "Also deletes.", (*_WRITES, "delete")),
    }


def _time(text: str) -> datetime | None:
    """Return the time in `text`: a date, or a date and time, in UTC."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
