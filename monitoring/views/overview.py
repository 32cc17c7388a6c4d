"""The overview, the alerts and the health address."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from django.core.paginator import Paginator
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from backups.models import Wedding
from backups.services.verdicts import overview_verdict, wedding_verdicts
from backups.views.picture import summary
from backups.views.reads import job_lines, told_overview, unfinished_jobs
from monitoring.calendar import month_of, worries
from monitoring.dashboard import dashboard_of
from monitoring.health import health
from monitoring.models import Alert
from monitoring.services.alerts import alert_acknowledge, alerts_visible_to
from monitoring.wedding_mode import wedding_mode_of
from monitoring.worldmap import world_map
from providers.models import Location
from providers.reads import location_cards
from wedbackup.core import clock
from wedbackup.core.access import admin_only
from wedbackup.core.htmx import render_page, wants_fragment

ALERTS_SHOWN = 5
ALERTS_PER_PAGE = 40


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """Is everything safe, what runs, what needs me."""
    now, user = clock.SYSTEM_CLOCK.utcnow(), request.user
    jobs = unfinished_jobs(user)
    alerts = _panel(user)
    needing = alerts["needing"] if user.sees_everything else 0  # type: ignore[union-attr]  # vendors cannot act on them
    weddings = list(Wedding.objects.visible_to(user))
    verdicts = wedding_verdicts(weddings, user)
    day = _asked_day(request) or now.date()
    context = alerts | {
        "today": now,
        "verdict": told_overview(user, overview_verdict(user, alerts=needing, verdicts=verdicts), len(weddings)),
        "wedding_mode": wedding_mode_of(weddings, clock=clock.SYSTEM_CLOCK),
        "dashboard": dashboard_of(user, clock=clock.SYSTEM_CLOCK),
        "worries": worries(weddings, verdicts, user),
        "running": job_lines(jobs, user, now),
        "running_summary": summary(jobs),
        "month": month_of([(wedding, verdicts[wedding.pk]) for wedding in weddings], day, today=now.date()),
    }
    if user.sees_everything:  # type: ignore[union-attr]
        cards = location_cards(Location.objects.all(), now=now)
        context |= {"cards": cards, "map": world_map(cards)}
    return render_page(request, "monitoring/overview.html", "monitoring/fragments/_refreshed.html", context)


def _asked_day(request: HttpRequest) -> date | None:
    """Return the first day of ?month=2026-06, None when it is not asked for or makes no sense."""
    try:
        return date.fromisoformat(request.GET.get("month", "") + "-01")
    except ValueError:
        return None


def _panel(user: Any) -> dict[str, Any]:
    """What the alerts panel shows: the newest that need somebody, then the newest others."""
    rows = alerts_visible_to(user).select_related("acknowledged_by")
    needing = rows.filter(state=Alert.State.OPEN)
    count = needing.count()
    shown = list(needing.order_by("-raised_at")[:ALERTS_SHOWN])
    if len(shown) < ALERTS_SHOWN:
        shown += rows.exclude(state=Alert.State.OPEN).order_by("-raised_at")[: min(2, ALERTS_SHOWN - len(shown))]
    return {"alerts": shown, "needing": count}


@require_GET
def alert_list(request: HttpRequest) -> HttpResponse:
    """All alerts with their history; the overview's panel asks for the newest only."""
    if wants_fragment(request) and request.htmx.target == "alerts-panel":  # type: ignore[attr-defined]
        return render_page(request, "monitoring/alerts.html", "monitoring/fragments/_panel.html", _panel(request.user))
    state, severity = request.GET.get("state", ""), request.GET.get("severity", "")
    rows = alerts_visible_to(request.user).select_related("acknowledged_by").order_by("-raised_at")
    rows = rows.filter(state=state) if state in Alert.State.values else rows
    rows = rows.filter(severity=severity) if severity in Alert.Severity.values else rows
    context = {
        "page": Paginator(rows, ALERTS_PER_PAGE).get_page(request.GET.get("page")),
        "needing": alerts_visible_to(request.user).filter(state=Alert.State.OPEN).count(),
        "state": state,
        "severity": severity,
        "states": Alert.State.choices,
        "severities": Alert.Severity.choices,
    }
    return render_page(request, "monitoring/alerts.html", "monitoring/fragments/_alerts.html", context)


@require_GET
def alert_count(request: HttpRequest) -> HttpResponse:
    """The number beside "Alerts" in the navigation."""
    needing = alerts_visible_to(request.user).filter(state=Alert.State.OPEN).count()
    return render(request, "monitoring/fragments/_count.html", {"needing": needing})


@require_POST
@admin_only
def alert_acknowledge_now(request: HttpRequest, alert_id: uuid.UUID) -> HttpResponse:
    """Say "I have seen it and care for it", with a note if wanted."""
    alert = alerts_visible_to(request.user).filter(pk=alert_id).first()
    if alert is None:
        raise Http404("There is no such alert.")
    alert_acknowledge(alert, user=request.user, note=request.POST.get("note", "").strip()[:300])
    if wants_fragment(request):
        return render(request, "monitoring/fragments/_panel.html", _panel(request.user))
    return redirect("alerts")


@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    """For load balancers and watchdogs, without signing in: 200 when database and scheduler are alive, else 503."""
    del request
    try:
        report = health(clock=clock.SYSTEM_CLOCK)
    except DatabaseError:
        return JsonResponse({"ok": False, "database": False}, status=503)
    return JsonResponse(report, status=200 if report["ok"] else 503)
