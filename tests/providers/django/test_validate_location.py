"""Promises of `manage.py validate_location`."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from providers.models import Location
from providers.stores.local import LocalStore
from providers.validation import CLEAN_UP, PROMISES
from wedbackup.core.models import AuditEntry

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("validate_location", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def test_each_promise_is_shown_and_the_location_counts_as_validated(folder: Location) -> None:
    shown = run("Shelf")
    small = [promise.name for promise in PROMISES if not promise.large]
    assert not [name for name in [*small, CLEAN_UP] if name not in shown]
    assert re.search(r"Shelf keeps all promises: \d+ kept, \d+ do not apply here\.", shown)
    folder.refresh_from_db()
    assert folder.validated_at is not None
    assert AuditEntry.objects.get(tag="location.validated").detail == {"location": "Shelf", "all_kept": True}


def test_a_broken_promise_ends_with_an_error_that_counts(folder: Location, broken: Callable[[bool], None]) -> None:
    broken(True)
    with pytest.raises(CommandError, match=r"\d+ of \d+ promises are broken: Shelf must not hold copies yet"):
        run("Shelf")
    folder.refresh_from_db()
    assert folder.validated_at is None


def test_a_place_that_is_no_location_yet_is_tried_by_its_options(tmp_path: Path, db: None) -> None:
    LocalStore.create(str(tmp_path / "new"))
    assert "keeps all" in run("--kind", "local", "--option", f"root={tmp_path / 'new'}")
    assert not Location.objects.exists()


def test_a_secret_is_read_from_its_file_and_shown_nowhere(tmp_path: Path, db: None) -> None:
    """Nothing listens at the address; the secret got as far as the client all the same."""
    file = tmp_path / "secret"
    file.write_text("canary-9c\n")
    out = StringIO()
    options = ["bucket=b", "access_key=k", "endpoint_url=http://127.0.0.1:9", "connect_seconds=0.2"]
    arguments = [part for option in options for part in ("--option", option)]
    with pytest.raises(CommandError, match="promises are broken") as caught:
        call_command("validate_location", "--kind", "s3", *arguments, "--secret-file", f"secret_key={file}", stdout=out)
    assert "BROKEN" in out.getvalue(), "the fault was not hit"
    assert "canary-9c" not in out.getvalue() + str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Say which location"),
        (["Nowhere"], "There is no location 'Nowhere'. Known: Shelf."),
        (["--kind", "local", "--option", "root"], "should be NAME=VALUE"),
        (["--kind", "local"], "missing option: root."),
        (["--kind", "s3", "--option", "secret_key=x"], "give secret_key by --secret-file"),
        (["--kind", "s3", "--secret-file", "secret_key=/nowhere"], "/nowhere with secret_key cannot be read"),
    ],
)
def test_what_cannot_be_understood_is_answered_with_what_to_write(
    folder: Location, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        run(*arguments)
