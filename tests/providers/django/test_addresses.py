"""No location makes the server talk to where it must not."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import pytest

from providers.services.addresses import AddressRefused, address_check

PUBLIC = "93.184.215.14"


def check(address: str, *, found: Iterable[str] = (PUBLIC,), private_allowed: bool = False, **more: str) -> None:
    options = {"endpoint_url": address, **more}
    address_check("s3", options, private_allowed=private_allowed, resolve=lambda host: found)


@pytest.mark.parametrize(
    "address", ["https://s3.example.org", "https://s3.example.org:9000", "https://s3.example.org/", ""]
)
def test_a_public_address_over_tls_is_fine(address: str) -> None:
    check(address)


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("s3.example.org", "https:// in front"),
        ("ftp://s3.example.org", "https:// in front"),
        ("https://", "https:// in front"),
        ("https://s3.example.org/bucket", "what follows the host"),
        ("https://s3.example.org?x=1", "what follows the host"),
        ("https://me:secret@s3.example.org", "name and password"),
        ("https://s3.example.org:port", "no address"),
        ("https://[::1", "no address"),
        ("https://s3.example.org:0", "port 0"),
        ("http://s3.example.org", "write https://s3.example.org"),
    ],
)
def test_an_address_with_more_or_less_than_it_needs_is_refused(address: str, word: str) -> None:
    with pytest.raises(AddressRefused, match=word) as refused:
        check(address)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "inside",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:0a00:0001::",
    ],
)
def test_a_name_that_leads_inside_is_refused_unless_an_admin_allowed_it(inside: str) -> None:
    with pytest.raises(AddressRefused, match="not a public address"):
        check("https://s3.example.org", found=[PUBLIC, inside])
    check("https://s3.example.org", found=[inside], private_allowed=True)


def test_no_tls_is_for_loopback_only_even_inside() -> None:
    check("http://localhost:9000", found=["127.0.0.1"], private_allowed=True)
    with pytest.raises(AddressRefused, match="without TLS"):
        check("http://nas.local:9000", found=["192.168.1.5"], private_allowed=True)


def test_a_proxy_is_checked_as_well_but_may_be_plain() -> None:
    check("", proxy_url="http://proxy.example.org:3128")
    with pytest.raises(AddressRefused, match="proxy_url"):
        check("", proxy_url="http://proxy.internal:3128", found=["10.0.0.8"])


def test_a_name_that_is_not_known_is_said_to_be() -> None:
    def unknown(host: str) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(AddressRefused, match="check its spelling"):
        address_check("s3", {"endpoint_url": "https://s3.exmaple.org"}, private_allowed=False, resolve=unknown)


def test_a_folder_has_no_address() -> None:
    address_check("local", {"root": "/mnt/nas"}, private_allowed=False)
