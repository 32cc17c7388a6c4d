"""Constants and small encodings of restic's repository format v2 (doc/design.rst of restic 0.19)."""

from __future__ import annotations

import enum
import functools
import re
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256

REPOSITORY_VERSION = 2
ID_BYTES = 32
KIB = 1024
MIB = 1024 * KIB

PACK_TARGET_BYTES = 16 * MIB  # restic's default target size of a pack
BLOB_MIN_BYTES = 512 * KIB
BLOB_AVERAGE_BYTES = 1 * MIB
BLOB_MAX_BYTES = 8 * MIB
INDEX_BLOBS_MAX = 50_000  # restic starts a new index file at about this many blobs


class BlobType(enum.IntEnum):
    DATA = 0
    TREE = 1

    @property
    def label(self) -> str:
        return "tree" if self is BlobType.TREE else "data"

    @classmethod
    def of_label(cls, label: str) -> BlobType:
        return cls.TREE if label == "tree" else cls.DATA


class FileKind(enum.StrEnum):
    """The folders of a repository; `config` alone stands beside them."""

    KEYS = "keys"
    DATA = "data"
    INDEX = "index"
    SNAPSHOTS = "snapshots"
    LOCKS = "locks"


CONFIG_NAME = "config"


def file_name(kind: FileKind, file_id: str) -> str:
    """Return the object name of a repository file, e.g. "data/3f/3f1a..." or "index/77ab..."."""
    if kind is FileKind.DATA:
        return f"data/{file_id[:2]}/{file_id}"
    return f"{kind.value}/{file_id}"


def hash_hex(content: bytes | bytearray | memoryview) -> str:
    return sha256(content).hexdigest()


# Years 1 to 9999, which is what four digits can say [s]; Go's JSON reads no others, and restic moves them in as well.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


@functools.lru_cache(maxsize=8192)
def _second(seconds: int) -> str:
    parts = time.gmtime(min(max(seconds, _FIRST_SECOND), _LAST_SECOND))
    return f"{parts.tm_year:04}{time.strftime('-%m-%dT%H:%M:%S', parts)}"


def is_writable_time(nanoseconds: int) -> bool:
    """Whether `format_time` can write this Unix time [ns] as it is."""
    return _FIRST_SECOND <= nanoseconds // 1_000_000_000 <= _LAST_SECOND


def format_time(nanoseconds: int) -> str:
    """Return RFC 3339 text in UTC of a Unix time [ns], fraction without trailing zeros, as Go writes it.

    A time outside of the years 1 to 9999 becomes the nearest one inside.
    """
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    tail = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{_second(seconds)}{tail}Z"


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@functools.lru_cache(maxsize=8192)
def _whole_seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def parse_time(text: str) -> int:
    """Return the Unix time [ns] of RFC 3339 text with up to nine digits of fraction; raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    base, fraction, zone = match.groups()
    seconds = _whole_seconds(base + ("+00:00" if zone == "Z" else zone))
    return seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_nanoseconds(moment: datetime) -> int:
    """Return the Unix time [ns] of an aware datetime, exact to its microseconds."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def to_datetime(nanoseconds: int) -> datetime:
    """Return the aware UTC datetime of a Unix time [ns], cut to microseconds."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=fraction // 1000)
