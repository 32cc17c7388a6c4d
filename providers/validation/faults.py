"""What can go wrong on the line between a store and its provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reply:
    """An answer given instead of forwarding the request."""

    status: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Fault:
    """What goes wrong, with which requests, how often.

    match:                    bytes that the request's head must contain.
    larger_than:              only requests with a body longer than this [bytes], or of unknown length.
    times:                    how many requests are hit.
    black_hole:               swallow everything, never answer.
    reply:                    answer this instead of forwarding.
    lose_answer:              forward the request, drop the answer, reset: "did it commit?"
    reset_after_sent:         reset after so many bytes of the request's body.
    reset_after_received:     reset after so many bytes of the answer's body.
    end_after_received:       close cleanly after so many bytes of the answer's body: a short body.
    flip_sent, flip_received: turn one bit over at this position of the request's or the answer's body.
    stall_received_seconds:   wait before the first bytes of the answer's body [s].
    hits:                     how many requests were hit so far.
    """

    match: bytes = b""
    larger_than: int = -1
    times: int = 1
    black_hole: bool = False
    reply: Reply | None = None
    lose_answer: bool = False
    reset_after_sent: int | None = None
    reset_after_received: int | None = None
    end_after_received: int | None = None
    flip_sent: int | None = None
    flip_received: int | None = None
    stall_received_seconds: float = 0
    hits: int = 0

    def aims_at(self, head: bytes) -> bool:
        """Say whether a request with this head is one to be hit."""
        if self.hits >= self.times or self.match not in head:
            return False
        length = content_length(head)
        return self.larger_than < 0 or length is None or length > self.larger_than


def content_length(head: bytes) -> int | None:
    """Return how long the body is that a head announces [bytes]; None if it does not say (chunks)."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
        if name.lower() == b"transfer-encoding":
            return None
    return 0
