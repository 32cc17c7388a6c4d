"""What every dialect of S3 is told about its bucket, and what a dialect is: the differences as data."""

from __future__ import annotations

import enum
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from providers.stores.base import Checksum
from providers.stores.options import InvalidOptions, LineOptions, option

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE
ARCHIVE_CLASSES = ("GLACIER", "DEEP_ARCHIVE")  # reading takes hours; GLACIER_IR answers at once
UNLOCKED = ("wedbackup-validation/", "wedbackup-probe/")  # written to be removed again at once
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_HOST_PART = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class LockMode(enum.StrEnum):
    """Who may lift an Object Lock early: under governance whoever has a special right, under compliance nobody."""

    GOVERNANCE = "GOVERNANCE"
    COMPLIANCE = "COMPLIANCE"


class Encryption(enum.StrEnum):
    """With whose key the provider encrypts what it stores, beside our own encryption."""

    BUCKET = "bucket"  # as the bucket's own setting says
    S3 = "AES256"
    KMS = "aws:kms"


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What the server is asked beside keeping the bytes.

    storage_class: for packs (".../data/..."), which are the bulk; what is needed to find and open them is small and
                   stays in the class of the bucket, online. Empty for the bucket's class.
    encryption:    see Encryption; kms_key_id names the key, empty for the account's own.
    lock_days:     refuse deletion and change of each new object for so long [days]; 0 for no lock.
    """

    storage_class: str = ""
    encryption: Encryption = Encryption.BUCKET
    kms_key_id: str = ""
    lock_days: int = 0
    lock_mode: LockMode = LockMode.GOVERNANCE


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How one provider speaks S3.

    address:            of the server; empty for AWS, whose address follows from the region.
    region:             what requests are signed for.
    checksum:           how it checks uploads; the other ways are refused, or silently ignored.
    proves_at_rest:     it keeps, and tells, a hash or the metadata that binds ours to its own.
    path_style:         the bucket is named in the path and not in the host name.
    conditional_create: it honours If-None-Match.
    object_lock:        it has S3 Object Lock.
    storage_classes:    what an object can be moved to.
    session_token:      of temporary credentials.
    """

    address: str
    region: str
    session_token: str = field(default="", repr=False)
    checksum: Checksum
    proves_at_rest: bool
    path_style: bool = True
    conditional_create: bool = False
    object_lock: bool = False
    storage_classes: tuple[str, ...] = ()
    max_object_bytes: int = 5 * 1024 * GIBIBYTE
    keeping: Keeping = Keeping()


@dataclass(frozen=True, kw_only=True)
class BucketOptions(LineOptions, ABC):
    """What all dialects have in common. A dialect adds where its servers are, and says its peculiarities."""

    bucket: str = option("Bucket")
    access_key: str = option("Access key id", credential=True)
    secret_key: str = option("Secret access key", secret=True)
    prefix: str = option("Folder in the bucket", default="", text="Keys begin with it; empty for the whole bucket.")
    endpoint_url: str = option("Address", default="", text="Only to reach the provider another way than usual.")
    single_put_bytes: int = option("Largest single upload [bytes]", default=64 * MEBIBYTE)
    part_bytes: int = option("Part of a larger upload [bytes]", default=16 * MEBIBYTE)
    parts_at_once: int = option("Parts of an upload at the same time", default=4)
    list_page: int = option("Objects per page of a listing", default=1000)

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise InvalidOptions("option bucket: only letters, digits, dots, dashes and underscores, no path")
        check_address(self.endpoint_url)
        if not 5 * MEBIBYTE <= self.part_bytes <= 5 * GIBIBYTE:
            raise InvalidOptions("option part_bytes: S3 takes parts from 5 MiB (5242880) to 5 GiB")
        if not 0 < self.single_put_bytes <= 5 * GIBIBYTE:
            raise InvalidOptions("option single_put_bytes: S3 takes up to 5 GiB (5368709120) in one request")
        if not 1 <= self.parts_at_once <= 16:
            raise InvalidOptions("option parts_at_once: from 1 to 16")

    @abstractmethod
    def dialect(self) -> Dialect:
        """Return how the provider has to be spoken to."""


@dataclass(frozen=True, kw_only=True)
class LockOptions(BucketOptions):
    """For the dialects that have S3 Object Lock, and a region in their addresses."""

    region: str = option("Region")
    lock_days: int = option("Object Lock [days]", default=0, text="0 for none; the bucket needs Object Lock.")
    lock_mode: LockMode = option(  # noqa: RUF009 - `option` makes a field, each call its own
        "Object Lock mode", default=LockMode.GOVERNANCE, text="Under COMPLIANCE nobody can shorten a lock."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_host_part("region", self.region)
        if not 0 <= self.lock_days <= 3650:
            raise InvalidOptions("option lock_days: from 0 (no lock) to 3650")


def check_address(url: str) -> None:
    """Raise InvalidOptions unless `url` is empty or the bare address of a server."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("https", "http") or not parts.netloc):
        raise InvalidOptions("option endpoint_url: write it with https:// in front")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidOptions("option endpoint_url: only https://host or https://host:port; the bucket is asked apart")


def check_host_part(name: str, value: str) -> None:
    """Raise InvalidOptions unless the option `name` can be a part of a host name."""
    if not _HOST_PART.fullmatch(value):
        raise InvalidOptions(f"option {name}: only small letters, digits and dashes")
