"""Organisations and who belongs to them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from backups.models import Membership, Organisation
from wedbackup.core.adminsite import ChangeableInline, PlatformAdmin
from wedbackup.core.clock import SYSTEM_CLOCK


class MembershipInline(ChangeableInline):
    model = Membership
    fields = ("user", "role")
    autocomplete_fields = ("user",)


@admin.register(Organisation)
class OrganisationAdmin(PlatformAdmin):
    may_add = may_change = may_delete = True
    list_display = ("name", "vendor_type", "people", "weddings_count", "created_at")
    list_filter = ("vendor_type",)
    search_fields = ("name", "memberships__user__username", "memberships__user__email")
    fields = ("name", "vendor_type", "created_at")
    readonly_fields = ("created_at",)
    inlines = (MembershipInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organisation]:
        counts = {
            "people_count": Count("memberships", distinct=True),
            "part_count": Count("weddings", distinct=True),
        }
        return super().get_queryset(request).annotate(**counts)

    @admin.display(description="people", ordering="people_count")
    def people(self, organisation: Any) -> int:
        return int(organisation.people_count)

    @admin.display(description="weddings", ordering="part_count")
    def weddings_count(self, organisation: Any) -> int:
        return int(organisation.part_count)

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        if not change:
            obj.created_at = SYSTEM_CLOCK.utcnow()
        super().save_model(request, obj, form, change)
