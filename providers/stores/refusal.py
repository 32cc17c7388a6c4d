"""What happens below an SDK on `requests`: answers that it would stumble over, and lines that break."""

from __future__ import annotations

import requests
from urllib3 import exceptions as line

from providers.stores.answers import chain, timed_out


class Refusal(Exception):
    """An answer, raised below the SDK.

    retry_after: the header Retry-After, as it came.
    """

    def __init__(self, answer: requests.Response) -> None:
        with answer:
            self.status = answer.status_code
            self.retry_after = answer.headers.get("Retry-After")
            self.text = answer.text[:200].strip()
        super().__init__(f"{self.status} {self.text}")


def json_object(answer: requests.Response) -> dict[str, object] | None:
    """Return the JSON object that `answer` consists of; None if it is anything else."""
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        return None
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def line_was_cut(exc: BaseException) -> bool:
    """Say whether the connection ended after the request may have arrived: it may have been carried out.

    Not so when the server was never reached; and a silent server is not asked again, that would double the time until
    anybody notices.
    """
    unreached = any(isinstance(link, line.ConnectTimeoutError | line.ProxyError) for link in chain(exc))
    return isinstance(exc, requests.RequestException) and not unreached and not timed_out(exc)
