"""Vaults are made with secrets of their own, and every act of a person is on record."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError

from backups.models import Copy, Source, Vault
from backups.services.vaults import VaultSealed, source_add, vault_config, vault_create, vault_master, vault_secret
from tests.backups.ground import Ground
from wedbackup.core.audit import AuditTag, verify_chain
from wedbackup.core.models import AuditEntry


def test_each_vault_has_its_own_secret_and_key_and_none_lies_open_in_the_database(ground: Ground) -> None:
    first, second = ground.vault("media"), ground.vault("guests")
    assert len(vault_secret(first)) == 64
    assert vault_secret(first) != vault_secret(second)
    assert vault_master(first).encrypt != vault_master(second).encrypt
    assert vault_config(first, vault_master(first)) != vault_config(second, vault_master(second))
    stored = str(Vault.unscoped.values())
    assert vault_secret(first).decode() not in stored


def test_a_secret_moved_to_another_vault_does_not_open(ground: Ground) -> None:
    first, second = ground.vault("media"), ground.vault("guests")
    second.sealed_secret = first.sealed_secret
    with pytest.raises(VaultSealed):
        vault_secret(second)


def test_as_many_copies_are_required_as_the_policy_needs(ground: Ground) -> None:
    ground.policy.copies_needed = 2
    vault = ground.vault()
    assert list(Copy.unscoped.filter(vault=vault).values_list("required", flat=True)) == [True, True, False]


def test_a_vault_without_a_place_is_refused(ground: Ground) -> None:
    with pytest.raises(ValidationError, match="at least one location"):
        vault_create(
            organisation=ground.studio,
            wedding=ground.wedding,
            protection_class="media",
            policy=ground.policy,
            locations=[],
        )


def test_a_second_vault_of_one_class_is_refused(ground: Ground) -> None:
    ground.vault()
    with pytest.raises(ValidationError):
        ground.vault()


@pytest.mark.parametrize(("path", "said"), [("photos", "absolute"), ("/no/such/folder", "not a folder")])
def test_a_source_that_is_no_folder_is_refused(ground: Ground, path: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        source_add(ground.vault(), path)


@pytest.mark.parametrize("kind", ["location", "cache", "itself"])
def test_a_source_that_contains_what_backups_write_is_refused(ground: Ground, tmp_path: Path, kind: str) -> None:
    """duplicati #61: a source with a location in it stored the last backup again at each run."""
    root = str(ground.locations[0].options["root"])
    vault = ground.vault()
    folder = {"location": os.path.dirname(root), "cache": os.path.dirname(settings.CACHE_DIR), "itself": root}[kind]
    os.makedirs(folder, exist_ok=True)
    (tmp_path / "link").symlink_to(folder)
    for path in (folder, str(tmp_path / "link")):
        with pytest.raises(ValidationError, match="one by one"):
            source_add(vault, path)


def test_a_source_is_added_once(ground: Ground, tmp_path: Path) -> None:
    vault = ground.vault()
    (tmp_path / "cards").mkdir()
    source_add(vault, str(tmp_path / "cards"))
    source_add(vault, f"{tmp_path}/cards/")
    assert Source.unscoped.filter(vault=vault, path=str(tmp_path / "cards")).count() == 1


def test_what_a_person_makes_is_on_record(ground: Ground, tmp_path: Path) -> None:
    vault = ground.vault()
    (tmp_path / "cards").mkdir()
    source_add(vault, str(tmp_path / "cards"), actor="alice")
    made = set(AuditEntry.objects.values_list("tag", "actor"))
    assert {(AuditTag.WEDDING_CREATED, "system"), (AuditTag.VAULT_CREATED, "system")} <= made
    assert (AuditTag.SOURCE_ADDED, "alice") in made
    assert verify_chain() is None
