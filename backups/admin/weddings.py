"""Weddings, with who works on them and their vaults."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from backups.engine.errors import EngineError
from backups.models import Organisation, Vault, Wedding, WeddingVendor
from backups.services.backups import backup_request
from wedbackup.core.adminsite import ChangeableInline, PlatformAdmin, ReadOnlyInline
from wedbackup.core.clock import SYSTEM_CLOCK


class WeddingVendorInline(ChangeableInline):
    model = WeddingVendor
    autocomplete_fields = ("organisation",)
    verbose_name = "vendor"


class VaultInline(ReadOnlyInline):
    model = Vault
    fields = readonly_fields = ("organisation", "protection_class", "policy", "next_due_at", "suspicion")
    show_change_link = True
    related = ("wedding", "organisation", "policy")


class OrganisationFilter(admin.SimpleListFilter):
    """Weddings that an organisation works on; the reverse side of a key has no filter of its own."""

    title = "vendor"
    parameter_name = "vendor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        del request, model_admin
        return [(str(pk), name) for pk, name in Organisation.unscoped.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        del request
        try:
            return queryset.filter(vendors__organisation=self.value()) if self.value() else queryset
        except ValidationError:  # somebody edited the address by hand
            return queryset.none()


@admin.register(Wedding)
class WeddingAdmin(PlatformAdmin):
    """A wedding with vaults cannot be deleted: its copies would have no owner."""

    may_add = may_change = may_delete = True
    list_display = ("couple", "date", "venue", "vendor_count", "vault_count", "jurisdiction")
    list_filter = (("date", admin.DateFieldListFilter), OrganisationFilter, "jurisdiction")
    search_fields = ("couple", "venue", "vendors__organisation__name")
    date_hierarchy = "date"
    readonly_fields = ("created_at",)
    fieldsets = (
        (None, {"fields": ("couple", "date", "venue", "time_zone", "jurisdiction")}),
        ("On the map", {"fields": ("latitude", "longitude")}),
        (None, {"fields": ("created_at",)}),
    )
    inlines = (WeddingVendorInline, VaultInline)
    actions = ("back_up_now",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wedding]:
        counts = {"vendors_all": Count("vendors", distinct=True), "vaults_all": Count("vaults", distinct=True)}
        return super().get_queryset(request).annotate(**counts)

    @admin.display(description="vendors", ordering="vendors_all")
    def vendor_count(self, wedding: Any) -> int:
        return int(wedding.vendors_all)

    @admin.display(description="vaults", ordering="vaults_all")
    def vault_count(self, wedding: Any) -> int:
        return int(wedding.vaults_all)

    def view_on_site(self, wedding: Wedding) -> str:
        return reverse("wedding", args=[wedding.pk])

    def save_model(self, request: HttpRequest, obj: Wedding, form: Any, change: bool) -> None:
        if not change:
            obj.created_at = SYSTEM_CLOCK.utcnow()
        super().save_model(request, obj, form, change)

    @admin.action(description="Back up now", permissions=["act"])
    def back_up_now(self, request: HttpRequest, weddings: QuerySet[Wedding]) -> None:
        for wedding in weddings:
            try:
                jobs = backup_request(wedding=wedding, user=request.user, reason="asked for in the administration")
            except (EngineError, ValidationError) as exc:
                messages.error(request, f"{wedding}: {exc}")
                continue
            if jobs:
                messages.success(
                    request, f"{wedding}: {len(jobs)} {'backup is' if len(jobs) == 1 else 'backups are'} due now."
                )
            else:
                messages.warning(request, f"{wedding} has no vault with a source; add one on its page first.")
