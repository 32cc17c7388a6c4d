"""Promises of providers.services.environment: variables become a location, and never show."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from providers import registry
from providers.models import Credential, Location
from providers.services.credentials import secrets_of
from providers.services.environment import environment_apply, environment_read
from providers.services.locations import store_of
from providers.services.rotation import rotation_begin, rotations_continue
from providers.stores.options import is_required
from tests.providers.django.cloud import Cloud
from tests.servers.gcs import GCS
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cloud", "key_file")]

VARIABLES = {"CLOUD_BACKUP_BUCKET": "weddings", "CLOUD_KEY_ID": "id-1", "CLOUD_KEY": "first", "HOME": "/root"}
NAME = "Cloud (from the environment)"


def applied(environ: dict[str, str], clock: ManualClock) -> tuple[bool, str]:
    """Start with these variables; return what came of the one kind that they mean."""
    (outcome,) = environment_apply(environ, clock=clock)
    assert not [value for name, value in environ.items() if "KEY" in name and value in outcome.text], "a secret shows"
    return outcome.ok, outcome.text


def test_variables_become_a_location_that_opens(clock: ManualClock) -> None:
    ok, text = applied(VARIABLES, clock)
    assert ok and text.startswith(f"{NAME} was made.")
    location = Location.objects.get()
    assert (location.name, location.options["bucket"]) == (NAME, "weddings")
    store_of(location).put("a", b"1")
    assert location.credentials.get().entered_by == "environment"
    assert AuditEntry.objects.filter(tag="location.created", actor="environment").exists()


def test_the_same_variables_at_the_next_start_change_nothing(clock: ManualClock) -> None:
    applied(VARIABLES, clock)
    Location.objects.update(name="Renamed by Alice")
    assert applied(VARIABLES, clock) == (True, "Renamed by Alice is as the environment says.")
    assert (Location.objects.count(), Credential.objects.count()) == (1, 1)


def test_another_secret_at_the_next_start_is_a_rotation_like_any_other(cloud: Cloud, clock: ManualClock) -> None:
    applied(VARIABLES, clock)
    cloud.keys["second"] = cloud.keys["first"]
    ok, text = applied(VARIABLES | {"CLOUD_KEY": "second", "CLOUD_KEY_ID": "id-2"}, clock)
    assert ok and "version 2 was entered from the environment and is being proved" in text
    assert secrets_of(Location.objects.get())["key"] == "first", "not before it is proved"
    assert rotations_continue(clock=clock) == 1
    assert secrets_of(Location.objects.get()) == {"key": "second", "key_id": "id-2"}
    tags = [*AuditEntry.objects.filter(tag__startswith="credential").order_by("id").values_list("tag", "actor")]
    assert ("credential.entered", "environment") in tags and ("credential.switched", "rotation") in tags


def test_what_an_admin_entered_later_is_not_taken_back_by_the_old_variables(cloud: Cloud, clock: ManualClock) -> None:
    applied(VARIABLES, clock)
    location = Location.objects.get()
    cloud.keys["admins"] = cloud.keys["first"]
    rotation_begin(location, {"key": "admins"}, actor="alice", clock=clock)
    rotations_continue(clock=clock)
    assert applied(VARIABLES, clock)[0]
    assert not location.credentials.filter(state="entered").exists()
    assert secrets_of(location)["key"] == "admins"


def test_a_refused_secret_is_tried_again_at_the_next_start(cloud: Cloud, clock: ManualClock) -> None:
    """Perhaps the provider was down; perhaps the key was only made a moment later."""
    applied(VARIABLES, clock)
    applied(VARIABLES | {"CLOUD_KEY": "second"}, clock)
    rotations_continue(clock=clock)
    assert Credential.objects.get(version=2).state == "refused"
    cloud.keys["second"] = cloud.keys["first"]
    applied(VARIABLES | {"CLOUD_KEY": "second"}, clock)
    rotations_continue(clock=clock)
    assert Credential.objects.get(version=3).state == "current"


def test_a_secret_may_be_in_a_file(tmp_path: Path, clock: ManualClock) -> None:
    """As NAME_FILE, and as a variable whose own name ends in _FILE."""
    key, extra = tmp_path / "key", tmp_path / "extra"
    key.write_text("first\n")
    extra.write_text('{"json": "content"}')
    environ = {"CLOUD_BACKUP_BUCKET": "weddings", "CLOUD_KEY_FILE": str(key), "CLOUD_EXTRA_FILE": str(extra)}
    assert applied(environ, clock)[0]
    assert secrets_of(Location.objects.get()) == {"key": "first", "extra_key": '{"json": "content"}'}


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"CLOUD_KEY": "first"}, "CLOUD_KEY came from the environment, but not CLOUD_BACKUP_BUCKET. Set it as well."),
        (
            {"CLOUD_KEY": "first", "CLOUD_BACKUP_BUKET": "b"},
            "but not CLOUD_BACKUP_BUCKET. Is CLOUD_BACKUP_BUKET meant to be it? Set it as well.",
        ),
        (
            {**VARIABLES, "CLOUD_KEY_FILE": "/x"},
            "Cloud: CLOUD_KEY and CLOUD_KEY_FILE are both set: remove one of them. Correct it and start again.",
        ),
        (
            {"CLOUD_BACKUP_BUCKET": "b", "CLOUD_KEY_FILE": "/no/such/file"},
            "CLOUD_KEY_FILE: its file cannot be read (No such file or directory)",
        ),
        ({"CLOUD_BACKUP_BUCKET": "b", "CLOUD_KEY_FILE": "/dev/null"}, "CLOUD_KEY_FILE: its file is empty"),
        ({"CLOUD_BACKUP_BUCKET": "b", "CLOUD_KEY_FILE": "/dev/zero"}, "CLOUD_KEY_FILE: its file is too large"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_nothing_is_made(
    environ: dict[str, str], words: str, clock: ManualClock
) -> None:
    ok, text = applied(environ, clock)
    assert not ok and words in text
    assert not Location.objects.exists()


def test_another_bucket_in_the_environment_moves_nothing(clock: ManualClock) -> None:
    applied(VARIABLES, clock)
    ok, text = applied(VARIABLES | {"CLOUD_BACKUP_BUCKET": "other"}, clock)
    assert not ok and "was made with another CLOUD_BACKUP_BUCKET, and nothing was changed" in text
    assert Location.objects.get().options["bucket"] == "weddings"


@pytest.mark.parametrize("environ", [{}, {"CLOUD_KEY_ID": "id"}, {"AWS_REGION": "eu-west-2"}, {"CLOUD_KEY": " "}])
def test_variables_that_a_machine_has_anyway_mean_nothing(environ: dict[str, str]) -> None:
    assert environment_read(environ) == []


def test_the_variables_that_people_know_are_known_here(tmp_path: Path) -> None:
    key = tmp_path / "gcp.json"
    key.write_text(GCS(port=9, storage=None).key_json())
    environ = {
        "SUPABASE_URL": "https://abc.supabase.co",
        "SUPABASE_SERVICE_ROLE_KEY": "service-key",
        "SUPABASE_BACKUP_BUCKET": "weddings",
        "AWS_REGION": "eu-west-2",
        "AWS_ACCESS_KEY_ID": "AKIA1",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_BACKUP_BUCKET": "weddings",
        "GCP_PROJECT_ID": "studio",
        "GCP_KEY_FILE": str(key),
        "GCP_BACKUP_BUCKET": "weddings",
    }
    readings = {reading.kind.name: reading for reading in environment_read(environ)}
    assert set(readings) == {"s3", "gcs", "supabase"}
    assert not [reading for reading in readings.values() if reading.missing or reading.problems]
    assert sorted(name for reading in readings.values() for name in reading.given) == sorted(environ)
    assert readings["gcs"].values["key_json"] == key.read_text()
    assert "PRIVATE KEY" not in repr(readings)


def test_every_kind_behind_a_network_can_be_given_by_variables() -> None:
    """What a kind needs has a variable of its family, and no two kinds use one for different things."""
    meanings: dict[str, set[str]] = {}
    for kind in registry.KINDS.values():
        if kind.store_class().wire is None:
            continue
        for item in dataclasses.fields(registry.options_class(kind.name)):
            variable = item.metadata.get("env", "")
            assert variable.startswith(f"{kind.family}_") or not is_required(item), (kind.name, item.name)
            meanings.setdefault(variable, set()).add(item.name)
    del meanings[""]
    assert not {variable: names for variable, names in meanings.items() if len(names) > 1}
