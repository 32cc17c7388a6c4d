"""TLS in front of a server of the tests."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import trustme

from providers.validation.faultproxy import FaultProxy


@contextlib.contextmanager
def tls_front(port: int, folder: Path) -> Iterator[tuple[FaultProxy, str]]:
    """Yield a TLS fault proxy in front of what listens on `port` of 127.0.0.1, and the path of the CA file to trust."""
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    ca_file = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    with FaultProxy(("127.0.0.1", port), tls=context) as proxy:
        yield proxy, str(ca_file)
