"""The kinds of location there are. A provider's module, and its SDK, is imported at its first use only."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.stores.base import ObjectStore
from providers.stores.options import InvalidOptions, build_options


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of location.

    name:   what is stored in the database.
    label:  what a person reads.
    dotted: module and class of the store.
    text:   what it is good for, in one sentence.
    folder: it is a folder of this machine, set up with a marker.
    family: how its environment variables begin, told here so that nobody imports a module to learn that none is set.
    """

    name: str
    label: str
    dotted: str
    text: str = ""
    folder: bool = False
    family: str = ""

    def store_class(self) -> Any:
        """Import and return the store's class; its `Options` describe what it needs."""
        module, _, name = self.dotted.rpartition(".")
        return getattr(importlib.import_module(module), name)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "local",
            "Folder, mounted disk or NAS",
            "providers.stores.local.LocalStore",
            "On this machine or in the studio: the quickest to write and to read back.",
            folder=True,
        ),
        Kind(
            "carbonite",
            "Folder protected by Carbonite",
            "providers.stores.carbonite.CarboniteStore",
            "Documents on a machine that has the Carbonite client; it never counts as a copy.",
            folder=True,
        ),
        Kind(
            "s3",
            "Amazon S3 or compatible",
            "providers.stores.s3.S3Store",
            "Checks every upload by SHA-256 and knows it at rest; locks against deletion.",
            family="AWS",
        ),
        Kind(
            "r2",
            "Cloudflare R2",
            "providers.stores.r2.R2Store",
            "Reading back costs nothing per byte; a jurisdiction can be guaranteed.",
            family="R2",
        ),
        Kind(
            "b2",
            "Backblaze B2",
            "providers.stores.b2.B2Store",
            "Low price per terabyte; locks against deletion.",
            family="B2",
        ),
        Kind(
            "wasabi",
            "Wasabi",
            "providers.stores.wasabi.WasabiStore",
            "One price, no fee for reading; objects are paid for 90 days.",
            family="WASABI",
        ),
        Kind(
            "gcs",
            "Google Cloud Storage",
            "providers.stores.gcs.GCSStore",
            "Every storage class answers within milliseconds, also the archive.",
            family="GCP",
        ),
        Kind(
            "azure",
            "Azure Blob Storage",
            "providers.stores.azure.AzureStore",
            "Checks every upload by MD5 and proves it at rest; all tiers but Archive answer at once.",
            family="AZURE",
        ),
        Kind(
            "supabase",
            "Supabase Storage",
            "providers.stores.supabase.SupabaseStore",
            "Beside a Supabase project; checks nothing itself, so every upload is proved by us.",
            family="SUPABASE",
        ),
        Kind(
            "supabase_s3",
            "Supabase Storage by S3",
            "providers.stores.supabase_s3.SupabaseS3Store",
            "Beside a Supabase project, through its S3 address; every upload is proved by us.",
            family="SUPABASE",
        ),
        Kind(
            "dropbox",
            "Dropbox",
            "providers.stores.dropbox.DropboxStore",
            "Documents in the space of a team, to open and share by link; it never counts as a copy.",
            family="DROPBOX",
        ),
        Kind(
            "box",
            "Box",
            "providers.stores.box.BoxStore",
            "Documents in the folders of an enterprise, to open and share; it never counts as a copy.",
            family="BOX",
        ),
    )
}


def kind_named(name: str) -> Kind:
    """Return the kind `name`; raise InvalidOptions if there is none."""
    try:
        return KINDS[name]
    except KeyError:
        raise InvalidOptions(f"there is no kind of location {name!r}; known are {', '.join(KINDS)}") from None


def options_class(kind: str) -> type[Any]:
    """Return the dataclass that describes what a location of this kind needs (see providers.stores.options)."""
    options: type[Any] = kind_named(kind).store_class().Options
    return options


def open_store(kind: str, options: Mapping[str, Any]) -> ObjectStore:
    """Return the store for a location of `kind` with these plain `options`; nothing is connected yet.

    Raises InvalidOptions, or providers.stores.errors.InvalidName if a prefix is not a valid name.
    """
    store_class = kind_named(kind).store_class()
    store: ObjectStore = store_class(build_options(store_class.Options, options))
    return store
