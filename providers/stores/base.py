"""The one interface through which anything reads or writes objects at a location.

A store is opened for one location prefix. Names are relative to it, with "/" between their parts: keys of a vault
("6f1c.../data/3f/3f1a..."), or readable paths of documents ("Ana & Zoë/Timeline.pdf"). Stores are safe to use from
several threads, are picklable (the engine's worker processes open their own clients), know nothing of Django, and
never retry: that is the work of one wrapper, `providers.wrappers.retrying`.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, TypeAlias

from providers.stores.errors import InvalidName, Unsupported

Buffer: TypeAlias = bytes | bytearray | memoryview

NAME_BYTES_MAX = 512
PART_BYTES_MAX = 255
_KEY = re.compile(r"(?:[0-9A-Za-z_-][0-9A-Za-z_-]{0,63}/)*[0-9A-Za-z_-]{1,64}")  # the names in a vault: most calls
_FORBIDDEN = frozenset('\\:*?"<>|')  # what some folder on Windows, Dropbox or Box refuses
_PLAIN_CATEGORIES = ("L", "M", "N", "P", "S")  # letters, marks, numbers, punctuation, symbols


class Checksum(enum.StrEnum):
    """How a provider checks what arrives."""

    SHA256 = "sha256"
    SHA256_HEADER_ONLY = "sha256_header_only"
    MD5 = "md5"
    SHA1 = "sha1"
    CONTENT_HASH = "content_hash"  # as StoredHash.CONTENT_HASH
    READ_BACK = "read_back"
    NONE = "none"


class StoredHash(enum.StrEnum):
    """Which hash of an object the provider keeps and tells without a download."""

    NONE = "none"
    SHA256 = "sha256"
    MD5 = "md5"
    SHA1 = "sha1"
    CONTENT_HASH = "content_hash"  # Dropbox: the SHA-256 over the SHA-256s of blocks of 4 MiB


class Proof(enum.StrEnum):
    """How we know that a stored object has the right bytes. Stored with every confirmation."""

    SERVER_SHA256 = "server_sha256"
    SERVER_MD5 = "server_md5"
    SERVER_SHA1 = "server_sha1"
    SERVER_CONTENT_HASH = "server_content_hash"
    READ_BACK = "read_back"


class Holds(enum.StrEnum):
    """What a location is for."""

    VAULTS = "vaults"
    DOCUMENTS = "documents"  # plain files that clients open and share


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can and cannot do, as data, so that no caller asks for its name.

    connections:        how many calls may be under way at once.
    max_object_bytes:   the largest object it takes [bytes].
    single_put_bytes:   up to this size one request is enough [bytes]; above it goes in parts.
    checksum:           how it checks uploads.
    stored_hash:        which hash it keeps and tells without a download.
    proves_at_rest:     `verify` needs no download: the provider stores a hash that we can compare.
    atomic_replace:     a reader sees the old or the new object, never a mixture.
    conditional_create: a create refuses when the name exists (never to be used as a lock).
    object_lock:        objects can be protected against deletion by the provider (`protect`).
    resumable:          an interrupted large upload goes on where it ended.
    unicode_names:      names may hold any letter, not only ASCII.
    case_sensitive:     "A" and "a" are two objects.
    storage_classes:    what `change_class` takes, the provider's own words; empty if it has only one.
    online:             a read answers within seconds (archive classes do not).
    countable:          may count as a copy in the 3-2-1 judgement.
    holds:              vaults, or plain documents.
    exceptions:         promises that it cannot keep, by name, each with the reason, for people.
    """

    connections: int = 8
    max_object_bytes: int = 5 * 1024**4
    single_put_bytes: int = 64 * 1024**2
    checksum: Checksum = Checksum.NONE
    stored_hash: StoredHash = StoredHash.NONE
    proves_at_rest: bool = False
    atomic_replace: bool = True
    conditional_create: bool = False
    object_lock: bool = False
    resumable: bool = False
    unicode_names: bool = True
    case_sensitive: bool = True
    storage_classes: tuple[str, ...] = ()
    online: bool = True
    countable: bool = True
    holds: Holds = Holds.VAULTS
    exceptions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of a stored object without reading it.

    name:          as it was put.
    size_bytes:    stored length [bytes].
    sha256:        lower-case hex, only when the provider computed or checked it itself.
    modified:      when it was stored, aware UTC, where the provider tells.
    proof:         set by `put` and `verify`: how the content was confirmed; None means unproved.
    storage_class: the provider's own word, where it tells.
    """

    name: str
    size_bytes: int
    sha256: str | None = None
    modified: datetime | None = None
    proof: Proof | None = None
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """What a store can find out about its bucket (container, folder) and credential; None means it cannot tell.

    public:       anybody may read or list it.
    versioned:    it keeps old versions of objects.
    locked:       objects can be, or are, protected against deletion.
    lifecycle:    it has rules that move or delete objects by themselves, in words.
    region:       where it is, the provider's own word.
    excess_rights: what the credential may do that a backup never needs, in words.
    dangers:      what there threatens copies, in words: rules that delete or archive what we store.
    """

    public: bool | None = None
    versioned: bool | None = None
    locked: bool | None = None
    lifecycle: tuple[str, ...] = ()
    region: str | None = None
    excess_rights: tuple[str, ...] = ()
    dangers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wire:
    """How the requests of a networked store look, so that a fault can be aimed at one of them.

    put, get, head, list, delete: bytes that the head of such a request, and of no other kind of the five that matters,
                                  contains; `put` is the request that carries a small object's content.
    endpoint:                     name of the option that holds the server's address; it takes https:// and http://.
    place:                        name of the option that holds the bucket, container or folder; "" if there is none.
    """

    put: bytes
    get: bytes
    head: bytes
    list: bytes
    delete: bytes
    endpoint: str = "endpoint_url"
    place: str = "bucket"


def check_name(name: str, *, ascii_only: bool = False) -> str:
    """Return `name` if it is a well-formed object name; raise InvalidName otherwise.

    Parts are separated by "/", at most 255 bytes each (UTF-8, NFC), hold letters, digits, marks, signs and spaces, none
    of what Windows forbids, do not begin with a dot or a space and do not end with one.

    ascii_only: for a provider that refuses all other letters.
    """
    if len(name) < NAME_BYTES_MAX and _KEY.fullmatch(name):
        return name
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # half of a surrogate pair: bytes that were no text
        size = NAME_BYTES_MAX + 1
    if not 0 < size <= NAME_BYTES_MAX or not all(map(_is_plain, name.split("/"))):
        raise InvalidName(f"not a valid object name: {name[:80]!a}")
    if not name.isascii() and (ascii_only or not unicodedata.is_normalized("NFC", name)):
        raise InvalidName(f"not a valid object name here: {name[:80]!a}")
    return name


def _is_plain(part: str) -> bool:
    if not part or part[0] in ". " or part[-1] in ". " or len(part.encode()) > PART_BYTES_MAX:
        return False
    return all(
        sign not in _FORBIDDEN and (sign == " " or unicodedata.category(sign)[0] in _PLAIN_CATEGORIES) for sign in part
    )


class ObjectStore(ABC):
    """One location of one provider. Every method raises only the errors of `providers.stores.errors`."""

    capabilities: Capabilities = Capabilities()
    wire: ClassVar[Wire | None] = None  # None: not behind a network
    regions: ClassVar[str] = ""  # whose regions it offers, as `provider` in providers/regions.json

    @abstractmethod
    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        """Store `content` under `name`, replacing what was there, and prove that it arrived.

        name:    key below the location's prefix.
        content: the whole object; not kept after the call returns.
        sha256:  lower-case hex of `content` when the caller knows it already (a pack's name is its hash).

        Returns the object's info with `proof` set when the bytes were confirmed by the provider's
        checksum or by reading them back. After a failure the old object is still there or the name does
        not exist; a half object is never visible.

        Raises ChecksumMismatch, AccessDenied, LocationMissing, LocationFull, Throttled, StoreUnavailable,
        InvalidName or StoreError.
        """

    @abstractmethod
    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes of the object `name` from `offset` on.

        offset: first byte wanted [bytes], 0 or more.
        length: how much [bytes]; None means up to the end.

        A range that reaches past the end returns what there is (like a slice). Raises ObjectNotFound if there
        is no such object, and the errors of `put`. A short answer is StoreUnavailable, never a short result.
        """

    @abstractmethod
    def head(self, name: str) -> ObjectInfo:
        """Return the info of `name`; raises ObjectNotFound if there is none."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose name starts with `prefix`, in no particular order, all pages.

        Unfinished uploads and temporary files are never listed. An empty or missing folder yields nothing;
        a missing bucket or location root raises LocationMissing.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove `name`. Removing what is not there is no error; being refused is AccessDenied."""

    @abstractmethod
    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        """Prove that the object `name` has the content with this SHA-256 (lower-case hex).

        Without a download where `capabilities.proves_at_rest`, by reading it back otherwise. Returns the info
        with `proof` set; raises ObjectCorrupt when the bytes are others, ObjectNotFound when it is gone.
        """

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove what interrupted uploads left behind and nobody touched since `before` (aware UTC).

        Returns how many left-overs were removed. Stores whose uploads leave nothing have nothing to do.
        """
        del before
        return 0

    def change_class(self, name: str, storage_class: str) -> None:
        """Move `name` to one of `capabilities.storage_classes` without sending it again.

        Raises Unsupported where there are no classes or not this one, and the errors of `put`.
        """
        raise Unsupported(f"{name}: there is no storage class {storage_class} here")

    def thaw(self, name: str, *, days: int = 7) -> bool:
        """Return whether `name` can be read now; if it is in an archive class, have it brought back for `days`."""
        del days
        self.head(name)
        return True

    def protect(self, name: str, *, until: datetime) -> None:
        """Have the provider refuse every deletion and change of `name` until then (aware UTC); it only ever grows.

        Raises Unsupported without `capabilities.object_lock`.
        """
        raise Unsupported(f"{name} cannot be protected until {until:%Y-%m-%d} here")

    def public_addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses at which somebody without a credential would read `name`, if the place were public."""
        del name
        return ()

    def facts(self) -> PlaceFacts:
        """Find out what can be found out about the place itself; asking must change nothing."""
        return PlaceFacts()

    @classmethod
    def reads_at_once(cls, options: Mapping[str, Any]) -> bool:
        """Whether what is stored with these options can be read within seconds: archive classes take hours."""
        del options
        return True

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        """Return the least rights that our credentials need, ready to paste into the provider's console.

        options: what is known so far, by name (bucket, prefix ...); may be incomplete.

        By what it is for, in words: "writer", "pruner", and whatever else the provider wants.
        """
        del options
        return {}

    def close(self) -> None:  # noqa: B027 - most stores hold nothing open
        """Release connections. The store must not be used afterwards."""
