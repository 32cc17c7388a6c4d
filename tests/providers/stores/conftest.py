"""Fixtures of the stores' tests."""

from tests.servers.azure import azure_container, azure_proxied, azure_proxy, azurite, open_azure
from tests.servers.box_fixtures import box, box_folder_id, box_proxied, box_proxy, open_box
from tests.servers.gcs_fixtures import gcs, gcs_held, gcs_impatient, gcs_in_chunks, gcs_proxied, gcs_proxy, open_gcs
from tests.servers.s3 import aws, call, open_s3, proxied
from tests.servers.supabase_fixtures import open_supabase, supabase, supabase_call, supabase_proxied, supabase_proxy

__all__ = [
    "aws",
    "azure_container",
    "azure_proxied",
    "azure_proxy",
    "azurite",
    "box",
    "box_folder_id",
    "box_proxied",
    "box_proxy",
    "call",
    "gcs",
    "gcs_held",
    "gcs_impatient",
    "gcs_in_chunks",
    "gcs_proxied",
    "gcs_proxy",
    "open_azure",
    "open_box",
    "open_gcs",
    "open_s3",
    "open_supabase",
    "proxied",
    "supabase",
    "supabase_call",
    "supabase_proxied",
    "supabase_proxy",
]
