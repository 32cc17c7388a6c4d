"""Locations in the admin site: health, breaker, settings, and a place to enter secrets that shows none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html_join

from providers import registry
from providers.models import Credential, Location
from providers.services.credentials import check_secrets, parts_among, secrets_of
from providers.services.locations import location_enable
from providers.services.probes import location_probe
from providers.services.rotation import RotationRefused, rotation_begin
from providers.services.validations import location_validate
from providers.stores.errors import StoreError
from providers.stores.options import InvalidOptions, build_options, secret_names
from wedbackup.core.adminsite import PlatformAdmin, ReadOnlyInline
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.sealing import SealingError

SAMPLES_SHOWN = 10
_ANEW = "new_"


class LocationForm(forms.ModelForm):
    """Settings of a location. Secrets can be entered anew; what is stored is never sent to the browser."""

    class Meta:
        model = Location
        fields = (
            "name",
            "options",
            "account",
            "region",
            "medium",
            "city",
            "country",
            "jurisdiction",
            "latitude",
            "longitude",
        )

    def clean_options(self) -> dict[str, Any]:
        options: dict[str, Any] = self.cleaned_data["options"]
        described = registry.options_class(self.instance.kind)
        secret = secret_names(described)
        if given := sorted(secret & set(options)):
            raise forms.ValidationError(f"{', '.join(given)} is secret: enter it in its own field below.")
        try:
            kept = secrets_of(self.instance)
            build_options(described, options | {name: value for name, value in kept.items() if name in secret})
        except (InvalidOptions, SealingError) as exc:
            raise forms.ValidationError(str(exc)) from exc
        before, after = (parts_among(self.instance.kind, each) for each in (self.instance.options, options))
        if moved := sorted(name for name in after if after[name] != before.get(name)):
            raise forms.ValidationError(
                f"{', '.join(moved)} changes with the secret: enter both on the location's page."
            )
        return options

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        entered = self.entered_secrets(cleaned)
        if entered:
            try:
                check_secrets(self.instance.kind, self.instance.options, entered)
            except InvalidOptions as exc:
                raise forms.ValidationError(f"Enter all secrets together: {exc}.") from exc
        return cleaned

    def entered_secrets(self, cleaned: dict[str, Any]) -> dict[str, str]:
        """Return the secrets that were typed in, by name of the option."""
        return {name.removeprefix(_ANEW): value for name, value in cleaned.items() if name.startswith(_ANEW) and value}


def _secret_fields(kind: str) -> dict[str, forms.Field]:
    """Return a write-only field for each secret of a kind of location."""
    described = registry.options_class(kind)
    return {
        f"{_ANEW}{field.name}": forms.CharField(
            label=f"New {field.metadata['label'].lower()}",
            required=False,
            strip=True,
            widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
            help_text="Leave empty to keep the stored one. It is encrypted at once and never shown again.",
        )
        for field in dataclasses.fields(described)
        if field.name in secret_names(described)
    }


class CredentialInline(ReadOnlyInline):
    """Which credential there is and since when; nothing of its content."""

    model = Credential
    fields = readonly_fields = (
        "version", "role", "state", "entered_by", "created_at", "proved_at", "switched_at", "retired_at", "report"
    )  # fmt: skip
    related = ("location",)


@admin.register(Location)
class LocationAdmin(PlatformAdmin):
    """Locations are added on the site's own page, which makes their folder and marker, and never deleted."""

    may_change = may_add = True
    form = LocationForm
    list_display = ("name", "enabled", "breaker", "latency", "last_answer_at", "validated_at", "place", "kind")
    list_filter = ("enabled", "breaker", "kind", "country", "jurisdiction")
    search_fields = ("name", "account", "city", "region", "medium")
    actions = ("probe", "validate", "enable", "disable")
    health_fields = (
        "enabled",
        "breaker",
        "breaker_failures",
        "breaker_changed_at",
        "last_probe_at",
        "last_answer_at",
        "latency",
        "last_error",
        "validated_at",
        "newest_probes",
    )
    readonly_fields = ("kind_label", *health_fields)

    @admin.display(description="kind", ordering="kind")
    def kind_label(self, location: Location) -> str:
        kind = registry.KINDS.get(location.kind)
        return kind.label if kind else location.kind

    @admin.display(description="answers in", ordering="last_latency_ms")
    def latency(self, location: Location) -> str:
        return "-" if location.last_latency_ms is None else f"{location.last_latency_ms:.0f} ms"

    @admin.display(description="newest probes")
    def newest_probes(self, location: Location) -> str:
        rows = location.samples.values_list("at", "ok", "latency_ms", "error")[:SAMPLES_SHOWN]
        lines = [
            (f"{at:%H:%M:%S}", f"{latency:.0f} ms" if ok and latency is not None else error or "ok")
            for at, ok, latency, error in rows
        ]
        return format_html_join("", "<div>{} {}</div>", lines) or "none yet"

    def get_inlines(self, request: HttpRequest, obj: Location | None) -> Any:
        """Folders have no credential to tell of."""
        del request
        return (CredentialInline,) if obj and secret_names(registry.options_class(obj.kind)) else ()

    def view_on_site(self, location: Location) -> str:
        return reverse("location", args=[location.pk])

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        del request, args, kwargs
        return redirect("location-new")

    def get_form(self, request: HttpRequest, obj: Location | None = None, *args: Any, **kwargs: Any) -> Any:
        """Add the secret fields of this location's kind to the form."""
        if obj is None or not self.has_change_permission(request, obj):
            return super().get_form(request, obj, *args, **kwargs)
        kwargs["form"] = type("LocationFormWithSecrets", (LocationForm,), _secret_fields(obj.kind))
        kwargs["fields"] = LocationForm.Meta.fields
        return super().get_form(request, obj, *args, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Location | None = None) -> Any:
        secrets = [*_secret_fields(obj.kind)] if obj and self.has_change_permission(request, obj) else []
        where = ("account", "region", "medium", "city", "country", "jurisdiction", "latitude", "longitude")
        parts: list[tuple[str | None, dict[str, Any]]] = [
            (None, {"fields": ("name", "kind_label", "options")}),
            ("Where it is", {"fields": where, "description": "Account, region and medium are its failure domain."}),
            ("How it is", {"fields": self.health_fields}),
        ]
        return [*parts[:1], ("Credential", {"fields": secrets}), *parts[1:]] if secrets else parts

    def save_model(self, request: HttpRequest, obj: Location, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "options" in form.changed_data:
            Location.objects.filter(pk=obj.pk).update(last_probe_at=None)  # what was changed is tried at once
        if secrets := form.entered_secrets(form.cleaned_data):
            try:
                rotation_begin(obj, secrets, actor=request.user.get_username())
            except RotationRefused as exc:
                messages.error(request, f"The credential was not taken. {exc}. {exc.advice}")
            except SealingError as exc:
                messages.error(request, f"The credential was not stored. {exc}")
            else:
                messages.success(request, f"The credential of {obj.name} is stored and being proved; see its page.")

    @admin.action(description="Probe now", permissions=["act"])
    def probe(self, request: HttpRequest, locations: QuerySet[Location]) -> None:
        for location in locations:
            result = location_probe(location)
            if result is None:
                messages.warning(request, f"{location.name} is being left alone or probed by somebody else just now.")
            elif result.error is None:
                messages.success(request, f"{location.name} answered in {result.latency_ms:.0f} ms.")
            else:
                messages.error(request, f"{location.name}: {result.error} {result.error.advice}")

    @admin.action(description="Validate: check every promise", permissions=["act"])
    def validate(self, request: HttpRequest, locations: QuerySet[Location]) -> None:
        for location in locations:
            try:
                findings = list(location_validate(location, actor=request.user.get_username(), clock=SYSTEM_CLOCK))
            except StoreError as exc:
                messages.error(request, f"{location.name} cannot be opened: {exc} {exc.advice}")
                continue
            broken = [finding for finding in findings if not finding.ok]
            for finding in broken:
                messages.error(request, f"{location.name}: not kept: {finding.promise}. {finding.detail}")
            if not broken:
                messages.success(request, f"{location.name} keeps all {len(findings)} promises.")

    @admin.action(description="Enable", permissions=["act"])
    def enable(self, request: HttpRequest, locations: QuerySet[Location]) -> None:
        self._switch(request, locations, lambda name: f"{name} receives copies again.", enabled=True)

    @admin.action(description="Disable: no copies, no reads", permissions=["act"])
    def disable(self, request: HttpRequest, locations: QuerySet[Location]) -> None:
        self._switch(request, locations, lambda name: f"{name} is left alone from now on.", enabled=False)

    def _switch(
        self, request: HttpRequest, locations: QuerySet[Location], words: Callable[[str], str], *, enabled: bool
    ) -> None:
        for location in locations:
            if location_enable(location, enabled, actor=request.user.get_username()):
                messages.success(request, words(location.name))
