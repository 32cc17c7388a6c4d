"""Whether somebody without any credential gets at an object: tried at every address that it would have for strangers.

What a provider tells of its rules is one thing: some answer such a question with success and nothing in it
(supabase/storage 200s every sub-resource of a bucket). What a stranger's own request brings is the truth.
"""

from __future__ import annotations

import requests

from providers.stores.base import ObjectStore
from providers.stores.options import LineOptions

CONNECT_SECONDS, READ_SECONDS = 3.0, 8.0
_READ_MAX = 64 * 1024  # [bytes] of an answer; ours is smaller


def readable_by_strangers(store: ObjectStore, name: str, content: bytes) -> list[str]:
    """Return the addresses at which anybody reads the object `name`, whose content is `content`.

    Raises OSError when an address does not answer, so that nothing is proved.
    """
    return [address for address in store.public_addresses(name) if content in _fetched(address, store)]


def _fetched(address: str, store: ObjectStore) -> bytes:
    """Return the beginning of what a stranger is answered, b"" when it is refused."""
    options = getattr(store, "options", None)
    line = options if isinstance(options, LineOptions) else LineOptions()
    with requests.Session() as session:
        session.trust_env = False
        proxies = {"http": line.proxy_url, "https": line.proxy_url} if line.proxy_url else None
        with session.get(
            address,
            stream=True,
            allow_redirects=True,
            verify=line.ca_file or True,
            proxies=proxies,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        ) as answer:
            if answer.status_code >= 500:
                raise OSError(f"status {answer.status_code}")
            return next(answer.iter_content(_READ_MAX), b"") if answer.ok else b""
