"""Who may open what, for every address there is. A new address fails these tests until its row is written."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from tests.browsers import signed_in
from tests.pages.addresses import Address, all_addresses
from tests.pages.conftest import House

ANYBODY = {"sign-in", "sign-out", "healthz", "notification"}
# What a vendor may not open at all, whosesoever it is (403), and what only admins may.
PLATFORM = {
    "locations", "location", "location-validate", "location-validation", "organisations",
    "organisation-new", "wedding-new", "vault-new", "source-new", "retention",
    "recovery", "wedding-recover", "recovery-states", "sources", "source-out",
    "location-guide", "location-marker", "document-folder-new", "document-folder", "document-folder-fill",
    "document-folder-share", "document-folder-unshare", "document-folder-invite",
}  # fmt: skip
ADMINS = {
    "retention-hold", "retention-unlock",
    "recovery-kit", "vault-trust", "location-new", "location-switch", "location-credentials", "alert-acknowledge",
    "location-new-place", "location-new-credential", "location-added", "location-notifications",
    "webhooks", "webhook-new", "webhook", "webhook-test", "webhook-switch", "webhook-secret", "webhook-remove",
    "delivery-again", "copy-new", "location-copies",
    "traffic", "traffic-switch", "location-traffic", "location-pause", "breaker-reset", "line-measure",
}  # fmt: skip
POST_ONLY = {
    "source-out",
    "wedding-back-up", "job-cancel", "job-retry", "location-validate", "location-switch", "alert-acknowledge",
    "sign-out",
    "vault-trust", "retention-hold", "retention-unlock",
    "traffic-switch", "location-pause", "breaker-reset", "line-measure",
    "location-notifications", "notification", "location-marker",
    "webhook-test", "webhook-switch", "webhook-secret", "webhook-remove", "delivery-again",
    "document-folder-fill", "document-folder-share", "document-folder-unshare", "document-folder-invite",
}  # fmt: skip
SHARED = {
    "overview", "weddings", "wedding", "wedding-back-up", "upload", "upload-pieces", "upload-kept", "snapshot",
    "snapshot-file",
    "jobs", "job", "job-cancel", "job-retry", "job-zip", "alerts", "alert-count",
}  # fmt: skip


def ask(client: Client, address: Address, path: str) -> int:
    query = {"name": "a.txt", "size": "3"} if address.name == "upload-pieces" else {}
    if address.name in POST_ONLY:
        return client.post(path).status_code
    return client.get(path, query).status_code


def test_every_address_has_its_row() -> None:
    assert {address.name for address in all_addresses()} == ANYBODY | PLATFORM | ADMINS | SHARED


@pytest.mark.django_db(transaction=True)
def test_a_stranger_is_sent_to_the_sign_in_page_from_everywhere(house: House) -> None:
    for address in all_addresses():
        if address.name in ANYBODY:
            continue
        answer = Client().get(address.filled(house.ids()))
        assert answer.status_code == 302, address
        assert answer["Location"].startswith("/sign-in/?next="), address


@pytest.mark.django_db(transaction=True)
def test_a_foreign_vendor_finds_nothing_of_another_business(house: House, carl: Client) -> None:
    """404 wherever there is an id, never 403: that would tell that it exists."""
    tried = 0
    for address in all_addresses():
        if not address.needs or address.name in PLATFORM | ADMINS | ANYBODY:
            continue
        assert ask(carl, address, address.filled(house.ids())) == 404, address
        tried += 1
    assert tried >= 9


@pytest.mark.django_db(transaction=True)
def test_a_foreign_id_and_an_unknown_id_look_the_same(house: House, carl: Client) -> None:
    unknown = dict.fromkeys(house.ids(), str(uuid.uuid4()))
    for address in all_addresses():
        if address.needs:
            foreign = ask(carl, address, address.filled(house.ids()))
            assert ask(carl, address, address.filled(unknown)) == foreign, address


@pytest.mark.django_db(transaction=True)
def test_a_vendor_never_opens_a_page_of_the_platform(house: House, vera: Client) -> None:
    for address in all_addresses():
        if address.name in PLATFORM | ADMINS:
            assert ask(vera, address, address.filled(house.ids())) == 403, address


@pytest.mark.django_db(transaction=True)
def test_staff_open_everything_but_what_is_for_admins(house: House) -> None:
    staff = signed_in(house.cast.sam)
    for address in all_addresses():
        if address.name in ADMINS:
            assert ask(staff, address, address.filled(house.ids())) == 403, address


@pytest.mark.django_db(transaction=True)
def test_nothing_that_changes_state_answers_to_get(house: House, alice: Client) -> None:
    for address in all_addresses():
        if address.name in POST_ONLY:
            assert alice.get(address.filled(house.ids())).status_code == 405, address


@pytest.mark.django_db(transaction=True)
def test_lists_hold_nothing_of_another_business(house: House, carl: Client) -> None:
    for path in ("/", "/weddings/", "/jobs/", "/alerts/"):
        text = carl.get(path).content.decode()
        for secret in ("Okafor", "Lumen", str(house.cast.wedding.pk), str(house.running.pk), "A backup failed"):
            assert secret not in text, (path, secret)


@pytest.mark.django_db(transaction=True)
def test_a_vendor_reads_no_name_of_the_platforms_places(house: House, vera: Client) -> None:
    job = f"/jobs/{house.running.pk}/"
    for path in ("/", "/weddings/", f"/weddings/{house.cast.wedding.pk}/", job, "/jobs/", "/alerts/"):
        text = vera.get(path).content.decode()
        for name in ("Attic", "Bank", "Cloud account", str(house.recovery.result["target"]), "worker one"):
            assert name not in text, (path, name)
