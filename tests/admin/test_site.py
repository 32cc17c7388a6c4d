"""Promises of the admin site as a whole: who may enter, what they may do, and that every page works under the CSP."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from backups.models import Job, JobMove, Snapshot
from monitoring.models import Alert
from tests.admin.conftest import CANARY, Stocked
from tests.browsers import signed_in
from tests.cast import Cast
from wedbackup.core.models import AuditEntry, Event, User

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
HISTORY = (Job, Snapshot, Alert, Event, AuditEntry)


def pages() -> list[str]:
    """Return the address of every list, form and new form that has something to show."""
    found = [reverse("admin:index"), reverse("admin:core_user_add"), reverse("admin:backups_wedding_add")]
    found += [reverse("admin:backups_policy_add"), reverse("admin:backups_organisation_add")]
    for model in MODELS:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        row = model._default_manager.order_by("pk").first()
        assert row is not None, f"nothing to show of {model._meta.label}"
        found += [reverse(f"{name}_change", args=[row.pk]), reverse(f"{name}_history", args=[row.pk])]
    return found


class Blocked(HTMLParser):
    """Collects what `script-src 'self'; style-src 'self'` would block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        runs = values.get("type") in {None, "", "module", "text/javascript"}
        if tag == "style" or (tag == "script" and runs and not values.get("src")):
            self.found.append(f"inline {tag}")
        self.found += [f"{name} on {tag}" for name in values if name == "style" or name.startswith("on")]
        self.found += [f"javascript: in {tag}" for value in values.values() if (value or "").startswith("javascript:")]
        for name in ("src", "href"):
            if tag in {"script", "link", "img"} and (values.get(name) or "").startswith(("http:", "https:", "//")):
                self.found.append(f"{tag} from elsewhere")


def test_every_model_that_a_person_manages_is_there() -> None:
    assert {model._meta.model_name for model in MODELS} == {
        *("alert", "auditentry", "event", "job", "location", "organisation"),
        *("policy", "snapshot", "user", "vault", "wedding"),
    }


def test_every_page_opens_for_an_admin_and_the_csp_blocks_nothing_of_it(alice: Client, stocked: Stocked) -> None:
    for page in pages():
        response = alice.get(page)
        assert response.status_code == 200, page
        blocked = Blocked()
        blocked.feed(response.content.decode())
        assert blocked.found == [], page
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert "wedbackup" in response.content.decode()


def test_no_page_shows_a_secret(alice: Client, stocked: Stocked) -> None:
    sealed = [stocked.bucket.credentials.get().sealed, stocked.vault.sealed_secret, stocked.vault.sealed_master]
    texts = [alice.get(page).content.decode() for page in pages()]
    texts.append(alice.get(reverse("admin:providers_location_change", args=[stocked.bucket.pk])).content.decode())
    assert any("studio@aws" in text for text in texts), "the bucket was shown"
    assert not [text for text in texts for secret in (CANARY, *sealed) if secret in text]


def test_staff_look_at_everything_and_change_nothing(sam: Client, stocked: Stocked) -> None:
    for page in pages():
        response = sam.get(page)
        if page.endswith("/add/"):
            assert response.status_code == 403, page
            continue
        assert response.status_code == 200, page
        assert b'name="_save"' not in response.content, page
    policy = reverse("admin:backups_policy_change", args=[stocked.vault.policy_id])
    assert sam.post(policy, {"name": "Mine"}).status_code == 403
    jobs = reverse("admin:backups_job_changelist")
    sam.post(jobs, {"action": "cancel", "_selected_action": stocked.job.pk})
    stocked.job.refresh_from_db()
    assert stocked.job.state == "queued"


@pytest.mark.parametrize("name", ["vera", "carl"])
def test_vendors_are_not_let_in_even_with_djangos_own_flags(cast: Cast, stocked: Stocked, name: str) -> None:
    user: User = getattr(cast, name)
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    user.refresh_from_db()
    client = signed_in(user)
    for page in pages():
        assert client.get(page, follow=True).status_code == 403, page


def test_an_admin_needs_no_flag_of_djangos(cast: Cast, stocked: Stocked) -> None:
    User.objects.filter(pk=cast.alice.pk).update(is_staff=False, is_superuser=False)
    cast.alice.refresh_from_db()
    assert signed_in(cast.alice).get(reverse("admin:index")).status_code == 200


def test_who_is_not_signed_in_is_sent_to_the_one_place_to_sign_in(stocked: Stocked) -> None:
    response = Client().get(reverse("admin:backups_job_changelist"), follow=True)
    assert response.redirect_chain[-1][0].startswith(reverse("sign-in"))
    assert response.status_code == 200


@pytest.mark.parametrize("model", HISTORY, ids=lambda model: model._meta.model_name)
def test_history_can_be_neither_added_to_nor_changed_nor_deleted(alice: Client, stocked: Stocked, model: Any) -> None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    row = model._default_manager.order_by("pk").first()
    before = model._default_manager.values().get(pk=row.pk)
    assert alice.post(reverse(f"{name}_add"), {}).status_code == 403
    assert alice.post(reverse(f"{name}_change", args=[row.pk]), {"state": "completed"}).status_code == 403
    assert alice.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    alice.post(reverse(f"{name}_changelist"), {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
    assert model._default_manager.values().get(pk=row.pk) == before


def test_lists_cost_the_same_number_of_queries_however_long_they_are(
    alice: Client, stocked: Stocked, django_assert_max_num_queries: Any
) -> None:
    """With three rows of everything already one query per row would show; with thirty it would not fit."""
    job = stocked.job
    jobs = [
        Job(
            kind="backup",
            organisation=job.organisation,
            wedding=job.wedding,
            vault=job.vault,
            created_at=job.created_at,
            run_after=job.run_after,
        )
        for _ in range(30)
    ]
    Job.unscoped.bulk_create(jobs)
    JobMove.objects.bulk_create([JobMove(job=job, new_state="queued", actor="w", at=job.created_at) for _ in range(30)])
    for model in MODELS:
        with django_assert_max_num_queries(14):
            alice.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
    for page in (
        reverse("admin:backups_job_change", args=[job.pk]),
        reverse("admin:backups_vault_change", args=[stocked.vault.pk]),
        reverse("admin:backups_wedding_change", args=[stocked.vault.wedding_id]),
    ):
        with django_assert_max_num_queries(18):
            alice.get(page)
