"""Signed messages between machines, as https://www.standardwebhooks.com describes them: receivers find libraries.

A message has an id, a moment and a body; the signature is HMAC-SHA256 over "<id>.<unix seconds>.<body>" with the secret
that both sides hold. Whoever checks it also checks that the moment is near (against replays of old messages) and that
the id is new (against replays of young ones).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES = 32
TOLERANCE = timedelta(minutes=5)


class SignatureRefused(Exception):
    """The message is not from who it should be, or too old; the message says which, and what to do."""


def new_secret() -> str:
    """Return a fresh secret, as both sides write it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def signed_headers(secret: str, *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of a message sent at `at` (aware UTC)."""
    timestamp = str(int(at.timestamp()))
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: f"v1,{_signature(secret, message_id, timestamp, body)}",
    }


def check_signature(secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime) -> tuple[str, datetime]:
    """Return the id and the moment (aware UTC) of a message that was signed with `secret`.

    headers: by lower-case name.

    Raises SignatureRefused when a header is missing, the signature is another one, or the moment is more than five
    minutes away from `now`.
    """
    try:
        message_id, timestamp = headers[ID_HEADER], headers[TIMESTAMP_HEADER]
        at = datetime.fromtimestamp(int(timestamp), UTC)
        offered = [part.partition(",")[2] for part in headers[SIGNATURE_HEADER].split() if part.startswith("v1,")]
    except (KeyError, ValueError, OverflowError, OSError) as exc:
        raise SignatureRefused(f"send the headers {ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}") from exc
    expected = _signature(secret, message_id, timestamp, body)
    if not any(hmac.compare_digest(expected, each) for each in offered if each.isascii()):
        raise SignatureRefused("the signature is wrong; check that both sides hold the same secret")
    if abs(now - at) > TOLERANCE:
        raise SignatureRefused("the message is more than five minutes old or early; check the sender's clock")
    return message_id, at


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as exc:
        raise SignatureRefused("the secret is no webhook secret; make a new one") from exc
    content = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode("ascii")
