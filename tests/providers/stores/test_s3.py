"""S3 against a real server (Swift): the promises, and what goes over the line."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable

import pytest

from providers.stores.base import Checksum, Proof
from providers.stores.errors import StoreUnavailable
from providers.stores.options import InvalidOptions
from providers.stores.s3 import S3Store
from providers.stores.s3_options import MEBIBYTE
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from tests.providers.store_contract import StoreContract
from tests.servers.s3 import SMALL_PARTS

pytestmark = pytest.mark.services

PACK = os.urandom(2 * MEBIBYTE)
PACK_SHA256 = hashlib.sha256(PACK).hexdigest()


class TestPromises(StoreContract):
    @pytest.fixture
    def store(self, open_s3: Callable[..., S3Store]) -> S3Store:
        return open_s3(single_put_bytes=8 * MEBIBYTE, part_bytes=5 * MEBIBYTE, list_page=3)


class TestPromisesOverTlsBelowAPrefix(StoreContract):
    @pytest.fixture
    def store(self, open_s3: Callable[..., S3Store], swift_tls: tuple[FaultProxy, str]) -> S3Store:
        proxy, ca_file = swift_tls
        return open_s3(prefix="weddings/2026", endpoint_url=proxy.url, ca_file=ca_file, **SMALL_PARTS)


# --- what goes over the line


def head_of(proxy: FaultProxy, method: str) -> str:
    return next(head for head in proxy.heads if head.startswith(method.encode())).decode("latin-1").lower()


@pytest.mark.parametrize(
    ("profile", "sent", "not_sent", "proof"),
    [
        (Checksum.SHA256, ["x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm"], "md5", Proof.SERVER_SHA256),
        (Checksum.SHA256_HEADER_ONLY, ["x-amz-checksum-sha256"], "algorithm", Proof.SERVER_SHA256),
        (Checksum.MD5, ["content-md5"], "x-amz-checksum", Proof.SERVER_MD5),
    ],
)
def test_each_checksum_profile_sends_its_headers_and_no_trailer(
    open_s3: Callable[..., S3Store],
    swift_tls: tuple[FaultProxy, str],
    profile: Checksum,
    sent: list[str],
    not_sent: str,
    proof: Proof,
) -> None:
    proxy, ca_file = swift_tls
    store = open_s3(checksum=profile, endpoint_url=proxy.url, ca_file=ca_file)
    assert store.put("pack", PACK, sha256=PACK_SHA256).proof is proof
    head = head_of(proxy, "PUT")
    assert all(header in head for header in sent)
    assert not_sent not in head.split("authorization")[0]
    assert "x-amz-trailer" not in head
    assert "x-amz-content-sha256: unsigned-payload" in head  # TLS signs the line: no second hashing
    if profile is not Checksum.MD5:
        assert base64.b64encode(bytes.fromhex(PACK_SHA256)).decode().lower() in head


def test_a_certificate_of_nobody_is_refused(open_s3: Callable[..., S3Store], swift_tls: tuple[FaultProxy, str]) -> None:
    proxy, _ = swift_tls
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate") as caught:
        open_s3(endpoint_url=proxy.url).put("pack", PACK)
    assert "CA file" in caught.value.advice


def test_temporary_credentials_send_their_token(open_s3: Callable[..., S3Store], swift_proxy: FaultProxy) -> None:
    """Swift knows no such token and refuses: only what is asked can be seen."""
    swift_proxy.fault = Fault(match=b"PUT /", reply=Reply("200 OK", {"ETag": '"x"'}))
    store = open_s3(endpoint_url=swift_proxy.url, session_token="for an hour")
    store.put("pack", b"x")
    assert b"x-amz-security-token: for an hour" in swift_proxy.heads[0].lower()
    assert swift_proxy.fault.hits == 1
    assert "for an hour" not in repr(store.options) + repr(store.dialect)


# --- what is entered


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint_url": "s3.example.org"},
        {"endpoint_url": "https://s3.example.org/weddings"},
        {"bucket": "weddings/2026"},
        {"region": "eu-central-1.evil.example/"},
        {"checksum": Checksum.READ_BACK},
        {"part_bytes": 1000},
        {"single_put_bytes": 6 * 1024**3},
        {"parts_at_once": 0},
        {"kms_key_id": "arn:aws:kms:key"},
        {"lock_days": -1},
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused(open_s3: Callable[..., S3Store], changes: dict[str, object]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(changes))):
        open_s3(**changes)


def statements(policy: str) -> dict[str, tuple[list[str], list[str]]]:
    return {part["Sid"]: (part["Action"], part["Resource"]) for part in json.loads(policy)["Statement"]}


def test_the_writer_may_delete_only_what_probes_and_validations_left() -> None:
    policies = S3Store.policies({"bucket": "weddings", "prefix": "2026/"})
    ours = "arn:aws:s3:::weddings/2026/"
    writer, pruner = statements(policies["writer"]), statements(policies["pruner"])
    own = [f"{ours}wedbackup-validation/*", f"{ours}wedbackup-probe/*"]
    assert writer.pop("Delete") == (["s3:DeleteObject"], own)
    assert pruner.pop("Delete") == (["s3:DeleteObject"], [f"{ours}*"])
    assert writer == pruner
    assert "s3:PutObjectRetention" not in policies["writer"]


def test_rights_follow_the_options_of_the_location() -> None:
    options = {"bucket": "weddings", "lock_days": "30", "encryption": "aws:kms", "kms_key_id": "arn:aws:kms:eu:1:key/2"}
    writer = statements(S3Store.policies(options)["writer"])
    assert "s3:PutObjectRetention" in writer["ReadAndWrite"][0]
    assert writer["UseTheKey"] == (["kms:GenerateDataKey", "kms:Decrypt"], ["arn:aws:kms:eu:1:key/2"])


# --- processes


def test_a_process_that_inherits_a_client_makes_its_own(
    open_s3: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_s3()
    inherited = store._line.client()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert store._line.client() is not inherited
