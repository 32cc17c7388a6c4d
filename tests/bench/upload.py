"""How fast objects go up through a store with its checks and all wrappers, beside the provider's own plain client.

Any provider can be measured: `measure_uploads` takes its store and a function that uploads without anything of ours.
The SHA-256 of each object is known before, as it is of a pack, whose name it is; every other hash that a profile needs
is computed within the measured time. The plain client is left as it comes, with its own checksums.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import trustme
from botocore.config import Config

from providers.stores.base import Checksum, ObjectStore
from providers.stores.s3 import S3Options, S3Store
from providers.wrappers.breaker import MemoryBreakerState
from providers.wrappers.metered import Measurement
from providers.wrappers.stack import wrap_store
from providers.wrappers.valve import Rules, Valve
from tests.servers.swift import Swift, running_swift

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

MEBIBYTE = 1024 * 1024
ASKED = 0.9

Put = Callable[[str, bytes], object]


@dataclass(frozen=True)
class Load:
    """What goes up: `objects` of `object_bytes` [bytes] each, by `threads` at the same time, `rounds` times."""

    objects: int = 8
    object_bytes: int = 32 * MEBIBYTE
    threads: int = 4
    rounds: int = 5

    @property
    def mebibytes(self) -> float:
        return self.objects * self.object_bytes / MEBIBYTE


@dataclass(frozen=True)
class Uploads:
    """One provider's row: medians [MiB/s], and how much of the plain client's speed is left to us."""

    name: str
    ours: float
    plain: float

    @property
    def ratio(self) -> float:
        return self.ours / self.plain


def measure_uploads(name: str, store: ObjectStore, plain: Put, load: Load, work: Path) -> Uploads:
    """Upload the same objects through `store` in its wrappers and by `plain`, in turns, and return the medians.

    plain: stores content under a name, in the same place as `store`, which removes both after every turn.
    work:  folder for the file that the wrappers of several processes share.
    """
    wrapped = _wrapped(store, work)
    contents = [os.urandom(load.object_bytes) for _ in range(load.objects)]
    hashes = {id(content): hashlib.sha256(content).hexdigest() for content in contents}

    def ours(name: str, content: bytes) -> object:
        return wrapped.put(name, content, sha256=hashes.get(id(content)))

    contestants: dict[str, Put] = {"ours": ours, "plain": plain}
    speeds: dict[str, list[float]] = {contestant: [] for contestant in contestants}
    rng = random.Random(name)
    for put in contestants.values():  # connections, imports and caches are nobody's advantage
        _upload(put, store, ["warm"], [b"up"], 1)
    for turn in range(load.rounds):
        order = rng.sample(list(contestants), len(contestants))
        for contestant in order:
            names = [f"{contestant}/{turn}-{number}" for number in range(load.objects)]
            seconds = _upload(contestants[contestant], store, names, contents, load.threads)
            speeds[contestant].append(load.mebibytes / seconds)
    return Uploads(name, statistics.median(speeds["ours"]), statistics.median(speeds["plain"]))


def s3_uploads(work: Path, load: Load) -> Iterator[Uploads]:
    """Measure S3 with each checksum profile against boto3 as it comes, both into a Swift that speaks TLS."""
    folder = work / "swift-uploads"
    folder.mkdir()
    ca = trustme.CA()
    certificate, ca_file = folder / "server.pem", folder / "ca.pem"
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    ca.cert_pem.write_to_path(str(ca_file))
    with running_swift(folder, certificate=certificate) as swift:
        for checksum in (Checksum.SHA256, Checksum.SHA256_HEADER_ONLY, Checksum.MD5):
            plain = _client(swift, str(ca_file), load.threads)
            plain.create_bucket(Bucket=checksum.replace("_", "-"))
            store = _s3_store(swift, str(ca_file), checksum)
            yield measure_uploads(f"S3, {checksum}", store, _putting(plain, store.options.bucket), load, work)
            store.close()


def _wrapped(store: ObjectStore, work: Path) -> ObjectStore:
    """Return `store` in everything that a location in production has around it, with limits that are never reached."""
    valve = Valve(str(work / "valve"))
    valve.set_rules(Rules(bytes_per_second=10**12, room_bytes=10**12), now=0.0)
    return wrap_store(store, valve=valve, on_call=_note, breaker_state=MemoryBreakerState())


def _note(measurement: Measurement) -> None:
    """Hear of a call, as the application does."""


def _upload(put: Put, store: ObjectStore, names: list[str], contents: list[bytes], threads: int) -> float:
    """Upload by `threads` at the same time; return how long it took [s] and leave nothing behind."""
    os.sync()
    with ThreadPoolExecutor(threads) as pool:
        began = time.monotonic()
        for _ in pool.map(put, names, itertools.cycle(contents)):
            pass
        seconds = time.monotonic() - began
    for name in names:
        store.delete(name)
    return seconds


def _s3_store(swift: Swift, ca_file: str, checksum: Checksum) -> S3Store:
    options = S3Options(
        bucket=checksum.replace("_", "-"),
        access_key=swift.access_key,
        secret_key=swift.secret_key,
        region=swift.region,
        endpoint_url=swift.url,
        ca_file=ca_file,
        checksum=checksum,
    )
    return S3Store(options)


def _client(swift: Swift, ca_file: str, threads: int) -> S3Client:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=swift.url,
        region_name=swift.region,
        aws_access_key_id=swift.access_key,
        aws_secret_access_key=swift.secret_key,
        verify=ca_file,
        config=Config(max_pool_connections=threads, s3={"addressing_style": "path"}),
    )


def _putting(client: S3Client, bucket: str) -> Put:
    return lambda name, content: client.put_object(Bucket=bucket, Key=name, Body=content)
