"""People, events and the audit trail in the admin site."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path

from wedbackup.core.adminsite import PlatformAdmin
from wedbackup.core.audit import verify_chain
from wedbackup.core.models import AuditEntry, Event, User

admin.site.unregister(Group)  # roles decide here, groups would only seem to


class PersonForm(UserChangeForm):
    """Refuses to take away the last admin: nobody could give the role back."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        stays = cleaned.get("role") == User.Role.ADMIN and cleaned.get("is_active")
        others = User.objects.filter(role=User.Role.ADMIN, is_active=True).exclude(pk=self.instance.pk)
        if not stays and self.instance.is_admin and not others.exists():
            raise forms.ValidationError("This is the only active admin. Make somebody else an admin first.")
        return cleaned


@admin.register(User)
class UserAdmin(PlatformAdmin, DjangoUserAdmin):
    """People are deactivated, never deleted: the audit trail speaks of them."""

    may_add = may_change = True
    form = PersonForm
    list_display = ("username", "first_name", "last_name", "email", "role", "is_active", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("username", "first_name", "last_name", "email", "memberships__organisation__name")
    ordering = ("username",)
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("role", "is_active")}),
        ("Seen", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "role", "usable_password", "password1", "password2")}),)
    readonly_fields = ("last_login", "date_joined")


@admin.register(Event)
class EventAdmin(PlatformAdmin):
    """What happened; the outbox that monitoring reads."""

    list_display = ("at", "tag", "subject_type", "subject_id")
    list_filter = ("tag", "subject_type")
    search_fields = ("subject_id", "tag")
    date_hierarchy = "at"
    ordering = ("-id",)


@admin.register(AuditEntry)
class AuditEntryAdmin(PlatformAdmin):
    """Who did what; nobody can change it, and a button proves that nobody has."""

    list_display = ("at", "actor", "tag", "subject_type", "subject_id", "detail")
    list_filter = ("tag", "subject_type")
    search_fields = ("actor", "tag", "subject_id", "detail")
    date_hierarchy = "at"
    ordering = ("-id",)
    change_list_template = "admin/core/auditentry/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        check = path("check/", self.admin_site.admin_view(self.check_chain), name="core_auditentry_check")
        return [check, *super().get_urls()]

    def check_chain(self, request: HttpRequest) -> HttpResponse:
        """Compute all hashes again and say whether the trail is whole."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        broken = verify_chain()
        if broken is None:
            count = AuditEntry.objects.count()
            messages.success(request, f"The audit trail is whole: all {count} lines follow from one another.")
        else:
            messages.error(
                request,
                f"The audit trail was tampered with: line {broken} does not follow from the one before, or lines after "
                "it are missing. Keep a copy of the database as evidence and compare it with a backup.",
            )
        return redirect("admin:core_auditentry_changelist")
