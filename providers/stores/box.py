"""Box, for documents: plain files in an enterprise's folders, which clients open and share.

What is special here:
- Items are numbers; `providers.stores.box_tree` finds them by path and makes folders.
- Box checks what arrives against its SHA-1 (a header that Box calls Content-MD5; `Digest` for parts) and keeps it.
  What binds it to our SHA-256 is a line of metadata that we write after the upload: "the content with this SHA-1 has
  this SHA-256", both computed here over the same bytes. It is a statement about content: after any other upload the
  SHA-1 is another one, and `verify` reads back. It guards against damage, not against a person who may edit the
  document and its metadata, nor against one who makes SHA-1 collisions.
- Names are not case-sensitive, and hold only the first 65,536 letters of Unicode (no pictures).
- Storing again makes a new version; a deleted file stays in the trash (30 days, unless the enterprise says otherwise).
- A token lives an hour; the SDK gets the next one and repeats that request. Its retries are off.

Limits: https://developer.box.com/guides/uploads/chunked/, https://developer.box.com/guides/api-calls/permissions-and-errors/rate-limits/
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from box_sdk_gen import (
    BoxAPIError,
    CreateFileMetadataByIdScope,
    UpdateFileMetadataByIdRequestBody,
    UpdateFileMetadataByIdRequestBodyOpField,
    UpdateFileMetadataByIdScope,
)

from providers.stores import box_sharing
from providers.stores.base import (
    Buffer,
    Capabilities,
    Checksum,
    Holds,
    ObjectInfo,
    PlaceFacts,
    Proof,
    StoredHash,
    Wire,
    check_name,
)
from providers.stores.box_errors import (
    FAILURES,
    NameTaken,
    SessionGone,
    answer_may_be_lost,
    hide_secrets,
    map_error,
    status_of,
)
from providers.stores.box_line import BoxLine
from providers.stores.box_tree import BoxTree, Item
from providers.stores.box_upload import PartUploads, Target, upload_at_once
from providers.stores.errors import ChecksumMismatch, InvalidName, LocationMissing, ObjectCorrupt, ObjectNotFound
from providers.stores.networked import NetworkedStore
from providers.stores.options import InvalidOptions, LineOptions, option
from providers.stores.per_process import PerProcess
from providers.stores.reading import RECEIVE_BYTES, cut_out, range_header, received, sha256_by_reading
from providers.stores.refusal import Refusal
from providers.stores.session import CONNECTIONS
from providers.stores.sharing import Link, Shared
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

PARTS_FROM_BYTES = 20_000_000  # Box opens no upload session below
OBJECT_BYTES_MAX = 500 * 10**9  # Enterprise Advanced; smaller plans say file_size_limit_exceeded
BASIC_PLANE = 0xFFFF
TEMPLATE = "properties"  # Box's own template for free-form metadata
KEY = "wedbackup"
HEAD_FIELDS = ["sha1", "size", "modified_at", f"metadata.global.{TEMPLATE}"]
LIST_FIELDS = ["type", "name", "size", "modified_at"]


@dataclass(frozen=True, kw_only=True)
class BoxOptions(LineOptions):
    """Which folder of which enterprise, and the app that we are there."""

    client_id: str = option("Client id", credential=True, env="BOX_CLIENT_ID")
    client_secret: str = option("Client secret", secret=True, env="BOX_CLIENT_SECRET")
    enterprise_id: str = option("Enterprise id", env="BOX_ENTERPRISE_ID")
    folder_id: str = option(
        "Folder id",
        env="BOX_BACKUP_FOLDER_ID",
        text="The number at the end of the folder's address in the browser; share it with the app's service account.",
    )
    endpoint_url: str = option("Address", default="", text="Empty for Box; another one is for tests.")
    single_put_bytes: int = option("Largest single upload [bytes]", default=32 * 1024**2)
    list_page: int = option("Entries per page of a listing", default=1000)

    def __post_init__(self) -> None:
        if self.endpoint_url and not self.endpoint_url.startswith(("https://", "http://")):
            raise InvalidOptions("option endpoint_url: write it with https:// in front")
        if self.single_put_bytes < PARTS_FROM_BYTES:
            raise InvalidOptions(f"option single_put_bytes: Box takes no parts of files below {PARTS_FROM_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class _Way:
    """One process's way to Box."""

    line: BoxLine
    tree: BoxTree


class BoxStore(Shared, NetworkedStore[BoxOptions, PerProcess[_Way]]):
    """One folder of an enterprise, reached as the service account of an app."""

    Options = BoxOptions
    capabilities = Capabilities(
        connections=CONNECTIONS,
        max_object_bytes=OBJECT_BYTES_MAX,
        checksum=Checksum.SHA1,
        stored_hash=StoredHash.SHA1,
        proves_at_rest=True,
        resumable=True,
        case_sensitive=False,
        countable=False,
        holds=Holds.DOCUMENTS,
    )
    wire = Wire(
        put=b"content-md5: ",
        get=b"Range: bytes=",
        head=b"?fields=sha1",
        list=b"/items?",
        delete=b"DELETE /2.0/files/",
        place="folder_id",
    )

    def __init__(self, options: BoxOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(options, clock=clock)
        self.capabilities = dataclasses.replace(self.capabilities, single_put_bytes=options.single_put_bytes)
        self._uploads = PartUploads(clock)

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        path, view = self._checked(name), memoryview(content).cast("B")
        sha1, own = hashlib.sha1(view, usedforsecurity=False).hexdigest(), hashlib.sha256(view).hexdigest()
        if sha256 not in (None, own):
            raise ChecksumMismatch(f"{name}: the content does not have the SHA-256 that it should have")
        with self._errors(f"storing {name}"):
            stored = self._upload(path, view, sha1)
            if (stored.sha_1, stored.size) != (sha1, len(view)):
                raise ChecksumMismatch(f"{name}: Box reports {stored.size} bytes with another SHA-1")
            self._bind(stored.id, sha1, own)
        return ObjectInfo(name, len(view), sha256=own, modified=stored.modified_at, proof=Proof.SERVER_SHA1)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with self._errors(f"reading {name}"):
            item = self._file(name)
            if length == 0:
                return b""
            # the very version whose SHA-1 we know, even if another one comes meanwhile
            url = self._client.downloads.get_download_file_url(item.id, version=item.version_id or None)
            wanted = range_header(offset, length)
            with contextlib.closing(self._line.get().line.session.download(url, wanted)) as answer:
                if answer.status_code == 416:  # begins past the end
                    return b""
                if answer.status_code not in (200, 206):
                    raise Refusal(answer)
                content = received(answer.iter_content(RECEIVE_BYTES), self._clock)
            whole = answer.status_code == 200 or (offset == 0 and length is None)
        if whole and item.sha1 and hashlib.sha1(content, usedforsecurity=False).hexdigest() != item.sha1:
            raise ChecksumMismatch(f"{name} came down changed: it does not have Box's own SHA-1")
        if answer.status_code == 200:  # the server ignores ranges and sent everything
            content = cut_out(content, offset, length)
        return content

    def head(self, name: str) -> ObjectInfo:
        return _info(name, self._details(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        above = prefix.rpartition("/")[0]
        with self._errors(f"listing {prefix}"):
            waiting = [(self._checked(above) if above else "", self._tree.folder(above))]
            while waiting:
                path, folder_id = waiting.pop()
                for entry in self._tree.items(folder_id, LIST_FIELDS, self.options.list_page) if folder_id else ():
                    name = f"{path}/{entry.name}" if path else entry.name
                    if _type(entry) == "folder":
                        waiting.append((name, entry.id))
                    elif _type(entry) == "file" and name.lower().startswith(prefix.lower()):
                        yield _info(name, entry)

    def delete(self, name: str) -> None:
        path = self._checked(name)
        with contextlib.suppress(ObjectNotFound), self._errors(f"deleting {name}"):
            item = self._tree.find(path)
            if item and item.is_file:
                self._client.files.delete_file_by_id(item.id)

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        """Prove the content by Box's SHA-1 and our line of metadata that binds it; without that, by reading back."""
        found = self._details(name)
        bound = _bound_sha256(found)
        stored = bound or sha256_by_reading(self, name, found.size)
        if stored != sha256:
            raise ObjectCorrupt(f"{name} in Box does not have the expected content")
        return _info(name, found, sha256=stored, proof=Proof.SERVER_SHA1 if bound else Proof.READ_BACK)

    def remove_unfinished(self, *, before: datetime) -> int:
        """Abort what this process left behind; Box does not tell about others, and forgets them after 7 days."""
        return self._uploads.abort_before(self._client, before)

    def facts(self) -> PlaceFacts:
        with self._errors("looking at the folder"):
            found = self._client.folders.get_folder_by_id(self.options.folder_id, fields=["shared_link"])
        link = found.raw_data.get("shared_link") or {}
        return PlaceFacts(public=link.get("effective_access") == "open", versioned=True)

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        folder = options.get("folder_id") or "the folder"
        return {
            "Application scopes to tick in the developer console": (
                "[x] Read all files and folders stored in Box\n[x] Write all files and folders stored in Box\n"
                "App access level: App access only"
            ),
            "The app's service account": f"Collaborator of folder {folder}, role Editor (to invite people: Co-owner)",
        }

    def share(self, name: str, *, expires: datetime | None = None, password: str | None = None) -> Link:
        with self._errors(f"making a link to {name}"):
            return box_sharing.make_link(self._client, self._item(name), expires, password)

    def unshare(self, name: str) -> None:
        with contextlib.suppress(ObjectNotFound), self._errors(f"removing the link to {name}"):
            box_sharing.remove_link(self._client, self._item(name))

    def invite(self, folder: str, email: str) -> None:
        with self._errors(f"inviting somebody to {folder}"):
            item = self._item(folder)
            if item.is_file:
                raise ObjectNotFound(f"{folder} is a document, no folder")
            box_sharing.invite(self._client, item.id, email)

    @staticmethod
    def _checked(name: str) -> str:
        if any(ord(letter) > BASIC_PLANE for letter in name):
            raise InvalidName(f"Box takes no such letter in a name (pictures, rare scripts): {name[:80]!a}")
        return check_name(name)

    def _upload(self, path: str, view: memoryview, sha1: str) -> Any:
        try:
            return self._send(path, view, sha1)
        except FAILURES as exc:
            if stored := self._settled(exc, path, len(view), sha1):
                return stored
            if not isinstance(exc, SessionGone):
                raise
        return self._send(path, view, sha1)  # in a new session: the one kept from an earlier attempt ended

    def _send(self, path: str, view: memoryview, sha1: str) -> Any:
        above, _, leaf = path.rpartition("/")

        def aim(folder_id: str) -> Target:
            return Target(folder_id, leaf, self._tree.look(folder_id, leaf, size_bytes=len(view)))

        target = self._tree.within(above, aim, make=True)
        if target is None or (target.item and not target.item.is_file):
            raise NameTaken(f"{path} is a folder")
        if len(view) > self.options.single_put_bytes:
            return self._uploads.upload(self._client, path, target, view, sha1)
        return upload_at_once(self._client, target, view, sha1, self._clock)

    def _settled(self, exc: Exception, path: str, size_bytes: int, sha1: str) -> Any:
        """Return what is stored if the upload that failed with `exc` is nevertheless there: the answer was lost."""
        if not answer_may_be_lost(exc):
            return None
        try:
            item = self._tree.find(path)
            found = self._client.files.get_file_by_id(item.id, fields=HEAD_FIELDS) if item and item.is_file else None
        except FAILURES:
            return None
        return found if found and (found.sha_1, found.size) == (sha1, size_bytes) else None

    def _bind(self, file_id: str, sha1: str, sha256: str) -> None:
        """Write down which SHA-256 belongs to the SHA-1; where that fails, `verify` reads back instead."""
        value, metadata = f"{sha1} {sha256}", self._client.file_metadata
        add = UpdateFileMetadataByIdRequestBodyOpField.ADD
        with contextlib.suppress(*FAILURES):
            try:
                metadata.create_file_metadata_by_id(file_id, CreateFileMetadataByIdScope.GLOBAL, TEMPLATE, {KEY: value})
            except BoxAPIError as exc:
                if status_of(exc) != 409:  # an older version of the document has it
                    raise
                change = UpdateFileMetadataByIdRequestBody(op=add, path=f"/{KEY}", value=value)
                metadata.update_file_metadata_by_id(file_id, UpdateFileMetadataByIdScope.GLOBAL, TEMPLATE, [change])

    def _details(self, name: str) -> Any:
        with self._errors(f"looking at {name}"):
            found = self._client.files.get_file_by_id(self._file(name).id, fields=HEAD_FIELDS)
            if found.size is None or not found.sha_1:
                raise ValueError("no file")
            return found

    def _file(self, name: str) -> Item:
        item = self._item(name)
        if not item.is_file:
            raise ObjectNotFound(f"{name} is a folder")
        return item

    def _item(self, name: str) -> Item:
        """Return the document or folder `name`."""
        item = self._tree.find(self._checked(name))
        if item is None:
            raise ObjectNotFound(f"there is no {name} in this folder of Box")
        return item

    def _make_line(self) -> PerProcess[_Way]:
        return PerProcess(self._make_way, lambda way: way.line.close())

    def _make_way(self) -> _Way:
        line = BoxLine(self.options, self._clock)
        return _Way(line, BoxTree(line.client, self.options.folder_id))

    @property
    def _client(self) -> Any:
        return self._line.get().line.client

    @property
    def _tree(self) -> BoxTree:
        return self._line.get().tree

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Map the SDK's exceptions; find out whether what is missing is the object or the location's folder."""
        try:
            yield
        except FAILURES as exc:
            hide_secrets(exc)
            error = map_error(exc, what, self._clock)
            if isinstance(error, ObjectNotFound) and self._folder_is_missing():
                error = LocationMissing(f"{what}: there is no folder {self.options.folder_id} that this app may see")
            raise error from exc

    def _folder_is_missing(self) -> bool:
        try:
            self._client.folders.get_folder_by_id(self.options.folder_id, fields=["id"])
        except FAILURES as exc:
            hide_secrets(exc)
            return status_of(exc) == 404
        return False


def _type(entry: Any) -> str:
    return str(getattr(entry.type, "value", entry.type))


def _bound_sha256(found: Any) -> str | None:
    """Return the SHA-256 that our metadata states for the very SHA-1 that Box keeps; None if it states none."""
    scopes = found.raw_data.get("metadata") or {}
    sha1, _, sha256 = str(scopes.get("global", {}).get(TEMPLATE, {}).get(KEY, "")).partition(" ")
    return sha256 if sha256 and sha1 == found.sha_1 else None


def _info(name: str, found: Any, *, sha256: str | None = None, proof: Proof | None = None) -> ObjectInfo:
    return ObjectInfo(name, found.size, sha256=sha256, modified=found.modified_at, proof=proof)
