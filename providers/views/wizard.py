"""Adding a location, step by step: which provider, where, with which credential, then the proof.

What was entered before the credential is kept in the session; a secret never is.
"""

from __future__ import annotations

import os
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from providers import registry
from providers.forms import CredentialForm, PlaceForm
from providers.models import Location
from providers.services.locations import location_create
from providers.stores.base import Holds
from providers.stores.errors import StoreError
from providers.stores.options import InvalidOptions, credential_fields
from wedbackup.core.access import admin_only
from wedbackup.core.sealing import SealingError

KEPT = "new location"
STEPS = ("Provider", "Place", "Credential", "Validation")


@require_GET
@admin_only
def location_new(request: HttpRequest) -> HttpResponse:
    """Step 1: choose the provider."""
    kinds = [(kind, kind.store_class().capabilities.holds is Holds.DOCUMENTS) for kind in registry.KINDS.values()]
    return render(request, "providers/wizard_provider.html", {"kinds": kinds, "steps": STEPS, "step": 1})


@require_http_methods(["GET", "POST"])
@admin_only
def location_new_place(request: HttpRequest, kind: str) -> HttpResponse:
    """Step 2: everything but the credential. A folder is made here already."""
    chosen = _kind(kind)
    kept = _kept(request, kind)
    form = PlaceForm(request.POST or None, kind=kind, initial=kept.get("answers"))
    if request.method == "POST" and form.is_valid() and _is_there(form):
        request.session[KEPT] = {
            "kind": kind,
            "name": form.cleaned_data["name"],
            "options": form.options(),
            "where": form.where(),
            "private_address_allowed": bool(form.cleaned_data.get("private_address_allowed")),
            "answers": form.cleaned_data,
        }
        if credential_fields(registry.options_class(kind)):
            return redirect("location-new-credential", kind)
        if location := _made(request, form, {}, {}):
            return redirect("location-added", location.pk)
    return render(request, "providers/wizard_place.html", {"form": form, "kind": chosen, "steps": STEPS, "step": 2})


@require_http_methods(["GET", "POST"])
@admin_only
def location_new_credential(request: HttpRequest, kind: str) -> HttpResponse:
    """Step 3: the credential, with the rights it needs at the provider."""
    chosen = _kind(kind)
    kept = _kept(request, kind)
    if not kept:
        return redirect("location-new-place", kind)
    form = CredentialForm(request.POST or None, kind=kind)
    if request.method == "POST" and form.is_valid() and (location := _made(request, form, *form.split())):
        return redirect("location-added", location.pk)
    policies = chosen.store_class().policies({name: str(value) for name, value in kept["options"].items()})
    context = {"form": form, "kind": chosen, "policies": policies.items(), "name": kept["name"]}
    return render(request, "providers/wizard_credential.html", context | {"steps": STEPS, "step": 3})


@require_GET
@admin_only
def location_added(request: HttpRequest, location_id: Any) -> HttpResponse:
    """Step 4: prove it."""
    location = Location.objects.filter(pk=location_id).first()
    if location is None:
        raise Http404("there is no such location")
    return render(request, "providers/wizard_validation.html", {"location": location, "steps": STEPS, "step": 4})


def _made(request: HttpRequest, form: Any, options: dict[str, Any], secrets: dict[str, str]) -> Location | None:
    """Make the location from what was kept and the last answers; None, with the reason in the form, if it cannot be."""
    kept = request.session[KEPT]
    try:
        location = location_create(
            name=kept["name"],
            kind=kept["kind"],
            options={**kept["options"], **options},
            secrets=secrets or None,
            private_address_allowed=kept["private_address_allowed"],
            actor=request.user.get_username(),
            **kept["where"],
        )
    except (InvalidOptions, SealingError) as error:
        form.add_error(None, f"{error}")
    except StoreError as error:
        form.add_error(None, f"{error}. {error.advice}")
    else:
        del request.session[KEPT]
        words = f"{location.name} is added. It may hold copies when it has passed its validation."
        messages.success(request, words + _neighbours(location))
        return location
    return None


def _is_there(form: PlaceForm) -> bool:
    """Refuse a folder that is not there: a mistyped or unmounted one would put copies on the server's own disk."""
    root = form.cleaned_data.get("root") if form.kind.folder else None
    if root is None or os.path.isdir(root):
        return True
    form.add_error("root", "There is no such folder here. Is its disk or share connected? Make a new one first.")
    return False


def _neighbours(location: Location) -> str:
    """Say which other locations are lost together with a new folder, "" if none is."""
    if not location.medium:
        return ""
    beside = Location.objects.filter(account=location.account, medium=location.medium).exclude(pk=location.pk)
    names = ", ".join(beside.values_list("name", flat=True))
    return f" It is on the same disk as {names}: they are lost together, so it makes nothing safer." if names else ""


def _kept(request: HttpRequest, kind: str) -> dict[str, Any]:
    kept: dict[str, Any] = request.session.get(KEPT) or {}
    return kept if kept.get("kind") == kind else {}


def _kind(name: str) -> registry.Kind:
    if name not in registry.KINDS:
        raise Http404(f"there is no kind of location {name}")
    return registry.KINDS[name]
