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
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import AzureError, HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient, ImmutabilityPolicy, StandardBlobTier
from urllib3.exceptions import HTTPError

from providers.stores.azure_errors import answer_may_be_lost, map_error
from providers.stores.azure_options import AzureOptions, Tier
from providers.stores.azure_rights import ACCOUNT_KEY_RIGHTS, least_rights, read_sas_token
from providers.stores.azure_upload import BlockUpload, Content, put_at_once, stored_sha256
from providers.stores.base import Buffer, Capabilities, Checksum, ObjectInfo, PlaceFacts, Proof, StoredHash, Wire
from providers.stores.errors import (
    CredentialExpired,
    LocationMissing,
    ObjectCorrupt,
    ObjectNotFound,
    StoreError,
    StoreUnavailable,
    Unsupported,
)
from providers.stores.networked import NetworkedStore
from providers.stores.per_process import PerProcess
from providers.stores.reading import RECEIVE_BYTES, received, sha256_by_reading
from providers.stores.session import CONNECTIONS, make_session
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

WHOLE_BYTES = 1024**5  # larger than any blob: one request, whatever is asked for
_PACK = re.compile(r"(?:.*/)?data/.+")


class AzureStore(NetworkedStore[AzureOptions, PerProcess[BlobServiceClient]]):
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
        super().__init__(options, clock=clock, folder=options.prefix)
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
        self._token = read_sas_token(options.sas_token) if options.sas_token else None

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        self._checked(name)
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
        content: list[bytes] = []

        def take(answer: Any) -> None:
            if answer.http_response.status_code in (200, 206):
                content.append(self._received(answer.http_response.internal_response))

        with self._errors(f"reading {name}", name):
            try:
                self._blob(name).download_blob(offset=offset, length=length, max_concurrency=1, raw_response_hook=take)
            except HttpResponseError as exc:
                if exc.status_code == 416:  # begins past the end
                    return b""
                raise
        return content[0]

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
        if (recorded or sha256_by_reading(self, name, found.size)) != sha256:
            raise ObjectCorrupt(f"{name} in container {self.options.container} does not have the expected content")
        proof = Proof.SERVER_MD5 if recorded else Proof.READ_BACK
        return _info(name, found, sha256=sha256, proof=proof)

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove what interrupted uploads left behind: blocks of names that have no blob.

        A name is taken back only if nothing was stored under it, and not if that has changed since `before`. What an
        upload that is still under way loses by it, it sends again. Needs the right to delete; without, Azure itself
        drops such blocks a week after the last one came.
        """
        removed = 0
        with self._errors("removing unfinished uploads"):
            for found in self._listed("", include=["uncommittedblobs"]):
                if found.size == 0 and found.last_modified and found.last_modified < before:
                    removed += _discard_blocks(self._container().get_blob_client(found.name), before)
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

    def public_addresses(self, name: str) -> tuple[str, ...]:
        return (f"{self.options.account_url}/{self.options.container}/{quote(self._prefix + name)}",)

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
            versioned=self._keeps_deleted() or self._keeps_versions(),
            locked=bool(locked or found.has_legal_hold),
            excess_rights=excess,
        )

    @classmethod
    def reads_at_once(cls, options: Mapping[str, Any]) -> bool:
        return str(options.get("tier", "")) != Tier.ARCHIVE

    @classmethod
    def policies(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        return least_rights(options)

    def _properties(self, name: str) -> Any:
        with self._errors(f"looking at {name}", name):
            return self._blob(name).get_blob_properties()

    def _listed(self, prefix: str, **arguments: Any) -> Iterator[Any]:
        return self._container().list_blobs(
            name_starts_with=self._prefix + prefix,
            raw_response_hook=_refuse_strange_listing,
            **{"results_per_page": self.options.list_page, **arguments},
        )

    def _received(self, answer: Any) -> bytes:
        """Read an answer's body to its end; the SDK, which would ask again, finds nothing left to read."""
        try:
            return received(answer.raw.stream(RECEIVE_BYTES, decode_content=False), self._clock)
        except BaseException:
            answer.close()  # a connection with half an answer in it is no good to anybody
            raise

    def _settled(self, exc: AzureError, blob: BlobClient, content: Content) -> bool:
        """Say whether the upload that failed with `exc` is nevertheless stored: the answer alone was lost."""
        if not answer_may_be_lost(exc):
            return False
        try:
            return content.is_in(blob.get_blob_properties())
        except AzureError:
            return False

    def _keeps_deleted(self) -> bool:
        """Say whether the account keeps for some days what was deleted or overwritten (soft delete)."""
        with contextlib.suppress(StoreError), self._errors("looking at the account"):
            return bool(self._service().get_service_properties()["delete_retention_policy"].enabled)
        return False

    def _keeps_versions(self) -> bool | None:
        """Say whether some blob here has a version; None if it cannot be told: the setting itself cannot be read."""
        with contextlib.suppress(StoreError), self._errors("looking for versions"):
            some = next(iter(self._listed("", include=["versions"], results_per_page=1)), None)
            return True if some is not None and some.version_id else None
        return None

    def _tier_of(self, name: str) -> StandardBlobTier | None:
        """Return the tier for a new object: of packs; what is needed to find and open them stays in the default."""
        if self.options.tier is Tier.ACCOUNT or not _PACK.fullmatch(name):
            return None
        return StandardBlobTier(self.options.tier)

    def _blob(self, name: str) -> BlobClient:
        return self._container().get_blob_client(self._key(name))

    def _container(self) -> ContainerClient:
        return self._service().get_container_client(self.options.container)

    def _service(self) -> BlobServiceClient:
        """Return this process's client; raise CredentialExpired when our token says that it has ended."""
        if self._token and self._token.expires and self._token.expires <= self._clock.utcnow():
            raise CredentialExpired(f"the SAS token of this location ended on {self._token.expires:%Y-%m-%d %H:%M} UTC")
        return self._line.get()

    def _make_line(self) -> PerProcess[BlobServiceClient]:
        return PerProcess(self._make_client, BlobServiceClient.close)

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
            transport=RequestsTransport(
                session=make_session(options, clock=self._clock),
                connection_verify=options.ca_file or True,  # the SDK's own value would win over the session's
            ),
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
            if isinstance(error, ObjectNotFound) and name is None:
                error = LocationMissing(str(error))
            if isinstance(error, LocationMissing):
                error.args = (f"{error} (container {self.options.container} of account {self.options.account})",)
            raise error from exc


def _info(name: str, found: Any, **known: Any) -> ObjectInfo:
    """Return the info in a blob's properties. The recorded SHA-256 is ours, the provider did not compute it."""
    tier = str(getattr(found.blob_tier, "value", found.blob_tier) or "")
    return ObjectInfo(name, found.size, modified=found.last_modified, storage_class=tier, **known)


def _refuse_strange_listing(answer: Any) -> None:
    """A stranger's page, a proxy's perhaps, is no empty listing; the SDK stumbles over it or reads nothing in it."""
    response = answer.http_response
    if response.status_code == 200 and b"<EnumerationResults" not in response.internal_response.content[:1000]:
        raise StoreUnavailable("the answer is no listing of Azure's: is there a proxy or a login page in between?")


def _discard_blocks(blob: BlobClient, before: datetime) -> int:
    """Remove the uncommitted blocks of a name without a blob; return 1 if there were any, else 0."""
    if blob.exists():
        return 0
    try:
        blob.delete_blob(if_unmodified_since=before)
    except (ResourceNotFoundError, ResourceModifiedError):  # gone, or a blob in the meantime
        return 0
    return 1
