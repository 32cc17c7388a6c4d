"""Fixtures of the stores' tests."""

from tests.servers.azure import azure_container, azure_proxied, azure_proxy, azurite, open_azure
from tests.servers.s3 import aws, call, open_s3, proxied

__all__ = [
    "aws",
    "azure_container",
    "azure_proxied",
    "azure_proxy",
    "azurite",
    "call",
    "open_azure",
    "open_s3",
    "proxied",
]
