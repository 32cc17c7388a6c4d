"""The SDK's client, and the line below it, as one process has them open.

The SDK is to do nothing by itself: no retries, no proxies or keys from the environment, no requests of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.transport.requests import AuthorizedSession, Request

from providers.stores.errors import StoreUnavailable
from providers.stores.gcs_account import ServiceAccount, read_key
from providers.stores.gcs_options import GCSOptions
from providers.stores.gcs_upload import Line
from providers.stores.session import make_session, prepare_session
from wedbackup.core.clock import Clock

_WITH_RESOURCE = (200, 201)


@dataclass(frozen=True)
class Client:
    """What one process has open.

    sdk:  the SDK's client, for everything but the bytes of objects.
    line: for those.
    """

    sdk: Any
    line: Line

    def forget_token(self) -> None:
        """Ask for a new token before the next request."""
        credentials = self.line.session.credentials
        if isinstance(credentials, ServiceAccount):
            credentials.forget()


def open_client(options: GCSOptions, clock: Clock) -> Client:
    """Return a client for this process; nothing is asked yet."""
    from google.cloud import storage  # 0.5 s: only where it is really used

    credentials = _credentials(options, clock)
    ask_token: Any = Request(make_session(options))  # never used, but without it the SDK makes one that retries
    session: Any = AuthorizedSession(credentials, refresh_status_codes=(), auth_request=ask_token)  # type: ignore[no-untyped-call]
    prepare_session(session, options, clock=clock)
    session.hooks["response"].append(check_answer)
    base_url = options.endpoint_url.rstrip("/")
    sdk = storage.Client(
        project=options.project_id or None,
        credentials=credentials,
        _http=session,
        client_options={"api_endpoint": base_url},
    )
    sdk._bucket_metadata_cache = None  # it would ask for the bucket in a thread of its own
    return Client(sdk, Line(session, base_url))


def check_answer(answer: requests.Response, **_: object) -> None:
    """Raise StoreUnavailable for an answer that is not Google's: a hotel's login page, a proxy's own words.

    Handles the session's event "response". The SDK believes whatever it gets, and stumbles over some of it.
    """
    path = urlsplit(answer.url).path
    if answer.status_code in _WITH_RESOURCE:
        content = path.startswith("/download/")
        session_begun = "Location" in answer.headers
        foreign = not content and not session_begun and not str(_field(answer, "kind")).startswith("storage#")
    else:
        foreign = answer.status_code >= 300 and not isinstance(_field(answer, "error"), dict | None)
    if foreign:
        raise StoreUnavailable(f"{answer.status_code}, but the answer is none of Google's: is something in between?")


def _field(answer: requests.Response, name: str) -> Any:
    """Return a field of a JSON answer; None if there is none or it is no JSON, False if its JSON is no object."""
    try:
        fields = answer.json()
    except ValueError:
        return None
    return fields.get(name) if isinstance(fields, dict) else False


def _credentials(options: GCSOptions, clock: Clock) -> Credentials:
    if options.key_json:
        return ServiceAccount(read_key(options.key_json), make_session(options), clock)
    anonymous: Credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return anonymous
