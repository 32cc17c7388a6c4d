"""Fixtures of the stores' tests."""

from tests.servers.azure import azure_container, azure_proxied, azure_proxy, azurite, open_azure
from tests.servers.gcs_fixtures import gcs, gcs_held, gcs_impatient, gcs_in_chunks, gcs_proxied, gcs_proxy, open_gcs
from tests.servers.s3 import aws, call, open_s3, proxied

__all__ = [
    "aws",
    "azure_container",
    "azure_proxied",
    "azure_proxy",
    "azurite",
    "call",
    "gcs",
    "gcs_held",
    "gcs_impatient",
    "gcs_in_chunks",
    "gcs_proxied",
    "gcs_proxy",
    "open_azure",
    "open_gcs",
    "open_s3",
    "proxied",
]
