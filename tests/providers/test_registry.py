"""Kinds of location: found by name, built from plain options, imported at first use."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tests.providers.stores
from providers.registry import KINDS, open_store, options_class
from providers.stores.base import Checksum
from providers.stores.local import LocalStore
from providers.stores.options import InvalidOptions, build_options, secret_names
from providers.stores.s3 import S3Options, S3Store
from tests.providers.store_contract import StoreContract

CREDENTIAL = {"bucket": "b", "access_key": "id", "secret_key": "hush-hush"}


def test_a_store_is_opened_by_kind_and_plain_options(tmp_path: Path) -> None:
    LocalStore.create(str(tmp_path))
    store = open_store("local", {"root": str(tmp_path)})
    store.put("a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert isinstance(open_store("s3", CREDENTIAL), S3Store)


def test_what_a_form_or_json_gives_becomes_the_right_type() -> None:
    options = build_options(
        S3Options, {**CREDENTIAL, "checksum": "md5", "path_style": "off", "read_seconds": "2.5", "list_page": "7"}
    )
    assert options.checksum is Checksum.MD5
    assert (options.path_style, options.read_seconds, options.list_page) == (False, 2.5, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bukket": "x"}, "unknown option: bukket"),
        ({"bucket": ""}, "missing option: bucket"),
        ({"checksum": "crc7"}, "option checksum must be a valid Checksum"),
        ({"list_page": "many"}, "option list_page must be a valid int"),
        ({"path_style": "perhaps"}, "option path_style must be a valid bool"),
        ({"secret_key": ["hush-hush"]}, "option secret_key must be a valid str"),
    ],
)
def test_a_bad_option_is_named_and_no_value_repeated(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptions, match=message) as caught:
        open_store("s3", {**CREDENTIAL, **changes})
    assert "hush-hush" not in str(caught.value)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="known are local, "):
        open_store("floppy", {})


def test_secrets_are_marked_once_and_stay_out_of_reprs() -> None:
    assert secret_names(S3Options) == {"secret_key", "session_token"}
    assert "hush-hush" not in repr(build_options(S3Options, CREDENTIAL))


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_has_a_label_and_a_plain_type(kind: str) -> None:
    for field in dataclasses.fields(options_class(kind)):
        assert field.metadata["label"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_contract_test(kind: str) -> None:
    modules = [module.name for module in pkgutil.iter_modules(tests.providers.stores.__path__)]
    assert f"test_{kind}" in modules
    module = importlib.import_module(f"tests.providers.stores.test_{kind}")
    assert any(isinstance(item, type) and issubclass(item, StoreContract) for item in vars(module).values())


def test_one_missing_sdk_hurts_one_kind_only() -> None:
    script = (
        "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "from providers.registry import open_store\n"
        "open_store('local', {'root': '/tmp'})\n"
        "try: open_store('s3', {})\n"
        "except ImportError: print('only s3')\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "only s3\n"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("s3", {"access_key": "a", "secret_key": "s"}),
        ("r2", {"access_key": "a", "secret_key": "s", "account_id": "0" * 32}),
        ("b2", {"access_key": "a", "secret_key": "s", "region": "eu-central-003"}),
        ("wasabi", {"access_key": "a", "secret_key": "s", "region": "eu-central-1"}),
        ("gcs", {"key_json": "{}"}),
        ("azure", {"account": "studio", "account_key": "YQ==", "container": "a bucket/with a path"}),
        ("supabase", {"url": "https://abc.supabase.co", "service_key": "key"}),
        ("supabase_s3", {"url": "https://abc.supabase.co", "access_key": "a", "secret_key": "s", "region": "eu"}),
    ],
)
def test_a_name_that_no_bucket_can_have_is_refused_at_once(kind: str, options: dict[str, str]) -> None:
    place = {} if "container" in options else {"bucket": "a bucket/with a path"}
    with pytest.raises(InvalidOptions, match=r"option (bucket|container)"):
        open_store(kind, {**options, **place})
