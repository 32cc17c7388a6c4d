"""The recovery kit: what a person needs to get everything back with the stock `restic` program alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.template.loader import render_to_string

from backups.models import Copy, Snapshot, Vault
from backups.services.opening import copies_of
from backups.services.vaults import vault_secret
from backups.states import CopyState
from providers.models import Location
from providers.registry import options_class
from providers.stores.options import build_options, credential_fields
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User

CA_FILE = "ca.pem"
WARNING = (
    "SECRET. Whoever has this page can read everything in this vault. Print it, keep it where you keep your contracts, "
    "and delete the file."
)


@dataclass(frozen=True, slots=True)
class KitPlace:
    """One place to restore from.

    repository: as stock restic takes it after -r, "" where restic cannot go there itself.
    needs:      what else is needed there, in a sentence, "" for nothing.
    flags:      that every command of restic needs there, with a blank in front, "" for none.
    """

    name: str
    repository: str
    needs: str
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Kit:
    """One vault's part. Its repr shows no password."""

    title: str
    vault_id: str
    password: _Secret
    places: tuple[KitPlace, ...]
    newest: str


class _Secret(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


def kit_make(vaults: Sequence[Vault], *, actor: User | str, clock: Clock = SYSTEM_CLOCK) -> list[Kit]:
    """Return the recovery kits of `vaults`; each showing is written to the audit trail first. Raises VaultSealed."""
    kits = []
    for vault in vaults:
        record(
            AuditTag.RECOVERY_KIT_SHOWN,
            actor=actor,
            subject_type="vault",
            subject_id=vault.pk,
            organisation_id=vault.organisation_id,
            detail={"vault": str(vault)},
            clock=clock,
        )
        kits.append(_kit(vault))
    return kits


def _kit(vault: Vault) -> Kit:
    newest = Snapshot.unscoped.filter(vault=vault, acknowledged_at__isnull=False).first()
    return Kit(
        title=str(vault),
        vault_id=str(vault.pk),
        password=_Secret(vault_secret(vault).decode()),
        places=tuple(_place(vault, copy) for copy in sorted(copies_of(vault), key=lambda copy: bool(_lack(copy)))),
        newest=f"{newest.restic_id[:8]} of {newest.taken_at:%d %B %Y, %H:%M} UTC" if newest else "none yet",
    )


def _place(vault: Vault, copy: Copy) -> KitPlace:
    location = copy.location
    address = _ADDRESSES.get(location.kind)
    repository, needs = address(location, vault.prefix.rstrip("/")) if address else ("", _DOWNLOAD)
    needs += _lack(copy)
    if location.options.get("ca_file"):
        needs += f" Take along {CA_FILE}, a copy of {location.options['ca_file']} of the server: it proves who answers."
        return KitPlace(location.name, repository, needs, flags=f" --cacert {CA_FILE}")
    return KitPlace(location.name, repository, needs)


def _lack(copy: Copy) -> str:
    """Return in a sentence what the place lacked when the kit was made, with a blank in front; "" for nothing."""
    lacks = {
        CopyState.EMPTY: "nothing was stored here yet",
        CopyState.BEHIND: "the newest files were missing here",
        CopyState.UNREACHABLE: "the newest files were missing here",
        CopyState.DAMAGED: "some files here were damaged",
    }
    lack = lacks.get(CopyState(copy.state))
    return f" When this kit was made, {lack}: take another place first." if lack else ""


def _folder_address(location: Location, vault: str) -> tuple[str, str]:
    parts = (location.options["root"], location.options.get("prefix", ""), vault)
    path = "/".join(str(part).strip("/") if place else str(part) for place, part in enumerate(parts) if part)
    return path, f"The disk or share of {location.place or 'this folder'} has to be mounted."


def _s3_address(location: Location, vault: str) -> tuple[str, str]:
    kind = options_class(location.kind)
    credential = {field.name: "unknown" for field in credential_fields(kind)}  # no address depends on it
    options = build_options(kind, {**credential, **location.options})
    dialect = options.dialect()
    endpoint = dialect.address or f"https://s3.{dialect.region}.amazonaws.com"
    path = _path(options.bucket, options.prefix, vault)
    return (
        f"s3:{endpoint.rstrip('/')}/{path}",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may read the bucket.",
    )


def _gcs_address(location: Location, vault: str) -> tuple[str, str]:
    options = location.options
    return (
        f"gs:{options['bucket']}:/{_path(options.get('prefix', ''), vault)}",
        "Set GOOGLE_PROJECT_ID, and GOOGLE_APPLICATION_CREDENTIALS to the file of a key that may read the bucket.",
    )


def _azure_address(location: Location, vault: str) -> tuple[str, str]:
    options = location.options
    account = str(options["account"])
    needs = (
        f"Set AZURE_ACCOUNT_NAME to {account}, and AZURE_ACCOUNT_KEY to its key "
        "or AZURE_ACCOUNT_SAS to a token that may read the container."
    )
    host = urlsplit(str(options.get("endpoint_url") or "")).hostname or ""
    if host.startswith(f"{account}.blob."):
        needs += f" Set AZURE_ENDPOINT_SUFFIX to {host.removeprefix(f'{account}.blob.')}."
    return f"azure:{options['container']}:/{_path(options.get('prefix', ''), vault)}", needs


def _path(*parts: str) -> str:
    return "/".join(part.strip("/") for part in parts if part)


_ADDRESSES = {
    "local": _folder_address,
    **dict.fromkeys(("s3", "r2", "b2", "wasabi"), _s3_address),
    "gcs": _gcs_address,
    "azure": _azure_address,
}
_DOWNLOAD = "restic cannot read there itself: download the vault's folder, then use the downloaded folder after -r."


def kit_text(kits: Sequence[Kit]) -> str:
    """Return the kits as text to print."""
    parts = [f"RECOVERY KIT\n\n{WARNING}\n\n{_HOW}"]
    for kit in kits:
        lines = [
            f"=== {kit.title} ===",
            f"Vault:            {kit.vault_id}",
            f"Newest snapshot:  {kit.newest}",
            f"Password:         {kit.password!s}",
            "",
        ]
        for place in kit.places:
            lines += [f"From {place.name}: {place.needs}", *_commands(kit, place), ""]
        parts.append("\n".join(lines))
    return "\n".join(parts)


def kit_html(kits: Sequence[Kit]) -> str:
    """Return the kits as one printable page without scripts or anything from elsewhere."""
    return render_to_string("backups/kit.html", kit_context(kits))


def kit_context(kits: Sequence[Kit]) -> dict[str, Any]:
    """Return what the templates of the kit show."""
    parts = [(kit, [(place, "\n".join(_commands(kit, place))) for place in kit.places]) for kit in kits]
    return {"warning": WARNING, "how": _HOW, "parts": parts}


_HOW = """\
1. Install restic 0.14 or newer: https://restic.net, or on Debian: apt install restic
2. Take any one place below that you can reach; each holds everything unless it says otherwise.
3. Type its commands. The first shows what is there, the second checks every byte, the third brings all files back
   into the folder `recovered`.
"""


def _commands(kit: Kit, place: KitPlace) -> list[str]:
    repository = place.repository or "DOWNLOADED-FOLDER"
    return [
        f"  export RESTIC_PASSWORD={kit.password!s}",
        f"  export RESTIC_REPOSITORY='{_quoted(repository)}'",
        f"  restic{place.flags} snapshots",
        f"  restic{place.flags} check --read-data",
        f"  restic{place.flags} restore latest --target recovered",
    ]


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")
