"""Azure Blob Storage, by the official SDK.

What is special here:
- Azure checks the MD5 of each request's body and keeps one for the whole blob. The SHA-256 is recorded as metadata in
  the same request that makes the blob, so `verify` needs no download. What that proves: when the blob was made, Azure
  had checked these bytes (of a larger blob: each block) against the MD5 of the content that has this SHA-256. It does
  not read them again; Azure's own scrubbing answers for the time since then.
- The SDK's retries are off, those of its downloads too: `get` reads the answer itself, because the SDK asks up to
  three times when it breaks off.
- An interrupted large upload leaves uncommitted blocks. Nobody sees them, the next attempt takes them over, and Azure
  drops them after a week.
- Azure Archive is offline: reading takes hours, and only packs are put there.
- A SAS token is part of each URL; errors are cleaned of it.

Limits: https://learn.microsoft.com/azure/storage/blobs/scalability-targets
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import ipaddress
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import (
    BlobClient,
    BlobServiceClient,
    ContainerClient,
    ImmutabilityPolicy,
    StandardBlobTier,
)
from urllib3.exceptions import HTTPError

from providers.stores.azure_errors import answer_may_be_lost, map_error
from providers.stores.azure_rights import ACCOUNT_KEY_RIGHTS, least_rights, read_sas_token
from providers.stores.azure_upload import BlockUpload, Content, put_at_once, stored_sha256
from providers.stores.base import (
    AccessDenied,
    Buffer,
    Capabilities,
    Checksum,
    CredentialExpired,
    LocationMissing,
    ObjectCorrupt,
    ObjectInfo,
    ObjectNotFound,
    ObjectStore,
    PlaceFacts,
    Proof,
    StoredHash,
    StoreError,
    StoreUnavailable,
    Unsupported,
    Wire,
    check_name,
)
from providers.stores.options import InvalidOptions, LineOptions, option
from providers.stores.session import CONNECTIONS, make_session
from providers.stores.transfer import Pace
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

MEBIBYTE = 1024 * 1024
READ_BACK_BYTES = 8 * MEBIBYTE
RECEIVE_BYTES = 256 * 1024
WHOLE_BYTES = 1024**5  # larger than any blob: one request, whatever is asked for
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")
_PACK = re.compile(r"(?:.*/)?data/.+")


class Tier(enum.StrEnum):
    """Access tiers, in the provider's words."""

    ACCOUNT = "account"  # whatever the account's default is
    HOT = "Hot"
    COOL = "Cool"
    COLD = "Cold"
    ARCHIVE = "Archive"


@dataclass(frozen=True, kw_only=True)
class AzureOptions(LineOptions):
    """Where the container is and who we are there. One of the two secrets is enough; the token wins over the key."""

    account: str = option("Storage account", env="AZURE_STORAGE_ACCOUNT")
    container: str = option("Container", env="AZURE_BACKUP_CONTAINER")
    sas_token: str = option(
        "SAS token",
        default="",
        secret=True,
        env="AZURE_STORAGE_SAS_TOKEN",
        text="For this container, with the rights rcwl (and d to prune).",
    )
    account_key: str = option(
        "Account key",
        default="",
        secret=True,
        env="AZURE_STORAGE_KEY",
        text="Instead of a token. It may do everything in the whole account.",
    )
    endpoint_url: str = option(
        "Address",
        default="",
        env="AZURE_ENDPOINT_URL",
        text="Empty for the public Azure; https://ACCOUNT.blob... of another cloud or a private endpoint.",
    )
    prefix: str = option("Folder in the container", default="", text="Names begin with it; empty for all of it.")
    tier: Tier = option(  # noqa: RUF009 - `option` makes a field, each call its own
        "Access tier of packs",
        default=Tier.ACCOUNT,
        text="Hot, Cool, Cold (online), Archive (hours to read), or account for its default, as all else has.",
    )
    object_lock: bool = option("Objects can be locked", default=False, text="With version-level immutability only.")
    single_put_bytes: int = option("Largest single upload [bytes]", default=64 * MEBIBYTE)
    part_bytes: int = option("Block of a larger upload [bytes]", default=16 * MEBIBYTE)
    list_page: int = option("Objects per page of a listing", default=5000)

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise InvalidOptions("option account: 3 to 24 small letters and digits, no address")
        if not _CONTAINER.fullmatch(self.container):
            raise InvalidOptions("option container: 3 to 63 small letters, digits and single dashes, no path")
        if not (self.sas_token or self.account_key):
            raise InvalidOptions("option sas_token or account_key: one of them is needed")
        parts = urlsplit(self.endpoint_url)
        if self.endpoint_url and (parts.scheme not in ("https", "http") or not parts.netloc):
            raise InvalidOptions("option endpoint_url: write it with https:// in front")
        if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise InvalidOptions(
                "option endpoint_url: only https://host or https://host:port; the container goes apart"
            )
        if not 0 < self.single_put_bytes <= 5000 * MEBIBYTE:
            raise InvalidOptions("option single_put_bytes: Azure takes up to 5000 MiB (5242880000) in one request")
        if not 64 * 1024 <= self.part_bytes <= 4000 * MEBIBYTE:
            raise InvalidOptions("option part_bytes: from 64 KiB (65536) to 4000 MiB (4194304000)")
        if not 1 <= self.list_page <= 5000:
            raise InvalidOptions("option list_page: from 1 to 5000")

    @property
    def account_url(self) -> str:
        """The account's address; behind a bare IP address or localhost (emulators) its name is part of the path."""
        url = self.endpoint_url.rstrip("/") or f"https://{self.account}.blob.core.windows.net"
        host = urlsplit(url).hostname or ""
        with contextlib.suppress(ValueError):
            host = "localhost" if ipaddress.ip_address(host) else host
        return f"{url}/{self.account}" if host == "localhost" else url


class AzureStore(ObjectStore):
    """One prefix of one container. The SDK's client is made at the first call, one per process."""

    Options = AzureOptions
    wire = Wire(
        put=b"x-ms-blob-type: BlockBlob",
        get=b"x-ms-range: bytes=",
        head=b"HEAD /",
        list=b"comp=list",
        delete=b"DELETE /",
        place="container",
    )
    regions = "azure_blob"

    def __init__(self, options: AzureOptions, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.options = options
        self.capabilities = Capabilities(
            connections=CONNECTIONS,
            single_put_bytes=options.single_put_bytes,
            checksum=Checksum.MD5,
            stored_hash=StoredHash.MD5,
            proves_at_rest=True,
            conditional_create=True,
            object_lock=options.object_lock,
            resumable=True,
            storage_classes=(Tier.HOT, Tier.COOL, Tier.COLD, Tier.ARCHIVE),
            online=options.tier is not Tier.ARCHIVE,
        )
        self._clock = clock
        self._prefix = f"{check_name(options.prefix.strip('/'))}/" if options.prefix.strip("/") else ""
        self._token = read_sas_token(options.sas_token) if options.sas_token else None
        self._lock = threading.Lock()
        self._client: BlobServiceClient | None = None
        self._client_pid = 0

    def __getstate__(self) -> AzureOptions:
        return self.options

    def __setstate__(self, options: AzureOptions) -> None:
        self.__init__(options)  # type: ignore[misc]

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        check_name(name)
        sent = Content.of(memoryview(content).cast("B"), sha256)
        tier = self._tier_of(name)
        with self._errors(f"storing {name}"):
            blob = self._blob(name)
            upload = BlockUpload(blob, sent, self.options.part_bytes, self._clock)
            ids = upload.stage() if len(sent.view) > self.options.single_put_bytes else None
            try:
                put_at_once(blob, sent, tier) if ids is None else upload.commit(ids, tier)
            except AzureError as exc:
                if not self._settled(exc, blob, sent):
                    raise
        return ObjectInfo(name, len(sent.view), proof=Proof.SERVER_MD5)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            self.head(name)
            return b""
        received: list[bytes] = []

        def take(answer: Any) -> None:
            if answer.http_response.status_code in (200, 206):
                received.append(self._received(answer.http_response.internal_response))

        with self._errors(f"reading {name}", name):
            try:
                self._blob(name).download_blob(offset=offset, length=length, max_concurrency=1, raw_response_hook=take)
            except HttpResponseError as exc:
                if exc.status_code == 416:  # begins past the end
                    return b""
                raise
        return received[0]

    def head(self, name: str) -> ObjectInfo:
        return _info(name, self._properties(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._errors(f"listing {prefix}"):
            for found in self._listed(prefix):
                yield _info(found.name.removeprefix(self._prefix), found)

    def delete(self, name: str) -> None:
        with contextlib.suppress(ObjectNotFound), self._errors(f"deleting {name}", name):
            self._blob(name).delete_blob(delete_snapshots="include")

    def verify(self, name: str, *, sha256: str) -> ObjectInfo:
        found = self._properties(name)
        recorded = stored_sha256(found) if found.content_settings.content_md5 else None
        if (recorded or self._read_back(name, found.size)) != sha256:
            raise ObjectCorrupt(f"{name} in container {self.options.container} does not have the expected content")
        proof = Proof.SERVER_MD5 if recorded else Proof.READ_BACK
        return _info(name, found, sha256=sha256, proof=proof)

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove what interrupted uploads left behind: blocks of names that have no committed blob.

        Azure has no request for that. An empty blob takes the place of the blocks, only if there is no blob, and is
        deleted again, only if it is still that one; for this moment the empty blob can be seen. It is not begun without
        the right to delete. What an upload that is under way loses by it, it sends again.
        """
        if self._token and self._token.rights is not None and "d" not in self._token.rights:
            raise AccessDenied("removing unfinished uploads needs the right to delete (d) in the SAS token")
        removed = 0
        with self._errors("removing unfinished uploads"):
            for found in self._listed("", include=["uncommittedblobs"]):
                if found.size == 0 and found.last_modified and found.last_modified < before:
                    removed += _discard_blocks(self._container().get_blob_client(found.name))
        return removed

    def change_class(self, name: str, storage_class: str) -> None:
        if storage_class not in self.capabilities.storage_classes:
            raise Unsupported(f"{name}: there is no access tier {storage_class} at Azure")
        with self._errors(f"moving {name} to {storage_class}", name):
            self._blob(name).set_standard_blob_tier(StandardBlobTier(storage_class))

    def thaw(self, name: str, *, days: int = 7) -> bool:
        """See ObjectStore.thaw. Azure moves the object itself, so it stays online until its tier is changed again."""
        del days
        found = self._properties(name)
        if found.blob_tier != Tier.ARCHIVE:
            return True
        if not found.archive_status:  # not on its way yet
            with self._errors(f"bringing back {name}", name):
                self._blob(name).set_standard_blob_tier(StandardBlobTier.HOT)
        return False

    def protect(self, name: str, *, until: datetime) -> None:
        if not self.capabilities.object_lock:
            return super().protect(name, until=until)
        policy = self._properties(name).immutability_policy
        if policy.expiry_time and policy.expiry_time >= until and str(policy.policy_mode).lower() == "locked":
            return None
        with self._errors(f"protecting {name}", name):
            self._blob(name).set_immutability_policy(ImmutabilityPolicy(expiry_time=until, policy_mode="Locked"))
        return None

    def facts(self) -> PlaceFacts:
        excess = self._token.excess_rights if self._token else ACCOUNT_KEY_RIGHTS
        with self._errors("looking at the container"):
            try:
                found = self._container().get_container_properties()
            except HttpResponseError as exc:
                if exc.status_code != 403:
                    raise
                return PlaceFacts(excess_rights=excess)  # a container's token may not look at the container itself
        locked = found.immutable_storage_with_versioning_enabled or found.has_immutability_policy
        return PlaceFacts(
            public=found.public_access is not None,
            locked=bool(locked or found.has_legal_hold),
            lifecycle=self._soft_delete(),
            excess_rights=excess,
        )

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        return least_rights(options)

    def close(self) -> None:
        with self._lock:
            if self._client is not None and self._client_pid == os.getpid():
                self._client.close()
            self._client = None

    def _properties(self, name: str) -> Any:
        with self._errors(f"looking at {name}", name):
            return self._blob(name).get_blob_properties()

    def _listed(self, prefix: str, **arguments: Any) -> Iterator[Any]:
        return self._container().list_blobs(
            name_starts_with=self._prefix + prefix, results_per_page=self.options.list_page, **arguments
        )

    def _received(self, answer: Any) -> bytes:
        """Read an answer's body to its end; the SDK, which would ask again, finds nothing left to read."""
        pace, pieces, position = Pace(self._clock), [], 0
        try:
            for piece in answer.raw.stream(RECEIVE_BYTES, decode_content=False):
                pieces.append(piece)
                position += len(piece)
                pace.check(position)
        except BaseException:
            answer.close()  # a connection with half an answer in it is no good to anybody
            raise
        return b"".join(pieces)

    def _read_back(self, name: str, size_bytes: int) -> str:
        digest, position = hashlib.sha256(), 0
        while position < size_bytes:
            piece = self.get(name, offset=position, length=READ_BACK_BYTES)
            if not piece:
                raise StoreUnavailable(f"{name} became shorter while it was read")
            digest.update(piece)
            position += len(piece)
        return digest.hexdigest()

    def _settled(self, exc: AzureError, blob: BlobClient, content: Content) -> bool:
        """Say whether the upload that failed with `exc` is nevertheless stored: the answer alone was lost."""
        if not answer_may_be_lost(exc):
            return False
        try:
            return content.is_in(blob.get_blob_properties())
        except AzureError:
            return False

    def _soft_delete(self) -> tuple[str, ...]:
        """Return in words for how long the account keeps what was deleted; nothing where we may not ask."""
        try:
            with self._errors("looking at the account"):
                policy = self._service().get_service_properties()["delete_retention_policy"]
        except StoreError:
            return ()
        return (f"deleted objects are kept for {policy.days} days (soft delete)",) if policy.enabled else ()

    def _tier_of(self, name: str) -> StandardBlobTier | None:
        """Return the tier for a new object: of packs; what is needed to find and open them stays in the default."""
        if self.options.tier is Tier.ACCOUNT or not _PACK.fullmatch(name):
            return None
        return StandardBlobTier(self.options.tier)

    def _blob(self, name: str) -> BlobClient:
        return self._container().get_blob_client(self._prefix + check_name(name))

    def _container(self) -> ContainerClient:
        return self._service().get_container_client(self.options.container)

    def _service(self) -> BlobServiceClient:
        """Return this process's client: one made before a fork shares its sockets with the parent."""
        if self._token and self._token.expires and self._token.expires <= self._clock.utcnow():
            raise CredentialExpired(f"the SAS token of this location ended on {self._token.expires:%Y-%m-%d %H:%M} UTC")
        with self._lock:
            if self._client is None or self._client_pid != os.getpid():
                self._client, self._client_pid = self._make_client(), os.getpid()
            return self._client

    def _make_client(self) -> BlobServiceClient:
        options = self.options
        credential: Any = (
            AzureSasCredential(self._token.query)
            if self._token
            else AzureNamedKeyCredential(options.account, options.account_key)
        )
        return BlobServiceClient(
            options.account_url,
            credential=credential,
            transport=RequestsTransport(session=make_session(options), connection_verify=options.ca_file or True),
            permit_redirects=False,
            retry_total=0,
            retry_connect=0,
            retry_read=0,
            retry_status=0,
            connection_timeout=options.connect_seconds,
            read_timeout=options.read_seconds,
            max_single_put_size=options.single_put_bytes,
            max_single_get_size=WHOLE_BYTES,
        )

    @contextlib.contextmanager
    def _errors(self, what: str, name: str | None = None) -> Iterator[None]:
        """Map the SDK's exceptions; without a `name`, what is not found is the container."""
        try:
            yield
        except (AzureError, HTTPError, OSError, ValueError) as exc:
            error = map_error(exc, what, self._clock)
            if isinstance(error, LocationMissing) or (isinstance(error, ObjectNotFound) and name is None):
                advice = error.advice if isinstance(error, LocationMissing) else LocationMissing.advice
                error = LocationMissing(f"{what}: container {self.options.container} does not exist ({error})")
                error.advice = advice
            raise error from exc


def _info(name: str, found: Any, **known: Any) -> ObjectInfo:
    """Return the info in a blob's properties. The recorded SHA-256 is ours, the provider did not compute it."""
    tier = str(getattr(found.blob_tier, "value", found.blob_tier) or "")
    return ObjectInfo(name, found.size, modified=found.last_modified, storage_class=tier, **known)


def _discard_blocks(blob: BlobClient) -> int:
    """Remove the uncommitted blocks of a name that has no blob; return 1 if there were any, else 0."""
    committed, uncommitted = blob.get_block_list("all")
    if committed or not uncommitted:
        return 0
    try:
        etag = blob.upload_blob(b"", overwrite=False)["etag"]
    except ResourceExistsError:
        return 0
    blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
    return 1
