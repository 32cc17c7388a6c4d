"""Secrets at rest: AES-256-GCM under a key that is not in the database.

The key file (0600, outside the database and outside every backup location) holds one or more named keys; the newest
seals, all open. A sealed text is `v1.<key id>.<base64 of nonce + ciphertext + tag>`, bound to its purpose by associated
data, so that a text moved to another row does not open.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_NONCE_BYTES = 12
_VERSION = "v1"


class SealingError(Exception):
    """A secret cannot be sealed or opened; the message says what to do."""


def create_key_file(path: Path) -> str:
    """Make a key file with one new key and return its id. An existing file is never touched (FileExistsError)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_id = secrets.token_hex(4)
    content = json.dumps({"keys": [{"id": key_id, "key": base64.b64encode(os.urandom(32)).decode()}]})
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(content + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return key_id


def _keys() -> dict[str, bytes]:
    """Return all keys by id, the newest last. Read anew each time: rotation needs no restart."""
    path = settings.KEY_FILE
    try:
        entries = json.loads(path.read_text())["keys"]
        keys = {entry["id"]: base64.b64decode(entry["key"]) for entry in entries}
    except FileNotFoundError as exc:
        raise SealingError(
            f"The key file {path} is missing. Put it back from your safe copy; without it stored credentials and "
            "vault secrets cannot be read (recovery kits still open the vaults)."
        ) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SealingError(f"The key file {path} cannot be read. Put it back from your safe copy.") from exc
    if not keys or any(len(key) != 32 for key in keys.values()):
        raise SealingError(f"The key file {path} holds no usable key. Put it back from your safe copy.")
    return keys


def seal(plain: bytes, *, purpose: str) -> str:
    """Return the sealed text of `plain`; `purpose` names the row and field it belongs to."""
    key_id, key = list(_keys().items())[-1]
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plain, purpose.encode())
    return f"{_VERSION}.{key_id}.{base64.b64encode(nonce + sealed).decode()}"


def sign(content: bytes, *, purpose: str) -> str:
    """Return a signature that only this installation can make: `v1.<key id>.<HMAC-SHA256 in hex>`.

    The signing key is derived from the newest wrapping key, so that it shows nothing of that key.
    """
    key_id, key = list(_keys().items())[-1]
    return f"{_VERSION}.{key_id}.{_mac(key, content, purpose)}"


def signature_holds(content: bytes, signature: str, *, purpose: str) -> bool:
    """Say whether `signature` was made by this installation for exactly this content and purpose."""
    version, _, rest = signature.partition(".")
    key_id, _, mac = rest.partition(".")
    key = _keys().get(key_id)
    if version != _VERSION or key is None:
        return False
    return hmac.compare_digest(mac, _mac(key, content, purpose))


def _mac(key: bytes, content: bytes, purpose: str) -> str:
    signing_key = hmac.digest(key, b"wedbackup signature: " + purpose.encode(), "sha256")
    return hmac.digest(signing_key, content, "sha256").hex()


def unseal(text: str, *, purpose: str) -> bytes:
    """Return the plain bytes; raises SealingError when the key is missing or the text was changed."""
    try:
        version, key_id, body = text.split(".")
        raw = base64.b64decode(body)
    except ValueError as exc:
        raise SealingError("A stored secret is damaged. Enter it again.") from exc
    key = _keys().get(key_id)
    if version != _VERSION or key is None:
        raise SealingError(f"The key file has no key {key_id!r} any more. Put the key file back from your safe copy.")
    try:
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode())
    except InvalidTag as exc:
        raise SealingError("A stored secret does not open with this key file: it is another installation's.") from exc
