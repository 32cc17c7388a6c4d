"""The line to one bucket: the SDK's client with no retries, no redirects and no checksums but ours, and its errors."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from providers.stores.base import Checksum
from providers.stores.errors import LocationMissing, ObjectNotFound
from providers.stores.per_process import PerProcess
from providers.stores.s3_errors import code_of, map_error, says_nothing, status_of
from providers.stores.s3_options import BucketOptions
from providers.stores.transfer import Body
from wedbackup.core.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONNECTIONS = 16
POOL_CONNECTIONS = 2 * CONNECTIONS  # one call may send several parts at once
_session_lock = threading.Lock()


class S3Line:
    """The way to one bucket, for all threads of a process; every process makes its own connections."""

    def __init__(self, options: BucketOptions, clock: Clock) -> None:
        self._options = options
        self._region = options.dialect().region
        self._clock = clock
        self._clients: PerProcess[S3Client] = PerProcess(lambda: _make_client(options), lambda client: client.close())

    def client(self) -> S3Client:
        """Return this process's client."""
        return self._clients.get()

    @contextlib.contextmanager
    def errors(self, what: str, name: str | None = None) -> Iterator[None]:
        """Map the SDK's exceptions; with `name`, find out whether a 404 means the object or the bucket."""
        try:
            yield
        except (BotoCoreError, ClientError, OSError, ValueError) as exc:
            told = self._told_reason(exc)
            error = map_error(told, what, self._clock, region=self._region)
            missing = isinstance(error, ObjectNotFound) and (name is None or self._bucket_is_missing(told))
            if missing or isinstance(error, LocationMissing):
                error = LocationMissing(f"{what}: the bucket {self._options.bucket} does not exist")
            raise error from exc

    def close(self) -> None:
        """Release this process's connections."""
        self._clients.close()

    def _bucket_is_missing(self, exc: Exception) -> bool:
        """Ask for the bucket after a 404 that does not say what is missing (HEAD has no body)."""
        if isinstance(exc, ClientError) and code_of(exc) == "NoSuchKey":
            return False
        try:
            self.client().head_bucket(Bucket=self._options.bucket)
        except ClientError as bucket_exc:
            return status_of(bucket_exc) == 404
        except BotoCoreError:
            return False
        return False

    def _told_reason(self, exc: Exception) -> Exception:
        """Return the error of a request that is refused for the same reason as HEAD was, but says for which.

        An expired token, another region or a clock that is wrong would look like a missing right otherwise.
        """
        if not says_nothing(exc):
            return exc
        try:
            self.client().list_objects_v2(Bucket=self._options.bucket, Prefix=self._options.prefix, MaxKeys=1)
        except ClientError as told:
            return told if not says_nothing(told) else exc
        except BotoCoreError:
            return exc
        return exc


def _make_client(options: BucketOptions) -> S3Client:
    """Return a client for the bucket's server; nothing is connected yet."""
    from botocore.config import Config

    dialect = options.dialect()
    config = Config(
        signature_version="s3v4",
        retries={"total_max_attempts": 1},
        connect_timeout=options.connect_seconds,
        read_timeout=options.read_seconds,
        max_pool_connections=POOL_CONNECTIONS,
        tcp_keepalive=True,
        # An empty mapping, unlike None, keeps the SDK from taking a proxy out of the environment.
        proxies={"http": options.proxy_url, "https": options.proxy_url} if options.proxy_url else {},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if dialect.path_style else "virtual",
            "payload_signing_enabled": dialect.address.startswith("http://"),
        },
    )
    with _session_lock:  # a session makes one client at a time
        client: S3Client = _session().client(
            "s3",
            endpoint_url=dialect.address or None,
            region_name=dialect.region,
            aws_access_key_id=options.access_key,
            aws_secret_access_key=options.secret_key,
            aws_session_token=dialect.session_token or None,
            verify=options.ca_file or None,
            config=config,
        )
    for handler in (_stay_here, _ask_first_only_with_large_bodies, _check_locked_copy):
        client.meta.events.register_last("before-call.s3", handler)
    if dialect.checksum is not Checksum.SHA256:
        client.meta.events.register_last("before-call.s3", _check_by_md5)
    return client


@functools.cache
def _session() -> Any:
    """Return this process's SDK session, which keeps the parsed description of the S3 API."""
    import boto3  # 0.3 s: only where S3 is really used

    return boto3.session.Session()


def _stay_here(params: dict[str, Any], **_: Any) -> None:
    """Keep the SDK from following a bucket to another region: where copies lie is to be known and not found out."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _ask_first_only_with_large_bodies(params: dict[str, Any], **_: Any) -> None:
    """Let a small body go up at once, without "Expect: 100-continue".

    For a large one the question is worth its round trip: a refusal comes before the body and is heard.
    """
    if not isinstance(params.get("body"), Body):
        params["headers"].pop("Expect", None)


def _check_locked_copy(params: dict[str, Any], **_: Any) -> None:
    """Give a copy that begins locked the checksum that S3 asks of everything locked, here of an empty body."""
    if "x-amz-copy-source" in params["headers"] and "x-amz-object-lock-mode" in params["headers"]:
        params["headers"]["Content-MD5"] = _md5_base64(b"")


def _check_by_md5(params: dict[str, Any], **_: Any) -> None:
    """Put Content-MD5 where the SDK would put the CRC that several servers refuse: calls that have to be checked."""
    if params["context"].get("checksum", {}).pop("request_algorithm", None):
        params["context"]["checksum"].pop("request_algorithm_header", None)
        params["headers"]["Content-MD5"] = _md5_base64(params["body"])


def _md5_base64(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")
