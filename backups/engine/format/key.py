"""Key files: the master key, sealed with a key that scrypt makes from a vault secret or a passphrase."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from backups.engine.errors import Damaged
from backups.engine.format.crypto import MasterKey

SALT_BYTES = 64  # restic refuses any other length
SCRYPT_MEMORY_MAX = 2**31 - 2  # [bytes]; OpenSSL refuses by default what restic's calibrated parameters need


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """scrypt's N, r, p. N doubles memory and time.

    A passphrase chosen by a person needs `FOR_PASSPHRASES`. A vault secret is 256 random bits: no amount of
    guessing finds it, so `FOR_SECRETS` spends nothing on slowing guesses down.
    """

    n: int
    r: int = 8
    p: int = 1


FOR_PASSPHRASES = ScryptCost(n=1 << 17)
FOR_SECRETS = ScryptCost(n=1 << 10)


def _derive(secret: bytes, salt: bytes, cost: ScryptCost) -> MasterKey:
    raw = hashlib.scrypt(secret, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=SCRYPT_MEMORY_MAX, dklen=64)
    return MasterKey(raw[:32], raw[32:48], raw[48:])


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def make_key_file(
    master: MasterKey, secret: bytes, *, created: str, username: str, hostname: str, cost: ScryptCost
) -> bytes:
    """Return the bytes of a key file that opens `master` with `secret`.

    created: RFC 3339 text.
    """
    salt = os.urandom(SALT_BYTES)
    inner = {"mac": {"k": _b64(master.mac_k), "r": _b64(master.mac_r)}, "encrypt": _b64(master.encrypt)}
    sealed = _derive(secret, salt, cost).seal(orjson.dumps(inner))
    return orjson.dumps(
        {
            "created": created,
            "username": username,
            "hostname": hostname,
            "kdf": "scrypt",
            "N": cost.n,
            "r": cost.r,
            "p": cost.p,
            "salt": _b64(salt),
            "data": _b64(sealed),
        }
    )


def open_key_file(raw: bytes, secret: bytes) -> MasterKey | None:
    """Return the master key, or None when `secret` does not open this file. Raises Damaged if it is no key file."""
    try:
        fields: Mapping[str, Any] = orjson.loads(raw)
        if fields["kdf"] != "scrypt":
            raise Damaged(f"unknown key derivation {fields['kdf']!r}")
        cost = ScryptCost(int(fields["N"]), int(fields["r"]), int(fields["p"]))
        salt, sealed = base64.b64decode(fields["salt"]), base64.b64decode(fields["data"])
        derived = _derive(secret, salt, cost)
    except (KeyError, TypeError, ValueError) as exc:
        raise Damaged("a key file cannot be read") from exc
    try:
        inner = orjson.loads(bytes(derived.open(sealed)))
    except Damaged:
        return None
    return MasterKey(
        base64.b64decode(inner["encrypt"]), base64.b64decode(inner["mac"]["k"]), base64.b64decode(inner["mac"]["r"])
    )
