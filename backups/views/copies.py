"""Giving vaults more copies: one vault at a chosen location, or many vaults at a new location."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from itertools import product
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from backups.models import Vault
from backups.policy.residency import residency_gap
from backups.services.copies import copy_add
from backups.services.vaults import vault_locations
from backups.views.forms import PlainForm
from providers.models import Location
from wedbackup.core.access import admin_only, fetch, person
from wedbackup.core.templatetags.words import counted


class LocationChoice(PlainForm):
    """Which location gets the copy."""

    location = forms.ChoiceField(label="Where the copy goes")

    def __init__(self, *args: Any, vault: Vault, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        taken = set(vault.copies.values_list("location", flat=True))
        free = [(row.pk, f"{row.name}, {row.place}") for row in vault_locations() if row.pk not in taken]
        self.fields["location"].choices = free  # type: ignore[attr-defined]


class VaultChoice(PlainForm):
    """Which vaults get a copy at a location."""

    vaults = forms.ModelMultipleChoiceField(
        queryset=Vault.unscoped.none(),
        widget=forms.CheckboxSelectMultiple,
        label="What gets a copy here",
        error_messages={"required": "Tick at least one, or go back."},
    )

    def __init__(self, *args: Any, vaults: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["vaults"].queryset = vaults  # type: ignore[attr-defined]


def warn_of_residency(request: HttpRequest, vaults: Iterable[Vault], locations: Iterable[Location]) -> None:
    """Say at once what the verdict will say as well: a copy that lies where the wedding's law does not want it."""
    for vault, location in product(vaults, locations):
        gap = residency_gap(vault.wedding.jurisdiction, location.jurisdiction) if vault.wedding else ""
        if gap:
            messages.warning(request, f"The copy at {location.name} is in the wrong place: {gap}.")


@require_http_methods(["GET", "POST"])
@admin_only
def copy_new(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Give one vault a copy at one more location."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation", "policy")
    form = LocationChoice(request.POST or None, vault=vault)
    if request.method == "POST" and form.is_valid():
        location = get_object_or_404(Location, pk=form.cleaned_data["location"])
        try:
            copy_add(vault, location, actor=person(request))
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            messages.success(request, f"{location.name} gets a copy; it is filled from the others now.")
            warn_of_residency(request, [vault], [location])
            return redirect("wedding", vault.wedding_id) if vault.wedding_id else redirect("weddings")
    context = {"form": form, "title": "Add a copy", "button": "Add the copy", "lead": str(vault)}
    return render(request, "backups/form.html", context | {"back_url": vault.wedding_id})


@require_http_methods(["GET", "POST"])
@admin_only
def copies_at(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Choose the vaults that get a copy at a location, a new one most likely."""
    location = get_object_or_404(Location, pk=location_id)
    others = Vault.objects.visible_to(request.user).exclude(copies__location=location)
    others = others.select_related("wedding", "organisation", "policy").order_by("wedding__date", "protection_class")
    answers = request.POST if request.method == "POST" else None  # nothing ticked is an answer
    form = VaultChoice(answers, vaults=others, initial={"vaults": [vault.pk for vault in others]})
    if request.method == "POST" and form.is_valid():
        try:
            added = [copy_add(vault, location, actor=person(request)) for vault in form.cleaned_data["vaults"]]
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            words = counted(len(added), "copy is,copies are")
            messages.success(request, f"{words} being filled at {location.name}, from the others.")
            warn_of_residency(request, [copy.vault for copy in added], [location])
            return redirect("jobs")
    lead = "Each is filled from the copies that exist; the source is not read again, and no key is needed."
    if not others:
        lead = "Every vault has a copy here already; there is nothing to choose."
    context = {"form": form, "title": f"Copies at {location.name}", "button": "Give them copies", "lead": lead}
    return render(request, "backups/form.html", context | {"back": "locations"})
