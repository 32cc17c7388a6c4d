"""Folders of documents that clients can open: added, filled, shared by a link or an invitation."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from backups.models import DocumentFolder, Vault
from backups.services.documents import document_folder_add, document_locations, documents_request
from backups.services.links import folder_can_be_shared, folder_invite, folder_link, folder_share, folder_unshare
from backups.views.forms import PlainForm
from providers.stores.errors import StoreError
from wedbackup.core import clock
from wedbackup.core.access import fetch, person, platform_only

LINK_DAYS = 30
LINK_DAYS_MAX = 365


class FolderForm(PlainForm):
    """Which location for documents."""

    location = forms.ChoiceField(label="Where clients can open them")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["location"].choices = [(row.pk, row.name) for row in document_locations()]  # type: ignore[attr-defined]


class ShareForm(PlainForm):
    """Until when, and with which password."""

    expires = forms.DateField(
        widget=forms.DateInput(attrs={"type": "date"}), label="The link ends on", help_text="At most a year from now."
    )
    password = forms.CharField(
        required=False,
        min_length=8,
        max_length=100,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="At least 8 characters; tell it to the client by another way than the link.",
    )

    def clean_expires(self) -> datetime:
        day, now = self.cleaned_data["expires"], clock.SYSTEM_CLOCK.utcnow()
        if not now.date() < day <= now.date() + timedelta(days=LINK_DAYS_MAX):
            raise forms.ValidationError("Choose a day from tomorrow on, at most a year away.")
        return datetime.combine(day, time(), UTC)


class InviteForm(PlainForm):
    """Whom to let in."""

    email = forms.EmailField(label="E-mail address", help_text="The service itself writes to them.")


@require_http_methods(["GET", "POST"])
@platform_only
def folder_new(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Choose a location for documents, and have the vault's documents put there."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation")
    form = FolderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        chosen = next(row for row in document_locations() if str(row.pk) == form.cleaned_data["location"])
        try:
            folder = document_folder_add(vault, chosen, actor=person(request))
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            messages.success(request, f"{folder.name} is being filled. Changed documents follow by themselves.")
            return redirect("document-folder", folder.pk)
    lead = "Plain files that clients can open and share. Dropbox, Box or a folder of Carbonite takes them."
    context = {"form": form, "title": "Documents for clients", "button": "Put them there", "lead": lead}
    return render(request, "backups/form.html", context | {"back_url": vault.wedding_id})


@require_http_methods(["GET"])
@platform_only
def folder_page(request: HttpRequest, folder_id: uuid.UUID) -> HttpResponse:
    """One folder: what is in it, what was left out, who can open it."""
    folder = fetch(DocumentFolder, request.user, folder_id, "vault__wedding", "vault__organisation", "location")
    return _folder_shown(request, folder)


@require_POST
@platform_only
def folder_fill(request: HttpRequest, folder_id: uuid.UUID) -> HttpResponse:
    """Bring the folder up to date now."""
    folder = fetch(DocumentFolder, request.user, folder_id, "vault__wedding", "vault__organisation", "location")
    return redirect("job", documents_request(folder, user=person(request)).pk)


@require_POST
@platform_only
def folder_share_now(request: HttpRequest, folder_id: uuid.UUID) -> HttpResponse:
    """Make the link, or give it other settings."""
    folder = fetch(DocumentFolder, request.user, folder_id, "vault__wedding", "vault__organisation", "location")
    form = ShareForm(request.POST)
    if form.is_valid():
        try:
            folder_share(folder, **form.cleaned_data, actor=person(request))
        except StoreError as error:
            form.add_error(None, f"{error}. {error.advice}")
        else:
            messages.success(request, "The link is ready.")
            return redirect("document-folder", folder.pk)
    return _folder_shown(request, folder, share=form)


@require_POST
@platform_only
def folder_unshare_now(request: HttpRequest, folder_id: uuid.UUID) -> HttpResponse:
    """End the link at once."""
    folder = fetch(DocumentFolder, request.user, folder_id, "vault__wedding", "vault__organisation", "location")
    try:
        folder_unshare(folder, actor=person(request))
    except StoreError as error:
        messages.error(request, f"{error}. {error.advice}")
    else:
        messages.success(request, "The link no longer works.")
    return redirect("document-folder", folder.pk)


@require_POST
@platform_only
def folder_invite_now(request: HttpRequest, folder_id: uuid.UUID) -> HttpResponse:
    """Let somebody read the folder."""
    folder = fetch(DocumentFolder, request.user, folder_id, "vault__wedding", "vault__organisation", "location")
    form = InviteForm(request.POST)
    if form.is_valid():
        try:
            folder_invite(folder, form.cleaned_data["email"], actor=person(request))
        except StoreError as error:
            form.add_error(None, f"{error}. {error.advice}")
        else:
            messages.success(request, f"{form.cleaned_data['email']} was invited.")
            return redirect("document-folder", folder.pk)
    return _folder_shown(request, folder, invite=form)


def _folder_shown(
    request: HttpRequest, folder: DocumentFolder, *, share: ShareForm | None = None, invite: InviteForm | None = None
) -> HttpResponse:
    now = clock.SYSTEM_CLOCK.utcnow()
    refused = (share is not None and not share.is_valid()) or (invite is not None and not invite.is_valid())
    try:
        can_be_shared, trouble = folder_can_be_shared(folder), ""
    except StoreError as error:
        can_be_shared, trouble = False, f"{error}. {error.advice}"
    context = {
        "folder": folder,
        "trouble": trouble,
        "can_be_shared": can_be_shared,
        "link": folder_link(folder),
        "link_ended": folder.link_expires_at is not None and folder.link_expires_at <= now,
        "share": share or ShareForm(initial={"expires": now.date() + timedelta(days=LINK_DAYS)}),
        "invite": invite or InviteForm(),
        "names": sorted(folder.manifest),
    }
    return render(request, "backups/document_folder.html", context, status=422 if refused else 200)
