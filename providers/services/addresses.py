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
from urllib.parse import SplitResult, urlsplit

from providers import registry
from providers.stores.options import InvalidOptions

Resolver = Callable[[str], Iterable[str]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(InvalidOptions):
    """The address must not be used as it is; the message names the option and what to do."""


def resolve_host(host: str) -> list[str]:
    """Return all addresses of `host`; raises OSError if its name is not known."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)]


def address_check(
    kind: str, options: Mapping[str, Any], *, private_allowed: bool, resolve: Resolver = resolve_host
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
    try:
        parts = address_parts(value)
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise AddressRefused(f"leave out what follows the host; write {parts.scheme}://{parts.netloc}")
        addresses_of(parts, private_allowed=private_allowed, plain_allowed=is_proxy, resolve=resolve)
    except AddressRefused as exc:
        raise AddressRefused(f"option {name}: {exc}") from exc


def addresses_of(
    parts: SplitResult, *, private_allowed: bool, plain_allowed: bool = False, resolve: Resolver = resolve_host
) -> list[str]:
    """Return the IP addresses behind `parts`, all of which may be talked to; raise AddressRefused otherwise.

    plain_allowed: no TLS is needed (a proxy: what goes through it has its own).
    """
    host = parts.hostname or ""
    try:
        found = [_address(text) for text in resolve(host)]
    except (OSError, UnicodeError) as exc:
        raise AddressRefused(f"the host {host} is not known here; check its spelling and this machine's DNS") from exc
    inside = [address for address in found if not address.is_global or address.is_multicast]
    if inside and not private_allowed:
        raise AddressRefused(
            f"{host} is {inside[0]}, which is not a public address; "
            "an admin may allow it for what is inside your own network"
        )
    if parts.scheme == "http" and not plain_allowed and not all(address.is_loopback for address in found):
        raise AddressRefused(f"without TLS anybody on the way can read along; write https://{host}")
    return [str(address) for address in found]


def address_parts(value: str) -> SplitResult:
    """Return the parts of the address `value`: http or https, a host, a port perhaps, no name and no password.

    Raises AddressRefused, whose message never repeats the address: a password may be in it.
    """
    try:
        parts = urlsplit(value)
        port, host = parts.port, parts.hostname
    except ValueError as exc:
        raise AddressRefused("that is no address; write https://host or https://host:port") from exc
    if parts.scheme not in ("https", "http") or not host:
        raise AddressRefused("write the address with https:// in front, for example https://s3.example.org")
    if parts.username or parts.password:
        raise AddressRefused("leave name and password out of the address; they have their own fields")
    if port == 0:
        raise AddressRefused("there is no port 0")
    return parts


def _address(text: str) -> Address:
    """Return the address, the inner one if an IPv6 address only wraps an IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address
