"""`setup`, `demo` and `recovery_kit`: the first minutes with a new installation."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.core.management.base import CommandError

from backups.models import Job, Policy, Vault, Wedding
from backups.services.vaults import vault_secret
from providers.models import Location
from tests.backups.ground import Ground, contents
from wedbackup.core.audit import AuditTag
from wedbackup.core.models import AuditEntry, User


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def installed(settings: Any, home: Path, transactional_db: None) -> str:
    """What `setup --admin` printed."""
    settings.SECRET_KEY_FILE = home / "keys" / "django-secret"
    return run("setup", "--admin")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_setup_makes_keys_for_the_owner_only_three_places_and_policies(installed: str, settings: Any) -> None:
    assert mode(settings.KEY_FILE) == mode(settings.SECRET_KEY_FILE) == 0o600
    assert Location.objects.count() == 3
    assert {location.medium for location in Location.objects.all()} != {""}
    assert Policy.objects.filter(name="Embedded").exists()
    assert "Sign in as admin" in installed


def test_the_first_admin_can_sign_in_with_the_printed_password(installed: str, home: Path) -> None:
    name, password = (home / "first-login.txt").read_text().split()
    assert mode(home / "first-login.txt") == 0o600
    assert password in installed
    user = authenticate(username=name, password=password)
    assert isinstance(user, User)
    assert user.is_admin


def test_a_second_setup_changes_nothing(installed: str, settings: Any) -> None:
    before = settings.KEY_FILE.read_bytes()
    assert run("setup", "--admin") == ""
    assert settings.KEY_FILE.read_bytes() == before
    assert Location.objects.count() == 3
    assert User.objects.count() == 1


def test_a_place_that_cannot_be_made_is_explained(settings: Any, home: Path, transactional_db: None) -> None:
    settings.SECRET_KEY_FILE = home / "keys" / "django-secret"
    (home / "locations").mkdir()
    (home / "locations" / "two").write_text("a file stands in the way")
    with pytest.raises(CommandError, match="could not be made"):
        run("setup")


def test_the_demo_is_a_wedding_next_saturday_with_three_vaults_and_a_person_per_role(
    installed: str, home: Path
) -> None:
    printed = run("demo", "--small")

    wedding = Wedding.unscoped.get()
    assert wedding.date.weekday() == 5
    assert wedding.time_zone == "Europe/London"
    assert set(Vault.unscoped.values_list("protection_class", flat=True)) == {"media", "documents", "guests"}
    assert Job.unscoped.count() == 3
    logins = dict(line.split() for line in (home / "demo-logins.txt").read_text().splitlines())
    assert mode(home / "demo-logins.txt") == 0o600
    for name, password in logins.items():
        user = authenticate(username=name, password=password)
        assert isinstance(user, User)
        assert user.role == name
        assert password in printed
    assert "there already" in run("demo")


def test_the_demo_needs_setup_first(transactional_db: None) -> None:
    with pytest.raises(CommandError, match=r"manage.py setup"):
        run("demo", "--small")


@pytest.mark.stock
def test_the_recovery_kit_alone_brings_everything_back(ground: Ground, tmp_path: Path) -> None:
    vault = ground.vault()
    ground.back_up(vault)
    kit = run("recovery_kit", "Ada")
    place = kit.split("From Folder 2:")[1].split("From ")[0]
    commands = [line.strip() for line in place.splitlines() if line.startswith("  ")]
    assert len(commands) == 5
    shutil.rmtree(ground.root / "home" / "keys")  # nothing of ours is needed

    done = subprocess.run(
        ["bash", "-ec", "\n".join(commands)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "recovered" / str(ground.source()).lstrip("/")) == contents(ground.source())


def test_the_kit_is_a_secret_and_its_showing_is_audited(ground: Ground, tmp_path: Path) -> None:
    vault = ground.vault()
    secret = vault_secret(vault).decode()
    page = tmp_path / "kit.html"

    assert "SECRET" in run("recovery_kit", str(vault.pk))
    printed = run("recovery_kit", str(vault.pk), "--html", "--output", str(page))

    assert secret not in printed
    assert secret in page.read_text()
    assert mode(page) == 0o600
    assert AuditEntry.objects.filter(tag=AuditTag.RECOVERY_KIT_SHOWN).count() == 2
    assert not any(secret in str(entry.detail) for entry in AuditEntry.objects.all())
    with pytest.raises(CommandError, match="there already"):
        run("recovery_kit", str(vault.pk), "--output", str(page))


def test_without_the_key_file_there_is_no_kit_and_it_says_why(ground: Ground, settings: Any) -> None:
    vault = ground.vault()
    settings.KEY_FILE.unlink()
    with pytest.raises(CommandError, match="Put it back from your safe copy"):
        run("recovery_kit", str(vault.pk))
