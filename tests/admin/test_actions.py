"""Promises of what can be done in the admin site: through the services, with an answer in words, audited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from backups.models import Job, Organisation, Policy, Wedding
from backups.services.jobs import job_cancel
from providers.models import Location
from providers.services.credentials import secrets_in, secrets_of
from tests.admin.conftest import CANARY, Stocked
from tests.cast import Cast
from wedbackup.core import audit_guard
from wedbackup.core.models import AuditEntry, User

pytestmark = pytest.mark.django_db


def act(client: Client, model: str, action: str, *rows: Any) -> str:
    """Carry out an action on rows in a list and return the page that follows, with its messages."""
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    response = client.post(reverse(f"admin:{model}_changelist"), data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def filled(response: Any) -> dict[str, Any]:
    """Return what a browser would send back of an unchanged form, inlines included."""
    forms = [response.context["adminform"].form]
    for inline in response.context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    values = {}
    for form in forms:
        for field in form:
            value = field.value()
            values[field.html_name] = "" if value is None else value
    return values


def location_page(location: Location) -> str:
    return reverse("admin:providers_location_change", args=[location.pk])


def test_back_up_now_queues_a_job_for_each_vault_of_the_wedding(alice: Client, stocked: Stocked) -> None:
    Job.unscoped.all().delete()
    wedding = stocked.vault.wedding
    assert "1 backup is due now" in act(alice, "backups_wedding", "back_up_now", wedding)
    assert Job.unscoped.get().vault == stocked.vault
    act(alice, "backups_wedding", "back_up_now", wedding)
    assert Job.unscoped.count() == 1, "asking twice while one is unfinished is asking once"


def test_jobs_are_cancelled_and_tried_again(alice: Client, stocked: Stocked) -> None:
    assert "is being cancelled" in act(alice, "backups_job", "cancel", stocked.job)
    assert Job.unscoped.get().state == "cancelled"
    assert "had ended already" in act(alice, "backups_job", "cancel", stocked.job)
    assert "is in the queue again" in act(alice, "backups_job", "try_again", stocked.job)
    assert Job.unscoped.get().state == "queued"
    assert "Only a failed or cancelled job" in act(alice, "backups_job", "try_again", stocked.job)
    tags = AuditEntry.objects.filter(actor="alice", subject_type="job").values_list("tag", flat=True)
    assert [*tags] == ["job.cancelled", "job.retried"]


def test_locations_are_probed_validated_and_switched(alice: Client, stocked: Stocked) -> None:
    folder = stocked.folder
    assert "Attic answered in" in act(alice, "providers_location", "probe", folder)
    assert "Attic keeps all" in act(alice, "providers_location", "validate", folder)
    assert Location.objects.get(pk=folder.pk).validated_at is not None
    assert "is left alone from now on" in act(alice, "providers_location", "disable", folder)
    assert not Location.objects.get(pk=folder.pk).enabled
    assert "receives copies again" in act(alice, "providers_location", "enable", folder)


def test_a_location_that_breaks_a_promise_says_which_and_what_to_do(alice: Client, stocked: Stocked) -> None:
    (Path(stocked.folder.options["root"]) / ".wedbackup-location").unlink()
    page = act(alice, "providers_location", "validate", stocked.folder)
    assert "not kept: it lets us in" in page
    assert "is the disk or share mounted?" in page


def test_a_new_secret_is_sealed_and_the_form_never_gives_one_back(alice: Client, stocked: Stocked) -> None:
    page = location_page(stocked.bucket)
    values = filled(alice.get(page)) | {"new_secret_key": "fresh-canary-2"}
    response = alice.post(page, values, follow=True)
    assert "The credential of Bucket is stored and being proved" in response.content.decode()
    assert secrets_in(stocked.bucket.credentials.get(state="entered")) == {"secret_key": "fresh-canary-2"}
    assert secrets_of(stocked.bucket)["secret_key"] == CANARY, "it takes over once it is proved"
    assert "fresh-canary-2" not in alice.get(page).content.decode()
    assert "fresh-canary-2" not in json.dumps([*AuditEntry.objects.values_list("detail", flat=True)])
    assert 'name="new_secret_key"' in alice.get(page).content.decode()


def test_saving_a_location_without_a_secret_keeps_the_stored_one(alice: Client, stocked: Stocked) -> None:
    page = location_page(stocked.bucket)
    alice.post(page, filled(alice.get(page)) | {"city": "London"})
    stocked.bucket.refresh_from_db()
    assert stocked.bucket.city == "London"
    assert secrets_of(stocked.bucket)["secret_key"] == CANARY
    assert stocked.bucket.credentials.count() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bucket": "b"}, "missing option: access_key"),
        ({"bucket": "b", "access_key": "k", "secret_key": "s"}, "secret_key is secret"),
        ({"bucket": "b", "access_key": "k", "colour": "red"}, "unknown option: colour"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_the_form(
    alice: Client, stocked: Stocked, options: dict[str, str], message: str
) -> None:
    page = location_page(stocked.bucket)
    response = alice.post(page, filled(alice.get(page)) | {"options": json.dumps(options)})
    assert response.status_code == 200
    assert message in response.content.decode()


def test_adding_a_location_leads_to_the_page_that_makes_its_folder(alice: Client, stocked: Stocked) -> None:
    assert alice.get(reverse("admin:providers_location_add")).headers["Location"] == reverse("location-new")


def test_alerts_are_acknowledged(alice: Client, stocked: Stocked) -> None:
    assert "Trouble is acknowledged" in act(alice, "monitoring_alert", "acknowledge", stocked.alert)
    stocked.alert.refresh_from_db()
    assert stocked.alert.state == "acknowledged"
    assert "acknowledged or resolved already" in act(alice, "monitoring_alert", "acknowledge", stocked.alert)


def test_a_wedding_is_added_with_its_vendor_and_audited(alice: Client, cast: Cast, stocked: Stocked) -> None:
    page = reverse("admin:backups_wedding_add")
    values = filled(alice.get(page)) | {
        "couple": "Ito & Brandt",
        "date": "2027-05-01",
        "vendors-TOTAL_FORMS": 1,
        "vendors-0-organisation": cast.petal.pk,
    }
    assert alice.post(page, values).status_code == 302
    wedding = Wedding.unscoped.get(couple="Ito & Brandt")
    assert [vendor.organisation for vendor in wedding.vendors.all()] == [cast.petal]
    entry = AuditEntry.objects.filter(tag="admin.changed", subject_id=str(wedding.pk)).first()
    assert entry is not None and entry.actor == "alice"


def test_weddings_are_found_by_couple_and_venue_and_filtered_by_vendor(
    alice: Client, cast: Cast, stocked: Stocked
) -> None:
    page = reverse("admin:backups_wedding_changelist")
    for query in ({"q": "lindqvist"}, {"q": "battersea"}, {"vendor": str(cast.lumen.pk)}):
        assert b"1 wedding" in alice.get(page, query).content, query
    for query in ({"q": "nobody"}, {"vendor": str(cast.petal.pk)}):
        assert b"0 weddings" in alice.get(page, query).content, query


def test_a_wedding_with_vaults_cannot_be_deleted(alice: Client, stocked: Stocked) -> None:
    page = reverse("admin:backups_wedding_delete", args=[stocked.vault.wedding_id])
    alice.post(page, {"post": "yes"})
    assert stocked.vault.wedding in Wedding.unscoped.all()


def test_policies_and_organisations_are_edited(alice: Client, cast: Cast, stocked: Stocked) -> None:
    page = reverse("admin:backups_policy_change", args=[cast.policy.pk])
    alice.post(page, filled(alice.get(page)) | {"keep_yearly": 9})
    assert Policy.objects.get(pk=cast.policy.pk).keep_yearly == 9
    page = reverse("admin:backups_organisation_change", args=[cast.petal.pk])
    alice.post(page, filled(alice.get(page)) | {"vendor_type": "planner"})
    assert Organisation.unscoped.get(pk=cast.petal.pk).vendor_type == "planner"


def test_the_last_admin_cannot_give_the_role_away(alice: Client, cast: Cast, stocked: Stocked) -> None:
    page = reverse("admin:core_user_change", args=[cast.alice.pk])
    values = filled(alice.get(page)) | {"role": "vendor", "is_active": "on"}
    assert "This is the only active admin" in alice.post(page, values).content.decode()
    User.objects.filter(pk=cast.sam.pk).update(role="admin")
    assert alice.post(page, values).status_code == 302


def test_a_person_is_added_with_a_role(alice: Client, stocked: Stocked) -> None:
    page = reverse("admin:core_user_add")
    password = "a quite long password"
    values = {"username": "nora", "role": "staff", "usable_password": "true"}
    alice.post(page, values | {"password1": password, "password2": password})
    assert User.objects.get(username="nora").role == "staff"


def test_the_audit_trail_says_whether_it_is_whole(alice: Client, stocked: Stocked) -> None:
    page = reverse("admin:core_auditentry_check")
    job_cancel(stocked.job, actor="alice")
    assert "The audit trail is whole" in alice.get(page, follow=True).content.decode()
    audit_guard.remove(connection)
    entry = AuditEntry.objects.order_by("id").first()
    AuditEntry.objects.filter(pk=entry.pk).update(actor="somebody else")  # type: ignore[union-attr]
    audit_guard.install(connection)
    assert f"line {entry.pk} does not follow" in alice.get(page, follow=True).content.decode()  # type: ignore[union-attr]
