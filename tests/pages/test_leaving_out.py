"""What is left out of a folder is shown before it is saved, refused when it cannot be understood, and kept apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from backups.models import Source
from tests.pages.conftest import House
from wedbackup.core.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "previews"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "notes.txt"):
        (folder / name).write_bytes(b"x")
    return folder


def seen_in(page: str) -> str:
    return page.split('name="seen" value="')[1].split('"')[0]


def test_a_pattern_is_shown_at_work_before_it_is_saved(house: House, alice: Client, folder: Path) -> None:
    address, typed = f"/vaults/{house.vault.pk}/sources/new/", {"path": str(folder), "excludes": "*.jpg\n*.tmp"}

    page = alice.post(address, typed).content.decode()

    assert "Most of this folder would not be backed up: 3 of 4 files." in page
    assert "a.jpg" in page and "leaves out nothing" in page and "Nothing is saved yet." in page
    assert not Source.unscoped.filter(path=str(folder)).exists()
    other = alice.post(address, {**typed, "excludes": "*.txt", "seen": seen_in(page)})
    assert "1 file" in other.content.decode() and not Source.unscoped.filter(path=str(folder)).exists()
    assert alice.post(address, {**typed, "seen": seen_in(page)}).status_code == 302
    assert Source.unscoped.get(path=str(folder)).excludes == ["*.jpg", "*.tmp"]


def test_a_pattern_that_cannot_be_understood_is_refused_in_words(house: House, alice: Client, folder: Path) -> None:
    """restic #3819."""
    typed = {"path": str(folder), "excludes": "[z-a].jpg"}
    page = alice.post(f"/vaults/{house.vault.pk}/sources/new/", typed).content.decode()
    assert "[z-a].jpg cannot be understood" in page and "ranges that rise" in page
    assert not Source.unscoped.filter(path=str(folder)).exists()


def test_patterns_of_a_folder_are_changed_after_a_look_and_the_folder_is_taken_out(
    house: House, alice: Client, folder: Path
) -> None:
    source = Source.unscoped.create(vault=house.vault, path=str(folder), excludes=["[z-a]"])
    address, typed = f"/vaults/{house.vault.pk}/sources/", {"source": str(source.pk), "excludes": "*.txt"}
    page = alice.post(address, typed).content.decode()
    assert "leaves out 1 file" in page
    assert alice.post(address, {**typed, "seen": seen_in(page)}).status_code == 302
    source.refresh_from_db()
    assert source.excludes == ["*.txt"]

    assert alice.post(f"{address}out/", {"source": str(source.pk)}).status_code == 302

    assert not Source.unscoped.filter(pk=source.pk).exists()
    tags = AuditEntry.objects.values_list("tag", flat=True)
    assert "source.changed" in tags and "source.removed" in tags


def test_a_folder_of_another_vault_is_not_there(house: House, alice: Client) -> None:
    for wanted in ("999999", "x", ""):
        assert alice.post(f"/vaults/{house.vault.pk}/sources/out/", {"source": wanted}).status_code == 404
