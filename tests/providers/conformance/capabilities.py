"""What each provider proves, from its capabilities: the table in docs/providers/README.md."""

from __future__ import annotations

import base64
import dataclasses
import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from providers.registry import KINDS, Kind
from providers.stores.base import Capabilities, Checksum, Holds, StoredHash
from providers.stores.options import build_options, is_required

BEGIN, END = "<!-- begin: made from the capabilities by bin/conformance -->\n", "<!-- end -->\n"
OURS = {Checksum.READ_BACK: "us: compared or read back", Checksum.NONE: "nobody"}  # the others: by the server


def _service_account() -> str:
    """Return a key file of nobody, in Google's shape."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
    account = {"type": "service_account", "project_id": "example", "client_email": "a@example.iam", "private_key": pem}
    return json.dumps(account | {"private_key_id": "1", "token_uri": "https://oauth2.googleapis.com/token"})


def capabilities_of(kind: Kind) -> Capabilities:
    """Return what a location of `kind` at the provider's own address is capable of. Nothing is connected."""
    store_class = kind.store_class()
    special = {
        "root": lambda: "/example",
        "url": lambda: "https://example.supabase.co",
        "key_json": _service_account,
        "account_key": lambda: base64.b64encode(bytes(64)).decode("ascii"),
    }
    fields = dataclasses.fields(store_class.Options)
    given = {
        field.name: special[field.name]() if field.name in special else "example"
        for field in fields
        if is_required(field) or field.name == "account_key"
    }
    store = store_class(build_options(store_class.Options, given))
    capabilities: Capabilities = store.capabilities
    store.close()
    return capabilities


def proofs() -> str:
    """Return the table."""
    rows = [
        "| provider | what arrives is checked by | it keeps | verified without download | large uploads resume "
        "| object lock | holds |\n|---|---|---|---|---|---|---|\n"
    ]
    for kind in KINDS.values():
        has = capabilities_of(kind)
        kept = "no hash" if has.stored_hash is StoredHash.NONE else f"{has.stored_hash.value.replace('_', ' ')}"
        verified = "yes" if has.proves_at_rest else "no: read back, sampled daily"
        holds = "vaults" if has.holds is Holds.VAULTS else "documents"
        cells = [kind.label, _checked(has.checksum), kept, verified, _yes(has.resumable), _yes(has.object_lock), holds]
        rows.append(f"| {' | '.join(cells)} |\n")
    return "".join(rows)


def renewed(readme: str) -> str:
    """Return the text of the README with its table made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + proofs() + END + after


def _checked(checksum: Checksum) -> str:
    name = checksum.value.removesuffix("_header_only").replace("_", " ")
    return OURS.get(checksum, f"the server: {name}")


def _yes(it_does: bool) -> str:
    return "yes" if it_does else "no"
