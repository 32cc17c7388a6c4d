"""Answers that an SDK on `requests` would stumble over, or hand on without their Retry-After."""

from __future__ import annotations

import requests


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
