"""The row that goes over a network protocol: 2 GB into an S3 bucket behind TLS, against restic."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from tests.bench.datasets import Dataset
from tests.bench.measure import Measurement
from tests.bench.ours import Wedbackup
from tests.bench.peers import PASSWORD, Restic
from tests.bench.rows import Plan, Row, interleave
from tests.servers.swift import Swift, running_swift
from tests.servers.tls import tls_front

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def into_s3(plan: Plan, name: str, asked: float, dataset: Dataset) -> Row:
    """A first backup into Swift's S3 interface through TLS; every copy is then read back by stock restic."""
    folder = plan.work / "swift"
    folder.mkdir()
    with running_swift(folder) as swift, tls_front(swift.port, folder) as (proxy, ca_file):
        row = _row(plan, Row(name, asked), dataset, swift, proxy.url, ca_file)
    shutil.rmtree(folder)
    return row


def _row(plan: Plan, row: Row, dataset: Dataset, swift: Swift, url: str, ca_file: str) -> Row:
    keys = {"AWS_ACCESS_KEY_ID": swift.access_key, "AWS_SECRET_ACCESS_KEY": swift.secret_key}
    trust = {"AWS_CA_BUNDLE": ca_file, **keys, "AWS_DEFAULT_REGION": swift.region}
    restic, ours = Restic(plan.work, trust), Wedbackup(plan.work, trust)

    def stock() -> Measurement:
        bucket = _fresh_bucket(swift)
        repository = f"s3:{url}/{bucket}"
        _upload(swift, bucket, Path(restic.init("restic-s3-seed")))
        taken = restic.backup(repository, dataset.path)
        restic.check(repository, PASSWORD)
        _remove(swift, bucket)
        return taken

    def product(*, engine: bool) -> Measurement:
        bucket = _fresh_bucket(swift)
        location = {
            "kind": "s3",
            "account": "swift",
            "options": {
                "endpoint_url": url,
                "bucket": bucket,
                "region": swift.region,
                "access_key": swift.access_key,
            },
            "secrets": {"secret_key": swift.secret_key},
        }
        installed = ours.install(dataset.path, [location])
        taken = (ours.engine_backup if engine else ours.backup)(installed)
        restic.check(installed.copies[0].repository, installed.secret)
        _remove(swift, bucket)
        return taken

    contestants = {
        "wedbackup": lambda: product(engine=False),
        "engine alone": lambda: product(engine=True),
        "restic": stock,
    }
    return interleave(row, plan, contestants)


def _client(swift: Swift) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=swift.url,
        region_name=swift.region,
        aws_access_key_id=swift.access_key,
        aws_secret_access_key=swift.secret_key,
    )


def _fresh_bucket(swift: Swift) -> str:
    bucket = f"bench-{uuid.uuid4().hex[:12]}"
    _client(swift).create_bucket(Bucket=bucket)
    return bucket


def _upload(swift: Swift, bucket: str, empty_repository: Path) -> None:
    """Put an empty repository with our scrypt cost into the bucket, so that no side pays for a slower key."""
    client = _client(swift)
    for path in empty_repository.rglob("*"):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=str(path.relative_to(empty_repository)), Body=path.read_bytes())


def _remove(swift: Swift, bucket: str) -> None:
    client = _client(swift)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
    client.delete_bucket(Bucket=bucket)
