"""The frame around the small fakes of services: HTTP/1.1 with kept connections, each request answered by a function."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from tests.servers.ports import free_port


@dataclass(frozen=True)
class Request:
    """A request that arrived whole; headers are found in any case."""

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def form(self) -> list[tuple[bytes, bytes]]:
        """Return the head and the content of each part of a multipart form."""
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        parts = [part.partition(b"\r\n\r\n") for part in self.body.split(b"--" + boundary)[1:-1]]
        return [(head, content.removesuffix(b"\r\n")) for head, _, content in parts]


@dataclass
class Answer:
    """What a fake answers; a body that is not bytes goes out as JSON."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Raised anywhere in a fake to give this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, answer.body)
        self.answer = answer


@contextlib.contextmanager
def serving(answer: Callable[[Request], Answer]) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1 and yield the address; `answer` is called from many threads."""

    handler = type("Handler", (_Handler,), {"answering": staticmethod(answer)})
    server = _Server(("127.0.0.1", free_port()), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # so many may want to connect at once


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answering: ClassVar[Callable[[Request], Answer]]
    timeout = 60

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # tests cut lines on purpose
            super().handle()

    def _serve(self) -> None:
        try:
            body = self._body()
            if body is None:
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), self.headers, body)
            try:
                answer = type(self).answering(request)
            except Refused as refused:
                answer = refused.answer
            self._send(answer)
        except OSError:  # the other side is gone, as tests want it to be
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - the names that http.server looks for

    def _body(self) -> bytes | None:
        """Return the request's body; None if it ended early."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _send(self, answer: Answer) -> None:
        body, headers = answer.body, dict(answer.headers)
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        self.send_response(answer.status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def range_answer(content: bytes, wanted: str | None) -> Answer:
    """Return the answer to a download of `content` with this Range header (one range, as documented by RFC 9110)."""
    if not wanted:
        return Answer(200, content, {"Content-Type": "application/octet-stream"})
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last) + 1, len(content)) if last else len(content)
    if start >= len(content):
        return Answer(416, b"range not satisfiable", {"Content-Type": "text/plain"})
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}", "Content-Type": "application/octet-stream"}
    return Answer(206, content[start:end], headers)
