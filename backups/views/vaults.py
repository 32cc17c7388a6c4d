"""Businesses, vaults and source folders: what a person enters before the first backup."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from backups.models import Organisation, Vault, Wedding
from backups.services.organisations import organisation_create
from backups.services.vaults import source_add, vault_create, vault_trust
from backups.views.copies import warn_of_residency
from backups.views.forms import OrganisationForm, VaultForm
from wedbackup.core.access import admin_only, fetch, person, platform_only
from wedbackup.core.models import User


@require_GET
@platform_only
def organisation_list(request: HttpRequest) -> HttpResponse:
    """The businesses on the platform."""
    organisations = Organisation.objects.visible_to(request.user).prefetch_related("memberships__user", "weddings")
    return render(request, "backups/organisations.html", {"organisations": organisations})


@require_http_methods(["GET", "POST"])
@platform_only
def organisation_new(request: HttpRequest) -> HttpResponse:
    """Enter a business."""
    form = OrganisationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        organisation = organisation_create(**form.cleaned_data, actor=person(request))
        messages.success(request, f"{organisation.name} is entered. Now enter a wedding it works on.")
        return redirect("wedding-new")
    context = {"form": form, "title": "Add a business", "button": "Save the business", "back": "organisations"}
    return render(request, "backups/form.html", context)


@require_http_methods(["GET", "POST"])
@platform_only
def vault_new(request: HttpRequest, wedding_id: uuid.UUID) -> HttpResponse:
    """Add a vault to a wedding, with its locations and, if files lie on this machine, their folder."""
    wedding = fetch(Wedding, request.user, wedding_id)
    organisations = Organisation.objects.visible_to(request.user).filter(weddings__wedding=wedding)
    form = VaultForm(request.POST or None, organisations=organisations)
    if request.method == "POST" and form.is_valid():
        try:
            vault = _vault_made(wedding, form, person(request))
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            messages.success(request, f"The vault for {vault.get_protection_class_display().lower()} is ready.")
            warn_of_residency(request, [vault], form.cleaned_data["locations"])
            return redirect("wedding", wedding.pk)
    context = {
        "form": form,
        "title": "Add a vault",
        "button": "Make the vault",
        "lead": f"For {wedding.couple}. A vault keeps one kind of files, encrypted, complete at each of its locations.",
        "back_url": wedding.pk,
    }
    return render(request, "backups/form.html", context)


def _vault_made(wedding: Wedding, form: VaultForm, actor: User) -> Vault:
    """Make the vault and its source together, or neither."""
    answers = dict(form.cleaned_data)
    path = answers.pop("path")
    with transaction.atomic():
        vault = vault_create(wedding=wedding, actor=actor, **{**answers, "locations": list(answers["locations"])})
        if path:
            source_add(vault, path, actor=actor)
    return vault


@require_POST
@admin_only
def vault_trust_now(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Say that the newest state of a suspicious vault is as it should be."""
    vault = fetch(Vault, request.user, vault_id)
    if vault_trust(vault, actor=person(request)):
        messages.success(request, "The newest state is trusted from now on.")
    return redirect("wedding", vault.wedding_id) if vault.wedding_id else redirect("weddings")
