"""A TCP or TLS proxy that breaks connections on order, inside this process.

    with FaultProxy(("127.0.0.1", 9000)) as proxy:
        proxy.fault = Fault(match=b"PUT /", reset_after_sent=1_000_000)
        ...                              # the client talks to proxy.url
        assert proxy.fault.hits == 1     # the fault really happened

With an `upstream` it stands in front of that one server. Without one it is a forward proxy (CONNECT, or whole URLs in
requests), for a store with the option `proxy_url`: what is asked over TLS is opened here with certificates of
`authority`, which the store has to trust, and goes on to the real server over TLS again. So a fault can be tried
against a real provider, whose addresses and signatures stay as they are.

A fault is taken by the first request whose head contains `match`, for `times` requests in all. Positions count bytes
of the request's or the answer's body, heads not included. Each client connection has one thread here.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import threading
from pathlib import Path

from providers.validation.certificates import Authority
from providers.validation.connection import Connection, End, Reset
from providers.validation.faults import Fault

_PORTS = range(20_000, 30_000)  # below what systems give out by themselves: free again when we come `up` again


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and forwards to `upstream`, or to whom each request names.

    tls:       speak TLS towards the client (with an upstream).
    authority: makes the certificates for opened TLS (without an upstream).
    trusted:   a CA file to trust, beside the public ones, on the way to the real server.

    requests: the first line of every request seen, in order of arrival.
    heads:    the whole head of every request seen; answers: of every answer.
    sent_bytes, received_bytes: the bodies of requests and of answers that came by, all together [bytes].
    """

    def __init__(
        self,
        upstream: tuple[str, int] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        authority: Authority | None = None,
        trusted: str = "",
    ) -> None:
        self.upstream, self.tls, self.authority = upstream, tls, authority
        self.fault: Fault | None = None
        self.heads: list[bytes] = []
        self.answers: list[bytes] = []
        self.sent_bytes = self.received_bytes = 0
        self.onward = ssl.create_default_context()
        if trusted:
            self.onward.load_verify_locations(Path(trusted))
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()
        self._listener = _listen()
        self.port: int = self._listener.getsockname()[1]
        self._start()

    @property
    def url(self) -> str:
        """The address that a client uses."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[str]:
        return [head.split(b"\r\n", 1)[0].decode("latin-1") for head in self.heads]

    def up(self) -> None:
        """Listen again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self._start()

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
            if fault is None or not fault.aims_at(head):
                return None
            fault.hits += 1
            return fault

    def count(self, *, sent: int = 0, received: int = 0) -> None:
        """Count bytes of bodies that came by."""
        with self._lock:
            self.sent_bytes += sent
            self.received_bytes += received

    def note_answer(self, head: bytes) -> None:
        """Note the head of an answer that passed."""
        with self._lock:
            self.answers.append(head)

    def _start(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True, name="faultproxy").start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True, name="faultproxy").start()

    def _serve(self, raw: socket.socket) -> None:
        connection = Connection(self)
        with self._lock:
            self._connections.add(connection)
        try:
            with contextlib.suppress(End):
                connection.open(raw)
                connection.forward()
            connection.close()
        except (Reset, OSError, ValueError):
            connection.reset()
        finally:
            with self._lock:
                self._connections.discard(connection)


def _listen() -> socket.socket:
    for _ in range(100):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", secrets.choice(_PORTS)), backlog=256)
    raise OSError(f"no free port in {_PORTS.start}-{_PORTS.stop - 1} on 127.0.0.1")
