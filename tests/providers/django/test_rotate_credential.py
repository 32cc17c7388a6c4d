"""Promises of `manage.py rotate_credential`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from providers.models import Location
from providers.services.credentials import PRUNER, secrets_of
from tests.providers.django.cloud import Cloud

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("second-canary\n")
    return path


def rotate(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_credential", *arguments, stdout=out, no_color=True)
    assert "second-canary" not in out.getvalue()
    return out.getvalue()


def test_a_new_key_is_proved_and_takes_over(in_cloud: Location, cloud: Cloud, key: Path) -> None:
    cloud.keys["second-canary"] = cloud.keys["first"]
    told = rotate("Sky", "--secret-file", f"key={key}", "--option", "key_id=id-2")
    assert "It read what version 1 had written" in told and "Version 2 of Sky is in use." in told
    assert "its page says when to delete it" in told
    assert secrets_of(in_cloud) == {"key": "second-canary", "key_id": "id-2"}


def test_a_pruner_is_entered_beside_the_writer(in_cloud: Location, cloud: Cloud, key: Path) -> None:
    cloud.keys["second-canary"] = cloud.keys["first"]
    assert "delete it at" not in rotate("Sky", "--secret-file", f"key={key}", "--pruner")
    assert secrets_of(in_cloud, PRUNER)["key"] == "second-canary"
    assert secrets_of(in_cloud)["key"] == "first"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Sky", "--secret-file", "key={key}"], "Version 2 was refused, the old one stays in use. no key"),
        (["Sky", "--secret-file", "key={key}", "--option", "bucket=b"], "bucket: no secret option"),
        (["Sky", "--option", "key=open"], "give key by --secret-file"),
        (["Sky", "--secret-file", "key=/no/such"], "The file /no/such with key cannot be read"),
        (["Ski"], "There is no location 'Ski'. Known: Sky."),
    ],
)
def test_what_cannot_be_done_is_said_in_words_and_the_old_one_stays(
    in_cloud: Location, key: Path, arguments: list[str], words: str
) -> None:
    with pytest.raises(CommandError) as caught:
        rotate(*(argument.format(key=key) for argument in arguments))
    assert words in str(caught.value) and "second-canary" not in str(caught.value)
    assert secrets_of(in_cloud)["key"] == "first"
