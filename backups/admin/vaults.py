"""Policies, vaults and snapshots. A vault's keys are not fields of any page; its history cannot be edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from backups.models import Copy, Policy, Snapshot, Source, Vault
from backups.services.unlocking import vault_unlock
from backups.services.vaults import VaultSealed, vault_trust
from backups.states import CopyState
from wedbackup.core.access import person
from wedbackup.core.adminsite import PlatformAdmin, ReadOnlyInline


@admin.register(Policy)
class PolicyAdmin(PlatformAdmin):
    may_add = may_change = may_delete = True
    list_display = ("name", "copies_needed", "failure_domains_needed", "interval_minutes", "keeps", "vaults_count")
    search_fields = ("name",)
    fieldsets = (
        (None, {"fields": ("name",)}),
        (
            "When a snapshot counts",
            {
                "fields": ("copies_needed", "failure_domains_needed"),
                "description": "So many proved copies, in so many places that cannot be lost together.",
            },
        ),
        ("How often [minutes]", {"fields": ("interval_minutes",)}),
        (
            "What is kept",
            {
                "fields": (
                    "keep_within_days",
                    ("keep_last", "keep_hourly", "keep_daily"),
                    ("keep_weekly", "keep_monthly", "keep_yearly"),
                    ("wedding_days_before", "wedding_days_after", "keep_wedding_days"),
                    ("finals_years", "contract_years"),
                ),
                "description": "A snapshot stays while any of these keeps it; what none keeps goes a week later.",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Policy]:
        return super().get_queryset(request).annotate(used=Count("vault"))

    @admin.display(description="keeps all for, last / h / d / w / m / y")
    def keeps(self, policy: Policy) -> str:
        kept = (
            policy.keep_last,
            policy.keep_hourly,
            policy.keep_daily,
            policy.keep_weekly,
            policy.keep_monthly,
            policy.keep_yearly,
        )
        return f"{policy.keep_within_days} days, {' / '.join(map(str, kept))}"

    @admin.display(description="vaults", ordering="used")
    def vaults_count(self, policy: Any) -> int:
        return int(policy.used)


class SourceInline(ReadOnlyInline):
    model = Source
    fields = readonly_fields = ("path", "excludes")


class CopyInline(ReadOnlyInline):
    model = Copy
    fields = readonly_fields = ("location", "required", "state", "confirmed_at", "verified_at", "size", "last_error")
    related = ("location", "vault__wedding", "vault__organisation")

    @admin.display(description="stored")
    def size(self, copy: Copy) -> str:
        return filesizeformat(copy.stored_bytes)


class SnapshotInline(ReadOnlyInline):
    model = Snapshot
    verbose_name_plural = "newest snapshots"
    related = ("vault__wedding", "vault__organisation")
    fields = readonly_fields = ("taken_at", "acknowledged_at", "file_count", "size", "restic_id")
    show_change_link = True

    @admin.display(description="source")
    def size(self, snapshot: Snapshot) -> str:
        return filesizeformat(snapshot.source_bytes)


@admin.register(Vault)
class VaultAdmin(PlatformAdmin):
    """Made on a wedding's page, which creates the keys; here its policy can be changed."""

    may_change = True
    list_display = (
        "__str__",
        "organisation",
        "policy",
        "copies_whole",
        "newest_acknowledged",
        "next_due_at",
        "suspicion",
    )
    list_filter = ("protection_class", "policy", "organisation")
    list_select_related = ("wedding", "organisation", "policy")
    search_fields = ("wedding__couple", "organisation__name", "sources__path")
    fields = (
        "organisation",
        "wedding",
        "protection_class",
        "policy",
        "next_due_at",
        "suspicion",
        "hold",
        "created_at",
        "id",
    )
    readonly_fields = (
        "organisation",
        "wedding",
        "protection_class",
        "next_due_at",
        "suspicion",
        "hold",
        "created_at",
        "id",
    )
    inlines = (SourceInline, CopyInline, SnapshotInline)
    actions = ("trust", "unlock")

    @admin.action(description="Remove left-over locks", permissions=["change"])
    def unlock(self, request: HttpRequest, vaults: QuerySet[Vault]) -> None:
        for vault in vaults:
            try:
                found = vault_unlock(vault, actor=person(request))
            except (ValidationError, VaultSealed) as error:
                why = error.messages[0] if isinstance(error, ValidationError) else str(error)
                messages.warning(request, f"{vault}: {why}")
                continue
            removed, left = sum(each.removed for each in found), sum(len(each.left) for each in found)
            messages.info(request, f"{vault}: {removed} left-over locks removed, {left} that somebody may hold.")

    @admin.action(description="The newest state is as it should be", permissions=["change"])
    def trust(self, request: HttpRequest, vaults: QuerySet[Vault]) -> None:
        for vault in vaults:
            if vault_trust(vault, actor=person(request)):
                messages.success(request, f"{vault}: its newest state is the measure from now on.")
            else:
                messages.warning(request, f"{vault}: nothing was suspected.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Vault]:
        acknowledged = Snapshot.unscoped.filter(vault=OuterRef("pk"), acknowledged_at__isnull=False)
        return (
            super()
            .get_queryset(request)
            .annotate(
                copies_all=Count("copies", distinct=True),
                copies_current=Count("copies", filter=Q(copies__state=CopyState.CURRENT), distinct=True),
                acknowledged=Subquery(acknowledged.order_by("-number").values("taken_at")[:1]),
            )
        )

    @admin.display(description="whole copies", ordering="copies_current")
    def copies_whole(self, vault: Any) -> str:
        return f"{vault.copies_current} of {vault.copies_all}"

    @admin.display(description="newest acknowledged snapshot", ordering="acknowledged")
    def newest_acknowledged(self, vault: Any) -> Any:
        return vault.acknowledged

    def view_on_site(self, vault: Vault) -> str:
        return reverse("wedding", args=[vault.wedding_id]) if vault.wedding_id else reverse("weddings")


@admin.register(Snapshot)
class SnapshotAdmin(PlatformAdmin):
    list_display = ("vault", "taken_at", "acknowledged_at", "file_count", "size", "problems")
    list_filter = (("acknowledged_at", admin.EmptyFieldListFilter), "vault__protection_class", "vault__organisation")
    list_select_related = ("vault__wedding", "vault__organisation")
    search_fields = ("restic_id", "vault__wedding__couple", "vault__organisation__name")
    date_hierarchy = "taken_at"

    @admin.display(description="source", ordering="source_bytes")
    def size(self, snapshot: Snapshot) -> str:
        return filesizeformat(snapshot.source_bytes)

    @admin.display(description="problem files")
    def problems(self, snapshot: Snapshot) -> int:
        return len(snapshot.problem_files)
