"""May this address be talked to? Asked before a location's settings are stored, validated or given a new credential.

Whoever may add a location could otherwise make the server speak to machines inside its own network (server-side request
forgery): to a database, a router's page, or a cloud's metadata service at 169.254.169.254. So an address is refused
when it has no TLS, carries anything but a host and a port, or resolves to what is not public, unless an admin has said
that this location is inside the own network. Loopback, private or not, is fit for tests only and asks for the same.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from providers import registry
from providers.stores.options import InvalidOptions

Resolver = Callable[[str], Iterable[str]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(InvalidOptions):
    """The address must not be used as it is; the message names the option and what to do."""


def _resolve(host: str) -> list[str]:
    """Return all addresses of `host`; raises OSError if its name is not known."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)]


def address_check(
    kind: str, options: Mapping[str, Any], *, private_allowed: bool, resolve: Resolver = _resolve
) -> None:
    """Raise AddressRefused unless every address in the `options` of a location of `kind` may be talked to.

    private_allowed: an admin has said that it may be inside our own network.
    resolve:         returns the IP addresses of a host name.
    """
    wire = registry.kind_named(kind).store_class().wire
    if wire is None:
        return
    for name in (wire.endpoint, "proxy_url"):
        if value := str(options.get(name) or ""):
            _check(name, value, private_allowed=private_allowed, is_proxy=name == "proxy_url", resolve=resolve)


def _check(name: str, value: str, *, private_allowed: bool, is_proxy: bool, resolve: Resolver) -> None:
    host, scheme = _host_of(name, value)
    try:
        found = [_address(text) for text in resolve(host)]
    except (OSError, UnicodeError) as exc:
        raise AddressRefused(
            f"option {name}: the host {host} is not known here; check its spelling and this machine's DNS"
        ) from exc
    inside = [address for address in found if not address.is_global or address.is_multicast]
    if inside and not private_allowed:
        raise AddressRefused(
            f"option {name}: {host} is {inside[0]}, which is not a public address; "
            "an admin may allow it for a location inside your own network"
        )
    if scheme == "http" and not is_proxy and not all(address.is_loopback for address in found):
        raise AddressRefused(f"option {name}: without TLS anybody on the way can read along; write https://{host}")


def _host_of(name: str, value: str) -> tuple[str, str]:
    """Return the host and the scheme of an address that consists of nothing else but a port."""
    try:
        parts = urlsplit(value)
        port, host = parts.port, parts.hostname
    except ValueError as exc:
        raise AddressRefused(f"option {name}: that is no address; write https://host or https://host:port") from exc
    if parts.scheme not in ("https", "http") or not host:
        raise AddressRefused(f"option {name}: write it with https:// in front, for example https://s3.example.org")
    if parts.username or parts.password:
        raise AddressRefused(f"option {name}: leave name and password out of the address; they have their own fields")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise AddressRefused(f"option {name}: leave out what follows the host; write {parts.scheme}://{parts.netloc}")
    if port == 0:
        raise AddressRefused(f"option {name}: there is no port 0")
    return host, parts.scheme


def _address(text: str) -> Address:
    """Return the address, the inner one if an IPv6 address only wraps an IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address
