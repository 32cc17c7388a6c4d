"""Alerts in the admin site: to read and to acknowledge, never to edit."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from monitoring.models import Alert
from monitoring.services.alerts import alert_acknowledge
from wedbackup.core.adminsite import PlatformAdmin


@admin.register(Alert)
class AlertAdmin(PlatformAdmin):
    list_display = ("title", "severity", "state", "raised_at", "last_seen_at", "count", "acknowledged_by")
    list_filter = ("state", "severity")
    list_select_related = ("acknowledged_by",)
    search_fields = ("title", "text", "detail", "key")
    date_hierarchy = "raised_at"
    actions = ("acknowledge",)

    @admin.action(description="Acknowledge: I take care of it", permissions=["act"])
    def acknowledge(self, request: HttpRequest, alerts: QuerySet[Alert]) -> None:
        for alert in alerts:
            if alert_acknowledge(alert, user=request.user):
                messages.success(request, f"{alert} is acknowledged for 8 hours.")
            else:
                messages.warning(request, f"{alert} was acknowledged or resolved already.")
