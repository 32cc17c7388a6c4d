"""Weddings: the list, and the page of one."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from backups.models import Vault, Wedding
from backups.services.backups import backup_request, in_class_order
from backups.services.verdicts import wedding_verdict, wedding_verdicts
from backups.services.weddings import wedding_create
from backups.views.forms import WeddingForm
from backups.views.reads import find_weddings, job_lines, jobs_of, told_to, vault_views
from wedbackup.core import clock
from wedbackup.core.access import fetch, person, platform_only
from wedbackup.core.htmx import render_page

WEDDINGS_PER_PAGE = 50
JOBS_SHOWN = 10


@require_GET
def wedding_list(request: HttpRequest) -> HttpResponse:
    """All weddings the person may see, with their state in words."""
    words, when = request.GET.get("q", "").strip(), request.GET.get("when", "all")
    today = clock.SYSTEM_CLOCK.utcnow().date()
    found = find_weddings(request.user, words=words, when=when, today=today)
    page = Paginator(found, WEDDINGS_PER_PAGE).get_page(request.GET.get("page"))
    verdicts = wedding_verdicts(list(page.object_list), request.user)
    rows = [(wedding, told_to(request.user, verdicts[wedding.pk])) for wedding in page.object_list]
    context = {"rows": rows, "page": page, "q": words, "when": when}
    return render_page(request, "backups/weddings.html", "backups/fragments/_weddings.html", context)


@require_GET
def wedding_page(request: HttpRequest, wedding_id: uuid.UUID) -> HttpResponse:
    """One wedding: is it safe, where are its copies, what was done."""
    wedding = fetch(Wedding, request.user, wedding_id)
    return render_page(
        request, "backups/wedding.html", "backups/fragments/_wedding.html", wedding_context(wedding, request.user)
    )


def wedding_context(wedding: Wedding, user: Any) -> dict[str, Any]:
    """Everything the page of `wedding` shows `user`."""
    own = Vault.objects.visible_to(user).filter(wedding=wedding).select_related("organisation", "policy")
    recent = list(jobs_of(user).filter(wedding=wedding)[:JOBS_SHOWN])
    lines = job_lines(recent, user, clock.SYSTEM_CLOCK.utcnow())
    return {
        "wedding": wedding,
        "verdict": told_to(user, wedding_verdict(wedding, user)),
        "vaults": vault_views(list(own.order_by("organisation__name", in_class_order())), user),
        "running": [line for line in lines if not line.job.ended],
        "history": [line for line in lines if line.job.ended],
    }


@require_http_methods(["GET", "POST"])
@platform_only
def wedding_new(request: HttpRequest) -> HttpResponse:
    """Enter a wedding."""
    form = WeddingForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        wedding = wedding_create(**form.cleaned_data, actor=person(request))
        messages.success(request, f"{wedding.couple} is entered. Now add a vault, so that something is backed up.")
        return redirect("wedding", wedding.pk)
    return render(
        request,
        "backups/form.html",
        {"form": form, "title": "Enter a wedding", "button": "Save the wedding", "back": "weddings"},
    )


@require_POST
def wedding_back_up(request: HttpRequest, wedding_id: uuid.UUID) -> HttpResponse:
    """Back up now: every vault of the wedding that the person may see."""
    wedding = fetch(Wedding, request.user, wedding_id)
    jobs = backup_request(wedding=wedding, user=request.user, reason=f"asked for by {request.user.get_username()}")
    if not jobs:
        messages.warning(request, "There is no vault yet, so there is nothing to back up. Add a vault first.")
    return redirect("job", jobs[0].pk) if len(jobs) == 1 else redirect("wedding", wedding.pk)
