"""Source folders of a vault: added, their patterns tried and changed, taken out."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from backups.engine.backup.preview import Preview, preview
from backups.models import Source, Vault
from backups.services.sources import source_change, source_remove
from backups.services.vaults import source_add
from backups.views.forms import PatternsForm, SourceForm
from wedbackup.core.access import NOT_THERE, fetch, person, platform_only


@dataclass(frozen=True)
class FolderCard:
    """One folder on the page. preview, seen: what its patterns would leave out, and the mark that it was shown."""

    source: Source
    form: PatternsForm
    preview: Preview | None = None
    seen: str = ""


@require_http_methods(["GET", "POST"])
@platform_only
def source_new(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Add a source folder to a vault; what its patterns leave out is shown before it is saved."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation")
    form = SourceForm(request.POST or None)
    context = {"form": form, "title": "Add a source folder", "button": "Add the folder", "lead": str(vault)}
    if request.method == "POST" and form.is_valid():
        path, patterns = form.cleaned_data["path"], form.cleaned_data["excludes"]
        if _must_see(request, path, patterns):
            context |= {"preview": preview(path, patterns), "seen": _mark(path, patterns)}
        else:
            try:
                source = source_add(vault, path, patterns, actor=person(request))
            except ValidationError as error:
                form.add_error("path", error.messages)
            else:
                messages.success(request, f"{source.path} goes into the vault from the next backup on.")
                return redirect("wedding", vault.wedding_id) if vault.wedding_id else redirect("weddings")
    return render(request, "backups/form.html", context | {"back_url": vault.wedding_id})


@require_http_methods(["GET", "POST"])
@platform_only
def source_list(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """The folders of a vault and what is left out of each; other patterns are shown at work before they are saved."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation")
    posted = _source_of(request, vault) if request.method == "POST" else None
    cards = [FolderCard(source, _patterns_form(source)) for source in vault.sources.all() if source != posted]
    if posted is not None:
        form = PatternsForm(request.POST, auto_id=f"id_{posted.pk}_%s")
        if not form.is_valid():
            cards.append(FolderCard(posted, form))
        elif _must_see(request, posted.path, patterns := form.cleaned_data["excludes"]):
            looked = preview(posted.path, patterns)
            cards.append(FolderCard(posted, form, looked, _mark(posted.path, patterns)))
        else:
            source_change(posted, patterns, actor=person(request))
            messages.success(request, f"Saved. {posted.path} is backed up like this from the next backup on.")
            return redirect("sources", vault.pk)
    cards.sort(key=lambda card: card.source.path)
    return render(request, "backups/sources.html", {"vault": vault, "cards": cards})


@require_POST
@platform_only
def source_out(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Take a folder out of a vault; older snapshots keep what it held."""
    vault = fetch(Vault, request.user, vault_id)
    source = _source_of(request, vault)
    source_remove(source, actor=person(request))
    messages.success(request, f"{source.path} is backed up no more. Older snapshots keep what it held.")
    return redirect("sources", vault.pk)


def _source_of(request: HttpRequest, vault: Vault) -> Source:
    """Return the folder that a form is about. Raises Http404."""
    wanted = request.POST.get("source", "")
    source = vault.sources.filter(pk=int(wanted)).first() if wanted.isdecimal() else None
    if source is None:
        raise Http404(NOT_THERE)
    return source


def _patterns_form(source: Source) -> PatternsForm:
    return PatternsForm(initial={"excludes": "\n".join(source.excludes)}, auto_id=f"id_{source.pk}_%s")


def _must_see(request: HttpRequest, path: str, patterns: Sequence[str]) -> bool:
    """Whether patterns leave something out that the person was not shown yet."""
    return bool(patterns) and request.POST.get("seen") != _mark(path, patterns)


def _mark(path: str, patterns: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([path, *patterns]).encode()).hexdigest()[:16]
