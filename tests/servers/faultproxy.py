"""A TCP or TLS proxy that breaks connections on order, inside the test process.

    with FaultProxy(("127.0.0.1", 9000)) as proxy:
        proxy.fault = Fault(match=b"PUT /", reset_after_sent=1_000_000)
        ...                              # the client talks to proxy.url
        assert proxy.fault.hits == 1     # the fault really happened

A fault is taken by the first request whose head contains `match`, for `times` requests in all. Positions count bytes
of the request's or the answer's body, heads not included. Each client connection has one thread here.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.servers.ports import free_port

METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ")
HEAD_END = b"\r\n\r\n"
CHUNK_BYTES = 256 * 1024
IDLE_SECONDS = 300


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


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and forwards to `upstream`; TLS towards the client if `tls` is given.

    requests: the first line of every request seen, in order of arrival.
    heads:    the whole head of every request seen.
    """

    def __init__(self, upstream: tuple[str, int], *, tls: ssl.SSLContext | None = None) -> None:
        self.upstream, self.tls, self.port = upstream, tls, free_port()
        self.fault: Fault | None = None
        self.heads: list[bytes] = []
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        self.up()

    @property
    def url(self) -> str:
        """The address that a client uses."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[str]:
        return [head.split(b"\r\n", 1)[0].decode("latin-1") for head in self.heads]

    def up(self) -> None:
        """Listen (again, on the same port)."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True, name="faultproxy").start()

    def down(self) -> None:
        """Stop listening, so that connecting is refused, and reset what is open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            open_now = list(self._connections)
        for connection in open_now:
            connection.reset()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.down()

    def take(self, head: bytes) -> Fault | None:
        """Note the request and return the fault if it is the one to be hit."""
        with self._lock:
            self.heads.append(head)
            fault = self.fault
            if fault is None or fault.hits >= fault.times or fault.match not in head:
                return None
            fault.hits += 1
            return fault

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True, name="faultproxy").start()

    def _serve(self, raw: socket.socket) -> None:
        connection = _Connection(self)
        with self._lock:
            self._connections.add(connection)
        try:
            connection.open(raw)
            connection.forward()
            connection.close()
        except (_Reset, OSError, ValueError):
            connection.reset()
        finally:
            with self._lock:
                self._connections.discard(connection)


class _Reset(Exception):
    """The fault ends the connection with an RST."""


class _End(Exception):
    """The fault ends the connection cleanly."""


class _Body:
    """Finds where heads end in one direction of a connection and counts the bytes of the body after it."""

    def __init__(self) -> None:
        self.head: bytes | None = b""
        self.position = 0

    def start(self) -> None:
        self.head, self.position = b"", 0

    def split(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Return the parts of `chunk` that belong to the head and to the body."""
        if self.head is None:
            return b"", chunk
        self.head += chunk
        end = self.head.find(HEAD_END)
        if end < 0:
            return chunk, b""
        if self.head.startswith(b"HTTP/1.1 100"):  # the real answer's head follows
            rest = self.head[end + len(HEAD_END) :]
            self.head = b""
            head, body = self.split(rest) if rest else (b"", b"")
            return chunk[: len(chunk) - len(rest)] + head, body
        body_bytes = len(self.head) - end - len(HEAD_END)
        self.head = None
        return chunk[: len(chunk) - body_bytes], chunk[len(chunk) - body_bytes :]


class _Connection:
    """One client connection and its connection to the server."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.client: socket.socket | None = None
        self.server: socket.socket | None = None
        self.fault: Fault | None = None
        self.sent, self.received = _Body(), _Body()

    def open(self, raw: socket.socket) -> None:
        self.client = raw
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.settimeout(IDLE_SECONDS)
        if self.proxy.tls:
            self.client = self.proxy.tls.wrap_socket(raw, server_side=True)
        self.server = socket.create_connection(self.proxy.upstream, timeout=IDLE_SECONDS)
        self.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def forward(self) -> None:
        """Pass bytes both ways until one side ends or the fault does."""
        assert self.client and self.server
        with contextlib.suppress(_End):
            while True:
                pending = isinstance(self.client, ssl.SSLSocket) and self.client.pending()
                ready = [self.client] if pending else select.select([self.client, self.server], [], [], IDLE_SECONDS)[0]
                for side in ready:
                    chunk = side.recv(CHUNK_BYTES)
                    if not chunk:
                        return
                    if side is self.client:
                        self._send(chunk)
                    else:
                        self._receive(chunk)

    def close(self) -> None:
        if isinstance(self.client, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self.client.settimeout(1)
                self.client.unwrap()
        for side in (self.client, self.server):
            if side:
                side.close()

    def reset(self) -> None:
        """Close both sides with an RST, without a TLS good-bye."""
        for side in (self.client, self.server):
            if side:
                with contextlib.suppress(OSError, ValueError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    socket.socket(fileno=side.detach()).close()

    def _send(self, chunk: bytes) -> None:
        assert self.server
        if chunk.startswith(METHODS):
            self.sent.start()
            self.received.start()
            self.fault = self.proxy.take(chunk.split(HEAD_END, 1)[0])
            if self.fault:
                self._begin(self.fault, chunk)
        head, body = self.sent.split(chunk)
        fault, position = self.fault, self.sent.position
        self.sent.position += len(body)
        if fault:
            body = _flipped(body, position, fault.flip_sent)
            if fault.reset_after_sent is not None and self.sent.position >= fault.reset_after_sent:
                self.server.sendall(head + body[: fault.reset_after_sent - position])
                raise _Reset
        self.server.sendall(head + body if head else body)

    def _receive(self, chunk: bytes) -> None:
        assert self.client
        head, body = self.received.split(chunk)
        fault, position = self.fault, self.received.position
        self.received.position += len(body)
        if fault:
            if fault.lose_answer and self.received.head is None:
                raise _Reset
            if body and position == 0 and fault.stall_received_seconds:
                time.sleep(fault.stall_received_seconds)
            body = _flipped(body, position, fault.flip_received)
            for limit, end in ((fault.reset_after_received, _Reset), (fault.end_after_received, _End)):
                if limit is not None and self.received.position >= limit:
                    self.client.sendall(head + body[: limit - position])
                    raise end
        self.client.sendall(head + body if head else body)

    def _begin(self, fault: Fault, chunk: bytes) -> None:
        """Do what a fault does before anything is forwarded."""
        assert self.client
        if fault.black_hole:
            while self.client.recv(CHUNK_BYTES):
                pass
            raise _Reset
        if fault.reply:
            self._answer(fault.reply, chunk)
            raise _End

    def _answer(self, reply: Reply, chunk: bytes) -> None:
        assert self.client
        if b"expect: 100-continue" not in chunk.lower():  # else the client waits for us before it sends more
            self.client.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while self.client.recv(CHUNK_BYTES):
                    pass
            self.client.settimeout(IDLE_SECONDS)
        headers = {**reply.headers, "Content-Length": str(len(reply.body)), "Connection": "close"}
        lines = [f"HTTP/1.1 {reply.status}", *(f"{name}: {value}" for name, value in headers.items())]
        self.client.sendall("\r\n".join(lines).encode("latin-1") + HEAD_END + reply.body)


def _flipped(body: bytes, position: int, at: int | None) -> bytes:
    """Return `body`, which begins at `position`, with one bit turned over if the byte `at` lies in it."""
    if at is None or not position <= at < position + len(body):
        return body
    index = at - position
    return body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]
