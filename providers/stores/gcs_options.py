"""What a location at Google Cloud Storage needs to know."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from providers.stores.gcs_account import is_loopback, read_key
from providers.stores.gcs_upload import CHUNK_MULTIPLE
from providers.stores.options import InvalidOptions, LineOptions, option

MEBIBYTE = 1024 * 1024


class StorageClass(enum.StrEnum):
    """What new objects cost to keep and to read."""

    AS_BUCKET = "as the bucket"
    STANDARD = "STANDARD"
    NEARLINE = "NEARLINE"
    COLDLINE = "COLDLINE"
    ARCHIVE = "ARCHIVE"


class Retention(enum.StrEnum):
    """How strictly objects are protected: nobody shortens Locked, an administrator may shorten Unlocked."""

    NONE = "none"
    UNLOCKED = "Unlocked"
    LOCKED = "Locked"


_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")  # https://cloud.google.com/storage/docs/buckets#naming


@dataclass(frozen=True, kw_only=True)
class GCSOptions(LineOptions):
    """Where the bucket is and who we are there."""

    bucket: str = option("Bucket", env="GCP_BACKUP_BUCKET")
    project_id: str = option("Project", default="", text="The project of the bucket.", env="GCP_PROJECT_ID")
    key_json: str = option(
        "Key of the service account",
        text="Content of the JSON key file. The variable GCP_KEY_FILE names the file whose content is meant.",
        secret=True,
        env="GCP_KEY_FILE",
    )
    prefix: str = option("Folder in the bucket", default="", text="Names begin with it; empty for the whole bucket.")
    endpoint_url: str = option("Address", default="https://storage.googleapis.com", text="Google's, or an emulator's.")
    storage_class: StorageClass = option(  # noqa: RUF009 - `option` makes a field, each call its own
        "Storage class", default=StorageClass.AS_BUCKET, text="Colder is cheaper to keep and dearer to read or delete."
    )
    kms_key: str = option(
        "Encryption key", default="", text="projects/.../cryptoKeys/... of your own key; empty for Google's."
    )
    retention: Retention = option(  # noqa: RUF009
        "Protection of objects", default=Retention.NONE, text="Needs a bucket made with object retention."
    )
    create_only: bool = option(
        "Never replace an object", default=False, text="On for an account that may not delete, and so not replace."
    )
    single_put_bytes: int = option("Largest single upload [bytes]", default=64 * MEBIBYTE)
    chunk_bytes: int = option("Piece of a larger upload [bytes]", default=16 * MEBIBYTE)
    list_page: int = option("Objects per page of a listing", default=1000)

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise InvalidOptions("option bucket: 3 to 222 small letters, digits, dots, dashes and underscores, no path")
        address = urlsplit(self.endpoint_url)
        if address.scheme not in ("https", "http") or not address.hostname:
            raise InvalidOptions("option endpoint_url: write it with https:// in front")
        if address.path.strip("/") or address.query:
            raise InvalidOptions("option endpoint_url: only https:// and the host, the bucket has its own option")
        if self.chunk_bytes <= 0 or self.chunk_bytes % CHUNK_MULTIPLE:
            raise InvalidOptions("option chunk_bytes: must be a multiple of 256 KiB (262144)")
        if self.key_json:
            read_key(self.key_json)
        elif not is_loopback(address.hostname):
            raise InvalidOptions("missing option: key_json; only an emulator on this machine needs none")
