"""The recovery kit in the browser: secret, so asked for on purpose, told to the audit trail and kept by no cache."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from backups.services.kits import kit_html, kit_make
from backups.services.vaults import vault_secret
from tests.pages.conftest import House
from tests.pages.test_every_page import INLINE
from wedbackup.core.models import AuditEntry

pytestmark = pytest.mark.django_db


def shown() -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(tag="recovery_kit.shown")
    return [(entry.actor, entry.subject_id) for entry in entries]


@pytest.fixture
def address(house: House) -> str:
    return f"/weddings/{house.cast.wedding.pk}/recovery-kit/"


def test_opening_the_address_shows_no_secret_and_says_what_comes(house: House, alice: Client, address: str) -> None:
    answer = alice.get(address)
    text = answer.content.decode()
    assert "The next page is secret" in text and "audit trail" in text
    assert vault_secret(house.vault).decode() not in text
    assert shown() == []


def test_the_kit_opens_the_vault_is_audited_and_never_kept(house: House, alice: Client, address: str) -> None:
    answer = alice.post(address)
    text = answer.content.decode()
    assert vault_secret(house.vault).decode() in text
    assert text.count("restic restore latest --target recovered") == 3, "one for each place"
    assert {"no-store", "private"} <= {part.strip() for part in answer["Cache-Control"].split(",")}
    assert "SECRET" in text and "data-print" in text
    assert not INLINE.search(text)
    assert shown() == [("alice", str(house.vault.pk))]


def test_the_printed_file_of_the_command_says_the_same_and_needs_nothing_from_elsewhere(
    house: House, alice: Client, address: str
) -> None:
    file = kit_html(kit_make([house.vault], actor="alice"))
    start, end = file.index('<p class="kit-warning">'), file.index("</body>")
    assert file[start:end].strip() in alice.post(address).content.decode()
    assert "<link" not in file and "<script" not in file


def test_without_the_key_file_the_page_says_what_to_do(house: House, alice: Client, address: str) -> None:
    settings.KEY_FILE.rename(settings.KEY_FILE.with_suffix(".away"))
    answer = alice.post(address)
    assert answer.status_code == 409
    assert "Put the key file back" in answer.content.decode()


def test_only_admins_find_the_way_to_it(house: House, alice: Client, sam: Client, vera: Client, address: str) -> None:
    page = f"/weddings/{house.cast.wedding.pk}/"
    assert [address in client.get(page).content.decode() for client in (alice, sam, vera)] == [True, False, False]
    for client in (sam, vera):
        assert client.post(address).status_code == 403
    assert shown() == []
