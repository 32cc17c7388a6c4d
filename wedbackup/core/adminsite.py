"""The admin site and what all its pages share.

Admins change things, staff look, vendors are not let in: the role decides, not Django's own permission tables. What is
history (jobs, moves, snapshots, events, the audit trail) cannot be edited by anybody. Every change is audited.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms import BaseModelForm
from django.http import HttpRequest
from django.urls import reverse

from wedbackup.core import audit


def _role(request: HttpRequest) -> tuple[bool, bool]:
    """Return whether the person may look and whether they may change."""
    user: Any = request.user
    here = bool(user.is_active and user.is_authenticated)
    return here and user.sees_everything, here and user.is_admin


class PlatformSite(admin.AdminSite):
    """Entered by role."""

    site_header = "wedbackup"
    site_title = "wedbackup"
    index_title = "Administration"
    site_url = "/"
    empty_value_display = "-"

    def has_permission(self, request: HttpRequest) -> bool:
        return _role(request)[0]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """There is one place to sign in; who is signed in and comes here anyway may not enter."""
        del extra_context
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied("The administration is for the people who run the platform.")
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


class PlatformAdmin(admin.ModelAdmin):
    """A model in the admin site.

    may_add, may_change, may_delete: what admins can do here; staff can only look.
    """

    may_add = False
    may_change = False
    may_delete = False
    list_per_page = 50
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _role(request)[0]

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return _role(request)[0]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_add and _role(request)[1]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return self.may_change and _role(request)[1]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return self.may_delete and _role(request)[1]

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Actions that call a service, also on rows that cannot be edited: `@admin.action(permissions=["act"])`."""
        return _role(request)[1]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self.note(request, obj, {"did": "changed" if change else "added", "fields": sorted(form.changed_data)})

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.note(request, obj, {"did": "deleted"})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for obj in queryset:
            self.note(request, obj, {"did": "deleted"})
        super().delete_queryset(request, queryset)

    def save_related(self, request: HttpRequest, form: BaseModelForm[Any], formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        for formset in formsets:
            if formset.has_changed():
                self.note(request, form.instance, {"did": "changed", "fields": [formset.model._meta.verbose_name]})

    def note(self, request: HttpRequest, obj: Any, detail: dict[str, Any]) -> None:
        """Write what was done into the audit trail: names of fields, never their contents."""
        audit.record(
            audit.AuditTag.ADMIN_CHANGED,
            actor=request.user,  # type: ignore[arg-type]
            subject_type=obj._meta.model_name,
            subject_id=obj.pk,
            detail={"name": str(obj)} | detail,
        )


class ReadOnlyInline(admin.TabularInline):
    """The rows that belong to the one that is shown.

    newest:  at most so many of them, in the model's order.
    related: what naming a row needs, so that no row costs a query of its own.
    """

    extra = 0
    newest = 20
    related: tuple[str, ...] = ()
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return _role(request)[0]

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del request, obj
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del request, obj
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related(*(self.related or [None]))
        parent = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        if parent is None:
            return rows.none()
        key = str(self.fk_name or self.parent_model._meta.model_name)
        newest = rows.filter(**{key: parent}).order_by(*self.model._meta.ordering).values_list("pk", flat=True)
        return rows.filter(pk__in=list(newest[: self.newest]))


class ChangeableInline(admin.TabularInline):
    """Rows that admins may add, change and remove together with the one that is shown."""

    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return _role(request)[0]

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return _role(request)[1]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return _role(request)[1]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return _role(request)[1]
