"""Who we are at Google: a service account's key, and the short-lived tokens that it buys.

Our own credentials, built from the SDK's signer and its JWT encoder, because google-auth's ready-made ones ask the
token server up to three times in a row and look up the account's allowed regions in a thread of their own.
"""

from __future__ import annotations

import email.utils
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from google.auth import crypt, jwt
from google.auth.credentials import Credentials

from providers.stores.answers import MESSAGE_CHARACTERS, error_of_answer, retry_after_seconds
from providers.stores.errors import AccessDenied, ClockSkewed, CredentialExpired, StoreError
from providers.stores.options import InvalidOptions
from wedbackup.core.clock import Clock

SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"  # what the account may do, its roles decide
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASKING = "asking Google for a token"
ASSERTION_SECONDS = 3600
EARLY_SECONDS = 300  # a token is renewed this long before its end
SKEW_SECONDS = 180
_NEEDED = ("client_email", "private_key", "private_key_id", "token_uri")


@dataclass(frozen=True)
class AccountKey:
    """The parts of a service account's key file that matter here."""

    client_email: str
    private_key_id: str
    token_uri: str
    signer: Any


def read_key(key_json: str) -> AccountKey:
    """Return the key in `key_json`, the content of the file that Google's console gives out.

    Raises InvalidOptions, without repeating anything of it, if it is no such key.
    """
    try:
        fields: Any = json.loads(key_json)
    except ValueError:
        raise InvalidOptions("option key_json: paste the whole content of the JSON key file, not its name") from None
    if not isinstance(fields, dict) or fields.get("type") != "service_account":
        raise InvalidOptions("option key_json: this is not the key of a service account")
    if missing := [name for name in _NEEDED if not isinstance(fields.get(name), str)]:
        raise InvalidOptions(f"option key_json: the key file has no {', '.join(missing)}")
    address = urlsplit(fields["token_uri"])
    if address.scheme != "https" and not is_loopback(address.hostname):
        raise InvalidOptions("option key_json: its token_uri must begin with https://")
    try:
        signer = crypt.RSASigner.from_string(fields["private_key"], fields["private_key_id"])  # type: ignore[no-untyped-call]
    except ValueError:
        raise InvalidOptions("option key_json: the private key in it is damaged") from None
    return AccountKey(fields["client_email"], fields["private_key_id"], fields["token_uri"], signer)


def is_loopback(host: str | None) -> bool:
    """Say whether `host` is this very machine, where an emulator may run."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class ServiceAccount(Credentials):
    """Signs for a token when there is none or it ends soon, over a session that has the location's time limits.

    Threads that find no good token at the same time each ask for one: waiting for each other would add up the time
    limits of a silent server.
    """

    def __init__(self, key: AccountKey, session: requests.Session, clock: Clock) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._key = key
        self._session = session
        self._clock = clock
        self._good_until: datetime | None = None

    def before_request(self, request: object, method: str, url: str, headers: dict[str, str]) -> None:
        """Put a good token into the `headers` of a request; raises the errors of `refresh`."""
        del method, url
        if self._good_until is None or self._clock.utcnow() >= self._good_until:
            self.refresh(request)
        self.apply(headers)  # type: ignore[no-untyped-call]

    def refresh(self, request: object) -> None:
        """Fetch a new token. Raises ClockSkewed, CredentialExpired, AccessDenied, Throttled or StoreUnavailable."""
        del request
        now = self._clock.utcnow()
        began = int(now.timestamp())
        claims = {
            "iss": self._key.client_email,
            "scope": SCOPE,
            "aud": self._key.token_uri,
            "iat": began,
            "exp": began + ASSERTION_SECONDS,
        }
        assertion = jwt.encode(self._key.signer, claims, key_id=self._key.private_key_id)  # type: ignore[no-untyped-call]
        form = {"grant_type": GRANT, "assertion": assertion}
        answer = self._session.post(self._key.token_uri, data=form, allow_redirects=False)
        fields = _fields(answer)
        if answer.status_code != 200 or "access_token" not in fields:
            raise _error_of_token(answer, fields, self._clock)
        self.token = fields["access_token"]
        self._good_until = now + timedelta(seconds=float(fields.get("expires_in", 0)) - EARLY_SECONDS)

    def forget(self) -> None:
        """Ask for a new token before the next request: the server did not like this one."""
        self._good_until = None


def _fields(answer: requests.Response) -> Mapping[str, Any]:
    try:
        fields = answer.json()
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _error_of_token(answer: requests.Response, fields: Mapping[str, Any], clock: Clock) -> StoreError:
    """Return the store error for an `answer` of the token server that holds no token."""
    code, words = str(fields.get("error", "")), str(fields.get("error_description", ""))
    message = f"{ASKING}: {answer.status_code} {code} {words}"[:MESSAGE_CHARACTERS].strip()
    if code == "invalid_grant" and ("timeframe" in words or _skew_seconds(answer, clock) > SKEW_SECONDS):
        return ClockSkewed(f"{message} (this machine's clock is {clock.utcnow():%Y-%m-%d %H:%M:%S} UTC)")
    if code == "invalid_grant" and "signature" in words.lower():
        gone = CredentialExpired(message)
        gone.advice = "Google no longer knows this key: make a new one for the service account and enter it here."
        return gone
    if answer.status_code in (400, 401, 403):
        return AccessDenied(message)
    if answer.status_code == 200:
        return error_of_answer(502, f"{ASKING}: the answer holds none")
    return error_of_answer(
        answer.status_code, message, retry_after=retry_after_seconds(answer.headers.get("Retry-After"), clock)
    )


def _skew_seconds(answer: requests.Response, clock: Clock) -> float:
    """Return how far the clocks of the server and of this machine are apart [s]; 0 if it does not tell."""
    try:
        told = email.utils.parsedate_to_datetime(answer.headers.get("Date", ""))
        return abs((told - clock.utcnow()).total_seconds())
    except (TypeError, ValueError):
        return 0.0
