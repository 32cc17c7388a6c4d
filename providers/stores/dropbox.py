"""Dropbox, for documents: plain files in a team's space, which clients open and share.

What is special here:
- Dropbox checks what arrives against the content hash in each request (the SHA-256 over the SHA-256s of blocks of
  4 MiB) and keeps that hash. For a file of one block it follows from the SHA-256 alone, so `verify` needs no download;
  a larger file is read back, since Dropbox keeps nothing that binds its hash to the SHA-256.
- Names are not case-sensitive: "A.pdf" replaces "a.pdf". Deleted and replaced files stay in Dropbox's history (30 to
  365 days by plan), so deleting frees no space at once.
- Dropbox would make missing folders silently. So we look once whether the location's own folder is there: a renamed
  team folder must be noticed, not replaced by an empty one.
- Deleting a folder would delete all in it: `delete` names the file's revision, which Dropbox refuses for folders.
- The SDK refreshes the access token (4 h) by itself; its retries are off.

Limits: https://www.dropbox.com/developers/reference/data-transport-limit,
https://help.dropbox.com/organize/file-names, https://www.dropbox.com/developers/reference/content-hash
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dropbox.exceptions import ApiError, HttpError
from dropbox.files import FileMetadata, FolderMetadata, WriteMode

from providers.stores import dropbox_sharing
from providers.stores.base import Buffer, Capabilities, Checksum, Holds, ObjectInfo, PlaceFacts, Proof, StoredHash, Wire
from providers.stores.dropbox_errors import FAILURES, answer_may_be_lost, map_error, session_is_gone, tags_of
from providers.stores.dropbox_line import BLOCK_BYTES, DropboxLine, content_hash, content_hash_of_block
from providers.stores.dropbox_upload import SessionUploads
from providers.stores.errors import ChecksumMismatch, LocationMissing, ObjectCorrupt, ObjectNotFound, StoreError
from providers.stores.networked import NetworkedStore
from providers.stores.options import InvalidOptions, LineOptions, option
from providers.stores.per_process import PerProcess
from providers.stores.reading import RECEIVE_BYTES, cut_out, range_header, received, sha256_by_reading
from providers.stores.session import CONNECTIONS
from providers.stores.sharing import Link, Shared
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    import dropbox

MEBIBYTE = 1024 * 1024
ONE_REQUEST_BYTES = 144 * MEBIBYTE  # Dropbox takes 150 MiB; a multiple of its blocks
OBJECT_BYTES_MAX = 2**41 - 2**22
FLIPS_DOWN = "a bit that flips on the way down is found by verifying"  # a promise of providers.validation
SCOPES = (
    "account_info.read",
    "files.metadata.read",
    "files.content.read",
    "files.content.write",
    "sharing.read",
    "sharing.write",
)


@dataclass(frozen=True, kw_only=True)
class DropboxOptions(LineOptions):
    """Which folder of which team space, and who we are there."""

    app_key: str = option("App key", credential=True, env="DROPBOX_APP_KEY")
    app_secret: str = option(
        "App secret",
        default="",
        secret=True,
        env="DROPBOX_APP_SECRET",
        text="Empty if the refresh token was made with PKCE.",
    )
    refresh_token: str = option("Refresh token", secret=True, env="DROPBOX_REFRESH_TOKEN")
    folder: str = option(
        "Folder",
        env="DROPBOX_BACKUP_FOLDER",
        text="Path from the top of the team space, for example Weddings/Documents.",
    )
    create_folder: bool = option(
        "Make the folder if it is missing",
        default=False,
        text="At the top of a team space it becomes a team folder, if the member may make one.",
    )
    root_namespace: str = option(
        "Namespace id", default="", text="Where paths begin; empty for the top of the member's team space."
    )
    endpoint_url: str = option("Address", default="", text="Empty for Dropbox; another one is for tests.")
    single_put_bytes: int = option("Largest single upload [bytes]", default=64 * MEBIBYTE)
    part_bytes: int = option("Part of a larger upload [bytes]", default=16 * MEBIBYTE)
    list_page: int = option("Entries per page of a listing", default=1000)

    def __post_init__(self) -> None:
        if not self.folder.strip("/"):
            raise InvalidOptions("option folder: write the path of the folder that receives the documents")
        if self.endpoint_url and not self.endpoint_url.startswith(("https://", "http://")):
            raise InvalidOptions("option endpoint_url: write it with https:// in front")
        if not 0 < self.single_put_bytes <= ONE_REQUEST_BYTES:
            raise InvalidOptions(
                f"option single_put_bytes: Dropbox takes 1 to {ONE_REQUEST_BYTES} bytes in one request"
            )
        if self.part_bytes % BLOCK_BYTES or not 0 < self.part_bytes <= ONE_REQUEST_BYTES:
            raise InvalidOptions(
                f"option part_bytes: write a multiple of 4 MiB ({BLOCK_BYTES}) up to {ONE_REQUEST_BYTES}"
            )


class DropboxStore(Shared, NetworkedStore[DropboxOptions, PerProcess[DropboxLine]]):
    """One folder of a team space, or of one person's Dropbox."""

    Options = DropboxOptions
    capabilities = Capabilities(
        connections=CONNECTIONS,
        max_object_bytes=OBJECT_BYTES_MAX,
        checksum=Checksum.CONTENT_HASH,
        stored_hash=StoredHash.CONTENT_HASH,
        resumable=True,
        case_sensitive=False,
        countable=False,
        holds=Holds.DOCUMENTS,
        exceptions={FLIPS_DOWN: "up to 4 MiB nothing comes down: Dropbox's own hash is compared"},
    )
    wire = Wire(
        put=b"/2/files/upload HTTP",
        get=b"/2/files/download HTTP",
        head=b"/2/files/get_metadata HTTP",
        list=b"/2/files/list_folder",
        delete=b"/2/files/delete_v2 HTTP",
        place="folder",
    )

    def __init__(self, options: DropboxOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(options, clock=clock, folder=options.folder)
        self.capabilities = dataclasses.replace(self.capabilities, single_put_bytes=options.single_put_bytes)
        self._folder = f"/{self._prefix.rstrip('/')}"
        self._uploads = SessionUploads(options.part_bytes, clock)

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        path, view = self._path(name), memoryview(content).cast("B")
        wanted = content_hash(view, sha256)
        with self._errors(f"storing {name}"):
            self._find_folder()
            stored = self._upload(path, view, wanted)
        if (stored.content_hash, stored.size) != (wanted, len(view)):
            raise ChecksumMismatch(f"{name}: Dropbox reports {stored.size} bytes with another content hash")
        return _info(name, stored, proof=Proof.SERVER_CONTENT_HASH)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            self.head(name)
            return b""
        wanted = range_header(offset, length)
        headers = {"Range": wanted} if offset or length is not None else {}
        with self._errors(f"reading {name}"):
            try:
                info, answer = self._dropbox().files_download(self._path(name), extra_headers=headers)
            except HttpError as exc:
                if exc.status_code == 416:  # begins past the end
                    return b""
                raise
            with contextlib.closing(answer):
                content = received(answer.iter_content(RECEIVE_BYTES), self._clock)
        if answer.status_code != 206:
            if len(content) != info.size or content_hash(memoryview(content)) != info.content_hash:
                raise ChecksumMismatch(f"{name} came down changed: it does not have Dropbox's own content hash")
            content = cut_out(content, offset, length)
        return content

    def head(self, name: str) -> ObjectInfo:
        return _info(name, self._metadata(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        above = prefix.rpartition("/")[0]
        folder = self._path(above) if above else self._folder
        depth = self._folder.count("/") + 1
        with self._errors(f"listing {prefix}"):
            for entry in self._entries(folder):
                name = "/".join(entry.path_display.split("/")[depth:])
                if isinstance(entry, FileMetadata) and name.lower().startswith(prefix.lower()):
                    yield _info(name, entry)

    def delete(self, name: str) -> None:
        with contextlib.suppress(ObjectNotFound):
            found = self._metadata(name)
            with self._errors(f"deleting {name}"):
                self._dropbox().files_delete_v2(self._path(name), parent_rev=found.rev)

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        """Prove the content: up to 4 MiB by the content hash that Dropbox checked and keeps, above by reading back."""
        found = self._metadata(name)
        if found.size <= BLOCK_BYTES:
            same, proof = found.content_hash == content_hash_of_block(sha256, found.size), Proof.SERVER_CONTENT_HASH
        else:
            same, proof = sha256_by_reading(self, name, found.size) == sha256, Proof.READ_BACK
        if not same:
            raise ObjectCorrupt(f"{name} in Dropbox does not have the expected content")
        return _info(name, found, sha256=sha256, proof=proof)

    def facts(self) -> PlaceFacts:
        public: bool | None = None
        with contextlib.suppress(StoreError), self._errors("looking at the folder's links"):
            public = any(True for _ in dropbox_sharing.links_to(self._dropbox(), self._folder))
        return PlaceFacts(public=public, versioned=True, locked=False)

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        folder = options.get("folder") or "the folder"
        scopes = "\n".join(f"[x] {scope}" for scope in SCOPES)
        return {
            "Scopes to tick in the app console, before the refresh token is made": scopes,
            "The member that the token belongs to": f"Can edit: {folder}\nNo admin role in the team",
        }

    def share(self, name: str, *, expires: datetime | None = None, password: str | None = None) -> Link:
        with self._errors(f"making a link to {name}"):
            return dropbox_sharing.make_link(self._dropbox(), self._path(name), expires, password)

    def unshare(self, name: str) -> None:
        with contextlib.suppress(ObjectNotFound), self._errors(f"removing the links to {name}"):
            for link in [*dropbox_sharing.links_to(self._dropbox(), self._path(name))]:
                self._dropbox().sharing_revoke_shared_link(link.url)

    def invite(self, folder: str, email: str) -> None:
        with self._errors(f"inviting somebody to {folder}"):
            found = self._dropbox().files_get_metadata(self._path(folder))
            if not isinstance(found, FolderMetadata):  # sharing what is missing would make it
                raise ObjectNotFound(f"{folder} is a document, no folder")
            dropbox_sharing.invite(self._dropbox(), self._path(folder), email)

    def _make_line(self) -> PerProcess[DropboxLine]:
        return PerProcess(lambda: DropboxLine(self.options, self._clock), DropboxLine.close)

    def _upload(self, path: str, view: memoryview, wanted: str) -> FileMetadata:
        try:
            return self._send(path, view, wanted)
        except FAILURES as exc:
            if stored := self._settled(exc, path, len(view), wanted):
                return stored
            if not session_is_gone(exc):
                raise
        return self._send(path, view, wanted)  # in a new session: the one kept from an earlier attempt ended

    def _send(self, path: str, view: memoryview, wanted: str) -> FileMetadata:
        client = self._dropbox()
        if len(view) > self.options.single_put_bytes:
            return self._uploads.upload(client, path, view, wanted)
        return client.files_upload(bytes(view), path, mode=WriteMode.overwrite, mute=True, content_hash=wanted)

    def _settled(self, exc: Exception, path: str, size_bytes: int, wanted: str) -> FileMetadata | None:
        """Return what is stored if the upload that failed with `exc` is nevertheless there: the answer was lost."""
        if not answer_may_be_lost(exc):
            return None
        try:
            found = self._dropbox().files_get_metadata(path)
        except FAILURES:
            return None
        same = isinstance(found, FileMetadata) and (found.content_hash, found.size) == (wanted, size_bytes)
        return found if same else None

    def _metadata(self, name: str) -> FileMetadata:
        with self._errors(f"looking at {name}"):
            found = self._dropbox().files_get_metadata(self._path(name))
        if not isinstance(found, FileMetadata):
            raise ObjectNotFound(f"{name} is a folder")
        return found

    def _entries(self, folder: str) -> Iterator[Any]:
        """Yield everything below `folder`; nothing if there is no such folder in ours."""
        client = self._dropbox()
        try:
            page = client.files_list_folder(folder, recursive=True, limit=self.options.list_page)
        except ApiError as exc:
            if tags_of(exc.error)[-1] in ("not_found", "not_folder") and not self._folder_is_missing():
                return
            raise
        yield from page.entries
        while page.has_more:
            page = client.files_list_folder_continue(page.cursor)
            yield from page.entries

    def _find_folder(self) -> None:
        """Make sure, once, that the location's folder is there; make it if the options say so."""
        line = self._line.get()
        if line.seen_folder:
            return
        if self._folder_is_missing():
            if not self.options.create_folder:
                raise self._missing("storing")
            self._dropbox().files_create_folder_v2(self._folder)
        line.seen_folder = True

    def _folder_is_missing(self) -> bool:
        try:
            found = self._dropbox().files_get_metadata(self._folder)
        except ApiError as exc:
            if tags_of(exc.error)[-1] != "not_found":
                raise
            return True
        return not isinstance(found, FolderMetadata)

    def _missing(self, what: str) -> LocationMissing:
        return LocationMissing(f"{what}: there is no folder {self.options.folder} in this Dropbox")

    def _dropbox(self) -> dropbox.Dropbox:
        return self._line.get().client()

    def _path(self, name: str) -> str:
        return f"/{self._key(name)}"

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Map the SDK's exceptions; find out whether what is missing is the object or the location's folder."""
        try:
            yield
        except FAILURES as exc:
            error = map_error(exc, what, self._clock)
            if isinstance(error, ObjectNotFound):
                with contextlib.suppress(*FAILURES):  # then the first answer has to do
                    if self._folder_is_missing():
                        error = self._missing(what)
            raise error from exc


def _info(name: str, found: FileMetadata, *, sha256: str | None = None, proof: Proof | None = None) -> ObjectInfo:
    modified = found.server_modified.replace(tzinfo=UTC)
    return ObjectInfo(name, found.size, sha256=sha256, modified=modified, proof=proof)
