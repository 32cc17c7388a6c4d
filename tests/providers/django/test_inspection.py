"""Promises of providers.services.inspection and `check_locations`: what is wrong is said, with what to do."""

from __future__ import annotations

import logging
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from providers.models import Credential, Location
from providers.services.inspection import location_inspect, locations_inspect
from providers.stores.base import PlaceFacts
from providers.stores.errors import CredentialExpired
from tests.providers.django.cloud import Cloud
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db


def test_a_location_that_is_fit_says_so_and_its_first_credential_counts_as_proved(
    in_cloud: Location, clock: ManualClock
) -> None:
    found = location_inspect(in_cloud, clock=clock)
    assert found.problems == []
    assert "took, gave back and deleted a small object" in " ".join(found.good)
    assert "version 1) is entered today, to be replaced within 90 days." in found.good[-1]
    assert "Validate it" in found.hints[0]
    assert in_cloud.credentials.get().proved_at == clock.utcnow()
    in_cloud.refresh_from_db()
    assert in_cloud.last_answer_at == clock.utcnow()


def test_a_dead_credential_is_named_and_kept_on_the_row(in_cloud: Location, cloud: Cloud, clock: ManualClock) -> None:
    cloud.trouble["first"] = CredentialExpired("the token ended yesterday")
    found = location_inspect(in_cloud, clock=clock)
    assert found.problems == [f"the token ended yesterday. {CredentialExpired.advice}"]
    in_cloud.refresh_from_db()
    assert in_cloud.last_error == found.problems[0]
    assert in_cloud.credentials.get().proved_at is None


def test_a_public_place_and_a_mighty_credential_are_named(in_cloud: Location, cloud: Cloud, clock: ManualClock) -> None:
    cloud.facts = PlaceFacts(public=True, excess_rights=("delete the bucket",))
    found = location_inspect(in_cloud, clock=clock)
    assert found.problems == ["Anybody may read this place. Make it private at the provider."]
    assert "delete the bucket. Narrow its rights." in found.hints[0]


def test_without_the_key_file_the_report_says_what_to_put_back(
    in_cloud: Location, key_file: Path, clock: ManualClock
) -> None:
    key_file.unlink()
    (problem,) = location_inspect(in_cloud, clock=clock).problems
    assert "is missing" in problem and "Put the key file back" in problem


@pytest.mark.parametrize(
    ("days", "hints", "problems"), [(79, 1, 0), (80, 2, 0), (90, 1, 1)], ids=["young", "soon", "old"]
)
def test_the_age_of_a_credential_is_a_hint_first_and_a_problem_later(
    in_cloud: Location, clock: ManualClock, days: int, hints: int, problems: int
) -> None:
    Credential.objects.update(created_at=clock.utcnow() - timedelta(days=days))
    found = location_inspect(in_cloud, clock=clock)
    assert (len(found.hints), len(found.problems)) == (hints, problems)
    assert f"{days} days old" in " ".join(found.good + found.hints + found.problems)


def test_after_a_start_each_problem_is_one_line_of_the_log(
    in_cloud: Location,
    cloud: Cloud,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLOUD_KEY", "hush-hush")
    cloud.trouble["first"] = CredentialExpired("the token ended yesterday")
    caplog.set_level(logging.WARNING)
    locations_inspect(clock=clock)
    lines = [record.getMessage() for record in caplog.records if record.name == "providers.services.inspection"]
    assert lines[0].startswith("Cloud: CLOUD_KEY came from the environment, but not CLOUD_BACKUP_BUCKET.")
    assert lines[1].startswith("Sky: the token ended yesterday. Renew the token")
    assert len(lines) == 2 and "hush-hush" not in caplog.text


def test_the_command_reports_every_location_and_ends_with_an_error_if_one_needs_attention(
    in_cloud: Location, folder: Location, cloud: Cloud, clock: ManualClock
) -> None:
    Location.objects.filter(pk=folder.pk).update(enabled=False)
    Credential.objects.update(created_at=clock.utcnow() + timedelta(days=3650))
    out = StringIO()
    call_command("check_locations", stdout=out, no_color=True)
    assert "Shelf (local, " in out.getvalue() and "ok  It is switched off" in out.getvalue()
    assert "--  It was not validated yet" in out.getvalue() and "fit for work" in out.getvalue()
    cloud.trouble["first"] = CredentialExpired("the token ended yesterday")
    Location.objects.update(last_probe_at=None)
    out = StringIO()
    with pytest.raises(CommandError, match="1 thing needs your attention"):
        call_command("check_locations", stdout=out, no_color=True)
    assert "!!  the token ended yesterday. Renew the token at the provider" in out.getvalue()
