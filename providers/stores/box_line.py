"""The line to Box: the official SDK, asked to go where, and to wait as long as, a location's options say."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import requests
from box_sdk_gen import BaseUrls, BoxCCGAuth, BoxClient, BoxNetworkClient, CCGConfig, NetworkSession, RetryStrategy

from providers.stores.refusal import Refusal, json_object
from providers.stores.session import prepare_session
from providers.stores.transfer import Body, Pace
from wedbackup.core.clock import Clock

if TYPE_CHECKING:
    from providers.stores.box import BoxOptions


class BoxSession(requests.Session):
    """Lets only answers through that the SDK can read."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Raise Refusal for an answer that cannot be one of Box: it answers with JSON objects, or with no body."""
        answer = super().request(*args, **kwargs)
        expected = answer.status_code not in (202, 204, 302)
        if expected and json_object(answer) is None and (answer.ok or answer.content):
            raise Refusal(answer)
        return answer

    def download(self, url: str, wanted: str) -> requests.Response:
        """Return the answer with the range `wanted` of the content at `url`, which Box signed; its body is not read."""
        return super().request("GET", url, headers={"Range": wanted, "Accept-Encoding": "identity"}, stream=True)


class _NewTokenOnly(RetryStrategy):  # type: ignore[misc]  # the SDK is untyped
    """No retries; but a token lives an hour, and a request that meets its end is sent again with a new one."""

    def should_retry(self, fetch_options: Any, fetch_response: Any, attempt_number: int) -> bool:
        if fetch_response.status != 401 or fetch_options.auth is None or attempt_number > 1:
            return False
        fetch_options.auth.refresh_token(network_session=fetch_options.network_session)
        return True

    def retry_after(self, fetch_options: Any, fetch_response: Any, attempt_number: int) -> float:  # noqa: ARG002
        return 0.0


class BoxLine:
    """One process's way to Box; safe for several threads.

    client:  the SDK's.
    session: below it; for downloads, which the SDK would read 1 KiB at a time.
    """

    def __init__(self, options: BoxOptions, clock: Clock) -> None:
        self.session = BoxSession()
        prepare_session(self.session, options, clock=clock)
        endpoint = options.endpoint_url.rstrip("/")
        urls = BaseUrls(base_url=endpoint, upload_url=f"{endpoint}/api") if endpoint else BaseUrls()
        network = NetworkSession(
            network_client=BoxNetworkClient(requests_session=self.session),
            base_urls=urls,
            retry_strategy=_NewTokenOnly(),
        )
        config = CCGConfig(options.client_id, options.client_secret, enterprise_id=options.enterprise_id)
        self.client: Any = BoxClient(BoxCCGAuth(config), network_session=network)

    def close(self) -> None:
        """Release the connections."""
        self.session.close()


class Stream:
    """A buffer as the SDK and its encoder of forms want it.

    It can go back to the start, when a token expired; and `len` is what is left, so it has no length of its own.
    """

    def __init__(self, view: memoryview, clock: Clock) -> None:
        self._body = Body(view, Pace(clock))

    @property
    def len(self) -> int:
        return len(self._body) - self._body.tell()

    def read(self, size: int = -1) -> memoryview:
        return self._body.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        return self._body.tell()

    def seekable(self) -> bool:
        return True
