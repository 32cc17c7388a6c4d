"""Emergency recovery for staff: wedding, Emergency recovery, Start. Three taps, also on a phone."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from backups.models import Job, Organisation, Snapshot, Vault, Wedding
from backups.services.recoveries import recovery_request, recovery_vaults
from backups.services.recovery_choice import Choice, recovery_choice
from backups.services.verdicts import wedding_verdicts
from backups.services.weddings import wedding_promise
from backups.states import JOB_UNFINISHED
from backups.views.forms import RecoveryForm
from backups.views.reads import job_lines, jobs_of
from wedbackup.core import clock
from wedbackup.core.access import NOT_THERE, fetch, person, recovery_only

SHOWN = 20
TODAY_MAX = 200  # of one day, the first 200 are on the page; the others are a word away
STATES_PER_PAGE = 25


@require_GET
@recovery_only
def recovery_overview(request: HttpRequest) -> HttpResponse:
    """The weddings nearest to today, each one tap from its recovery, and the recoveries so far."""
    now = clock.SYSTEM_CLOCK.utcnow()
    words = request.GET.get("q", "").strip()
    weddings = nearest_weddings(request.user, words=words, now=now)
    verdicts = wedding_verdicts(weddings, request.user)
    stored = Snapshot.objects.visible_to(request.user).filter(vault__wedding__in=weddings)
    recoverable = set(stored.values_list("vault__wedding_id", flat=True))
    recoveries = list(jobs_of(request.user).filter(kind=Job.Kind.RECOVERY)[:SHOWN])
    context = {
        "rows": [(wedding, verdicts[wedding.pk], wedding.pk in recoverable) for wedding in weddings],
        "q": words,
        "recoveries": job_lines(recoveries, request.user, now),
    }
    return render(request, "backups/recovery.html", context)


def nearest_weddings(user: Any, *, words: str, now: datetime) -> list[Wedding]:
    """Return the weddings that are nearest to today at their venue, today's first, and no fewer than all of today's.

    words: each has to be in the couple's names or the venue; "" for all weddings.
    """
    rows = Wedding.objects.visible_to(user)
    for word in words.split()[:8]:
        rows = rows.filter(Q(couple__icontains=word) | Q(venue__icontains=word))
    today, day = now.date(), timedelta(days=1)  # somewhere on Earth it is still yesterday, or already tomorrow
    around = rows.filter(date__range=(today - day, today + day)).order_by("date", "couple")[: 3 * TODAY_MAX]
    later = rows.filter(date__gt=today + day).order_by("date", "couple")[:SHOWN]
    earlier = rows.filter(date__lt=today - day).order_by("-date", "couple")[:SHOWN]

    def days_away(wedding: Wedding) -> int:
        return abs((wedding.date - now.astimezone(wedding.zone).date()).days)

    found = sorted(chain(around, later, earlier), key=lambda wedding: (days_away(wedding), wedding.couple))
    of_today = sum(days_away(wedding) == 0 for wedding in found)
    return found[: max(SHOWN, min(of_today, TODAY_MAX))]


@require_http_methods(["GET", "POST"])
@recovery_only
def wedding_recover(request: HttpRequest, wedding_id: uuid.UUID) -> HttpResponse:
    """What would come back, of which business, in which state; and the Start button."""
    wedding = fetch(Wedding, request.user, wedding_id)
    asked = request.POST if request.method == "POST" else request.GET
    businesses = Organisation.objects.visible_to(request.user).filter(vaults__wedding=wedding).distinct()
    business = _business(asked, businesses)
    picked = _picked(request.user, wedding, asked.getlist("state"))
    form = RecoveryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            job = recovery_request(
                wedding=wedding,
                organisation=business,
                user=person(request),
                as_zip=form.cleaned_data["form_of_result"] == "zip",
                picked=picked,
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("job", job.pk)
    choices = [recovery_choice(vault, picked.get(vault)) for vault in recovery_vaults(wedding, business)]
    under_way = jobs_of(request.user).filter(kind=Job.Kind.RECOVERY, wedding=wedding, state__in=JOB_UNFINISHED)
    context = {
        "wedding": wedding,
        "form": form,
        "businesses": businesses,
        "business": business,
        "choices": choices,
        "picked": picked,
        "doubts": list(_doubts(choices)),
        "promise": wedding_promise(wedding),
        "recoverable": any(choice.snapshot for choice in choices),
        "under_way": under_way.first(),
    }
    return render(request, "backups/recover.html", context)


@require_GET
@recovery_only
def recovery_states(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """All states of one vault, the newest first, each one tap from being the one that comes back."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation")
    if vault.wedding is None:
        raise Http404(NOT_THERE)
    snapshots = Snapshot.objects.visible_to(request.user).filter(vault=vault)
    page = Paginator(snapshots.prefetch_related("confirmations"), STATES_PER_PAGE).get_page(request.GET.get("page"))
    others = _picked(request.user, vault.wedding, request.GET.getlist("state"))
    kept = [snapshot for of, snapshot in others.items() if of != vault]
    query = QueryDict(mutable=True)
    query.setlist("state", [str(snapshot.pk) for snapshot in kept])
    if business := request.GET.get("business"):
        query["business"] = business
    context = {"vault": vault, "page": page, "others": query.urlencode()}
    return render(request, "backups/recovery_states.html", context)


def _business(asked: QueryDict, businesses: Iterable[Organisation]) -> Organisation | None:
    """Return the one business whose files are asked for; None is all. Raises Http404 for a foreign one."""
    wanted = asked.get("business", "")
    if not wanted:
        return None
    found = next((business for business in businesses if str(business.pk) == wanted), None)
    if found is None:
        raise Http404(NOT_THERE)
    return found


def _picked(user: Any, wedding: Wedding, wanted: Sequence[str]) -> dict[Vault, Snapshot]:
    """Return the states that were chosen by hand, by vault; what is no state of this wedding is passed over."""
    ids = [text for text in wanted if _is_id(text)]
    rows = Snapshot.objects.visible_to(user).filter(pk__in=ids, vault__wedding=wedding).select_related("vault")
    return {snapshot.vault: snapshot for snapshot in rows}


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _doubts(choices: Iterable[Choice]) -> Iterable[tuple[str, str]]:
    """Yield (whose, what is not proved), the same words once."""
    told: dict[str, list[str]] = {}
    for choice in choices:
        if choice.remark:
            told.setdefault(choice.remark, []).append(choice.vault.get_protection_class_display())
    for remark, names in told.items():
        yield ", ".join(dict.fromkeys(names)), remark
