"""Emergency recovery for staff: wedding, Emergency recovery, Start. Three taps, also on a phone."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from backups.models import Job, Organisation, Vault, Wedding
from backups.services.recoveries import recovery_request
from backups.services.verdicts import wedding_verdicts
from backups.services.weddings import wedding_promise
from backups.views.forms import RecoveryForm
from backups.views.reads import job_lines, jobs_of, vault_views
from wedbackup.core import clock
from wedbackup.core.access import fetch, person, recovery_only

NEAR = timedelta(days=10)
SHOWN = 20


@require_GET
@recovery_only
def recovery_overview(request: HttpRequest) -> HttpResponse:
    """The weddings around today, each one tap from its recovery, and the recoveries so far."""
    now = clock.SYSTEM_CLOCK.utcnow()
    today = now.date()
    weddings = list(
        Wedding.objects.visible_to(request.user)
        .filter(date__range=(today - NEAR, today + NEAR))
        .order_by("date")[:SHOWN]
    )
    verdicts = wedding_verdicts(weddings, request.user)
    recoveries = list(jobs_of(request.user).filter(kind=Job.Kind.RECOVERY)[:SHOWN])
    context = {
        "rows": [(wedding, verdicts[wedding.pk]) for wedding in weddings],
        "recoveries": job_lines(recoveries, request.user, now),
    }
    return render(request, "backups/recovery.html", context)


@require_http_methods(["GET", "POST"])
@recovery_only
def wedding_recover(request: HttpRequest, wedding_id: uuid.UUID) -> HttpResponse:
    """What would come back, and the Start button."""
    wedding = fetch(Wedding, request.user, wedding_id)
    organisations = Organisation.objects.visible_to(request.user).filter(vaults__wedding=wedding).distinct()
    form = RecoveryForm(request.POST or None, organisations=organisations)
    if request.method == "POST" and form.is_valid():
        try:
            job = recovery_request(
                wedding=wedding,
                organisation=form.cleaned_data["organisation"],
                user=person(request),
                as_zip=form.cleaned_data["form_of_result"] == "zip",
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("job", job.pk)
    vaults = Vault.objects.visible_to(request.user).filter(wedding=wedding).select_related("organisation", "policy")
    views = vault_views(list(vaults), request.user)
    context = {
        "wedding": wedding,
        "form": form,
        "vaults": views,
        "promise": wedding_promise(wedding),
        "recoverable": any(view.newest_acknowledged for view in views),
    }
    return render(request, "backups/recover.html", context)
