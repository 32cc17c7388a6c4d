"""The line to Dropbox: the official SDK, asked to go where, and to wait as long as, a location's options say.

The SDK only knows Dropbox's own addresses, forgets the header Retry-After, and stumbles over answers that are not
JSON. All three are settled in the session below it, so that nothing private of the SDK is touched.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dropbox
import requests
from dropbox.common import PathRoot

from providers.stores.refusal import Refusal, json_object
from providers.stores.session import prepare_session
from wedbackup.core.clock import Clock

if TYPE_CHECKING:
    from providers.stores.dropbox import DropboxOptions

BLOCK_BYTES = 4 * 1024 * 1024
_TAGGED = (401, 404, 409, 422)  # the SDK expects JSON with these


class DropboxSession(requests.Session):
    """Sends what the SDK asks for to `endpoint_url` instead of Dropbox's hosts, unless that is empty."""

    def __init__(self, endpoint_url: str) -> None:
        super().__init__()
        self._endpoint_url = endpoint_url.rstrip("/")
        self.headers["Accept-Encoding"] = "identity"  # ranges count the bytes of the file itself

    def request(self, method: str | bytes, url: str | bytes, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Raise Refusal for an answer that the SDK cannot read."""
        if self._endpoint_url:
            url = self._endpoint_url + urlsplit(str(url)).path
        answer = super().request(method, url, **kwargs)
        status = answer.status_code
        strange = status in _TAGGED and not (json_object(answer) or {}).get("error")
        if strange or status in (403, 429) or status >= 500:  # of 403 the SDK keeps no words
            raise Refusal(answer)
        return answer


class DropboxLine:
    """One process's way to Dropbox; safe for several threads.

    seen_folder: whether the location's folder was found to be there.
    """

    def __init__(self, options: DropboxOptions, clock: Clock) -> None:
        self._options = options
        session = DropboxSession(options.endpoint_url)
        prepare_session(session, options, clock=clock)
        self._plain = dropbox.Dropbox(
            oauth2_refresh_token=options.refresh_token,
            app_key=options.app_key,
            app_secret=options.app_secret or None,
            session=session,
            user_agent="wedbackup",
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
            auto_content_hash=False,  # we hand in our own
        )
        self._rooted: dropbox.Dropbox | None = None
        self.seen_folder = False

    def client(self) -> dropbox.Dropbox:
        """Return the SDK's client, whose paths begin at the top of the team space; the first call asks for its id.

        No lock: several threads may ask at once, but none waits behind another's silence.
        """
        if self._rooted is None:
            if self._options.root_namespace:
                root = PathRoot.namespace_id(self._options.root_namespace)
            else:
                root = PathRoot.root(self._plain.users_get_current_account().root_info.root_namespace_id)
            self._rooted = self._plain.with_path_root(root)
        return self._rooted

    def close(self) -> None:
        """Release the connections."""
        self._plain.close()


def content_hash(view: memoryview, sha256: str | None = None) -> str:
    """Return Dropbox's hash of `view`: the SHA-256 over the SHA-256s of its blocks of 4 MiB, lower-case hex.

    sha256: that of `view`, if it is known already; what fits into one block is not hashed again then.
    """
    if sha256 and len(view) <= BLOCK_BYTES:
        return content_hash_of_block(sha256, len(view))
    blocks = (view[start : start + BLOCK_BYTES] for start in range(0, len(view), BLOCK_BYTES))
    return hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).hexdigest()


def content_hash_of_block(sha256: str, size_bytes: int) -> str:
    """Return Dropbox's hash of a file of at most 4 MiB that has this SHA-256; an empty one has no block at all."""
    return hashlib.sha256(bytes.fromhex(sha256)).hexdigest() if size_bytes else sha256
