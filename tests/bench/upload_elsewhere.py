"""Uploads to the other providers' test servers, beside the official client of each (or plain HTTP where there is none).

Those servers run in this very process or beside it on the same cores, and none is the real service: only the ratio says
something, namely what our checks, wrappers and read-backs cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from providers.stores.azure import AzureStore
from providers.stores.azure_options import AzureOptions
from providers.stores.gcs import GCSStore
from providers.stores.gcs_options import GCSOptions
from providers.stores.supabase import SupabaseOptions, SupabaseStore
from tests.bench.upload import Load, Uploads, measure_uploads
from tests.servers.azurite import running_azurite
from tests.servers.gcs import running_gcs
from tests.servers.supabase import running_supabase
from tests.servers.supabase_state import Bucket


def uploads_elsewhere(work: Path, load: Load) -> Iterator[Uploads]:
    """Measure Google Cloud Storage, Azure and Supabase, one after the other."""
    yield _gcs(work, load)
    yield _azure(work, load)
    yield _supabase(work, load)


def _gcs(work: Path, load: Load) -> Uploads:
    with running_gcs() as server:
        bucket = server.make_bucket()
        client = storage.Client(
            "a-wedding", credentials=AnonymousCredentials(), client_options={"api_endpoint": server.url}
        )
        plain = client.bucket(bucket)
        store = GCSStore(GCSOptions(bucket=bucket, key_json="", endpoint_url=server.url))
        try:
            return measure_uploads(
                "Google Cloud Storage (emulator)",
                store,
                lambda name, content: plain.blob(name).upload_from_string(content),
                load,
                work,
            )
        finally:
            store.close()
            client.close()


def _azure(work: Path, load: Load) -> Uploads:
    folder = work / "azurite"
    folder.mkdir()
    with running_azurite(folder) as server, server.service() as service:
        container = server.make_container()
        plain = service.get_container_client(container)
        options = AzureOptions(
            account=server.account, account_key=server.account_key, container=container, endpoint_url=server.url
        )
        store = AzureStore(options)
        try:
            return measure_uploads(
                "Azure Blob Storage (Azurite)",
                store,
                lambda name, content: plain.upload_blob(name, content, overwrite=True),
                load,
                work,
            )
        finally:
            store.close()


def _supabase(work: Path, load: Load) -> Uploads:
    with running_supabase() as server, requests.Session() as session:
        server.buckets["weddings"] = Bucket()
        session.headers["Authorization"] = f"Bearer {server.key()}"
        address = f"{server.url}/storage/v1/object/weddings"
        store = SupabaseStore(SupabaseOptions(url=server.url, service_key=server.key(), bucket="weddings"))

        def plain(name: str, content: bytes) -> None:
            headers = {"x-upsert": "true", "Content-Type": "application/octet-stream"}
            session.post(f"{address}/{name}", data=content, headers=headers, timeout=60).raise_for_status()

        try:
            return measure_uploads("Supabase Storage (fake), plain HTTP", store, plain, load, work)
        finally:
            store.close()
