"""One connection through the fault proxy: finds requests in the stream of bytes and does to them what a fault says."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from providers.validation.faults import Fault, Reply, content_length
from wedbackup.core.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from providers.validation.faultproxy import FaultProxy

METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ")
HEAD_END = b"\r\n\r\n"
CHUNK_BYTES = 256 * 1024
IDLE_SECONDS = 300
CONNECT_SECONDS = 10


class Reset(Exception):
    """The fault ends the connection with an RST."""


class End(Exception):
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


class Connection:
    """One client connection and its connection to the server."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.client: socket.socket | None = None
        self.server: socket.socket | None = None
        self.fault: Fault | None = None
        self.sent, self.received = _Body(), _Body()
        self._upstream: tuple[str, int] | None = None

    def open(self, raw: socket.socket) -> None:
        """Begin to serve the client behind `raw`; learn from its first request where it wants to go, if need be."""
        self.client = raw
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.settimeout(IDLE_SECONDS)
        if self.proxy.upstream:
            if self.proxy.tls:
                self.client = self.proxy.tls.wrap_socket(raw, server_side=True)
            self._connect(self.proxy.upstream)
            return
        head = self._first_head()
        if head.startswith(b"CONNECT "):
            host, _, port = head.split(b" ", 2)[1].decode("ascii").rpartition(":")
            self._connect((host.strip("[]"), int(port)), secure=True)
            raw.sendall(b"HTTP/1.1 200 Connection established" + HEAD_END)
            assert self.proxy.authority
            self.client = self.proxy.authority.context(host.strip("[]")).wrap_socket(raw, server_side=True)
        elif head:
            self._send(head)

    def forward(self) -> None:
        """Pass bytes both ways until one side ends; raises End or Reset when the fault ends it."""
        while self.client and self.server:
            sides = [self.client, self.server]
            buffered = [side for side in sides if isinstance(side, ssl.SSLSocket) and side.pending()]
            for side in buffered or select.select(sides, [], [], IDLE_SECONDS)[0]:
                chunk = _received(side)
                if chunk == b"":
                    return
                if chunk and side is self.client:
                    self._send(chunk)
                elif chunk:
                    self._receive(chunk)

    def _first_head(self) -> bytes:
        assert self.client
        head = b""
        while HEAD_END not in head:
            chunk = self.client.recv(CHUNK_BYTES)
            if not chunk:
                return b""
            head += chunk
        return head

    def _connect(self, upstream: tuple[str, int], *, secure: bool = False) -> None:
        if self.server:
            self.server.close()
        server = socket.create_connection(upstream, timeout=CONNECT_SECONDS)
        server.settimeout(IDLE_SECONDS)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server = self.proxy.onward.wrap_socket(server, server_hostname=upstream[0]) if secure else server
        self._upstream = upstream

    def _to_origin(self, chunk: bytes) -> bytes:
        """Return `chunk`, which begins a request for a whole URL, as the server itself expects it."""
        method, url, rest = chunk.split(b" ", 2)
        parts = urlsplit(url.decode("ascii"))
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("only CONNECT and http:// URLs go through here")
        upstream = (parts.hostname, parts.port or 80)
        if self.server is None or upstream != self._upstream:
            self._connect(upstream)
        path = url.split(b"/", 3)[3] if url.count(b"/") >= 3 else b""
        return b" ".join((method, b"/" + path, rest))

    def close(self) -> None:
        """Say good-bye to the client so that it notices at once, and wait a little until it has read everything."""
        if self.client and self.client.fileno() >= 0:
            with contextlib.suppress(OSError, ValueError):
                if isinstance(self.client, ssl.SSLSocket):
                    self.client.settimeout(0)
                    with contextlib.suppress(ssl.SSLWantReadError):
                        self.client.unwrap()
                self.client.shutdown(socket.SHUT_WR)
                self.client.settimeout(1)
                while self.client.recv(CHUNK_BYTES):
                    pass
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
        if chunk.startswith(METHODS):
            if chunk.split(b" ", 2)[1].startswith(b"http"):
                chunk = self._to_origin(chunk)
            self.sent.start()
            self.received.start()
            self.fault = self.proxy.take(chunk.split(HEAD_END, 1)[0])
            if self.fault:
                self._begin(self.fault, chunk)
        assert self.server
        head, body = self.sent.split(chunk)
        fault, position = self.fault, self.sent.position
        self.sent.position += len(body)
        self.proxy.count(sent=len(body))
        if fault:
            body = _flipped(body, position, fault.flip_sent)
            if fault.reset_after_sent is not None and self.sent.position >= fault.reset_after_sent:
                self.server.sendall(head + body[: fault.reset_after_sent - position])
                raise Reset
        self.server.sendall(head + body if head else body)

    def _receive(self, chunk: bytes) -> None:
        assert self.client
        in_head = self.received.head is not None
        head, body = self.received.split(chunk)
        if in_head and self.received.head is None:
            self.proxy.note_answer(head.split(HEAD_END, 1)[0])
        fault, position = self.fault, self.received.position
        self.received.position += len(body)
        self.proxy.count(received=len(body))
        if fault:
            if fault.lose_answer and self.received.head is None:
                raise Reset
            if body and position == 0 and fault.stall_received_seconds:
                SYSTEM_CLOCK.sleep(fault.stall_received_seconds)
            body = _flipped(body, position, fault.flip_received)
            for limit, end in ((fault.reset_after_received, Reset), (fault.end_after_received, End)):
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
            raise Reset
        if fault.reply:
            self._answer(fault.reply, chunk)
            raise End

    def _answer(self, reply: Reply, chunk: bytes) -> None:
        assert self.client
        if b"expect: 100-continue" not in chunk.lower():  # else the client waits for us before it sends more
            self._swallow(chunk)
        headers = {**reply.headers, "Content-Length": str(len(reply.body)), "Connection": "close"}
        lines = [f"HTTP/1.1 {reply.status}", *(f"{name}: {value}" for name, value in headers.items())]
        self.client.sendall("\r\n".join(lines).encode("latin-1") + HEAD_END + reply.body)

    def _swallow(self, chunk: bytes) -> None:
        """Take the rest of a request that begins with `chunk`: a client may not hear an answer before it has sent all.

        A body of unknown length counts as ended after 0.2 s of silence.
        """
        assert self.client
        head, found, body = chunk.partition(HEAD_END)
        length, position = content_length(head), len(body)
        self.client.settimeout(0.2 if length is None or not found else 5)
        with contextlib.suppress(TimeoutError):
            while not found or length is None or position < length:
                more = self.client.recv(CHUNK_BYTES)
                if not more:
                    break
                position += len(more)
        self.client.settimeout(IDLE_SECONDS)


def _received(side: socket.socket) -> bytes | None:
    """Return what there is to read, b"" at the end, None if it was only for TLS itself, such as a session ticket."""
    if not isinstance(side, ssl.SSLSocket):
        return side.recv(CHUNK_BYTES)
    side.settimeout(0.05)
    try:
        return side.recv(CHUNK_BYTES)
    except TimeoutError:
        return None
    finally:
        side.settimeout(IDLE_SECONDS)


def _flipped(body: bytes, position: int, at: int | None) -> bytes:
    """Return `body`, which begins at `position`, with one bit turned over if the byte `at` lies in it."""
    if at is None or not position <= at < position + len(body):
        return body
    index = at - position
    return body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]
