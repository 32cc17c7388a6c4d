"""The credentials of a location: what is in use, how far a new one has come, and a form for the next."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from providers import registry
from providers.forms import CredentialForm
from providers.models import Credential, Location
from providers.services.credentials import (
    CREDENTIAL_AGE_MAX,
    CREDENTIAL_AGE_NOTICE,
    age_words,
    has_credential,
    shown_parts,
)
from providers.services.environment import ACTOR as ENVIRONMENT
from providers.services.rotation import RotationRefused, rotation_begin
from providers.stores.options import InvalidOptions, credential_fields
from wedbackup.core import clock
from wedbackup.core.access import admin_only
from wedbackup.core.sealing import SealingError

SHOWN = 12
State = Credential.State
_TONES = {State.CURRENT: "safe", State.REFUSED: "danger", State.RETIRED: "empty"}
_PROGRESS = {
    State.ENTERED: "is being proved: it writes, reads back and deletes a small object, and has to find what the one in "
    "use wrote. Until it is proved nothing changes.",
    State.PROVED: "is proved and takes over in a moment.",
    State.DRAINING: "may still be held by running transfers. Do not delete it at the provider yet.",
}


@dataclass(frozen=True, slots=True)
class CredentialLine:
    """One version as the page shows it. age, notice, progress: in words, "" where there is nothing to say.

    key: what is not secret of it, by label: so that people know which key to delete at the provider.
    """

    credential: Credential
    tone: str
    key: str = ""
    age: str = ""
    notice: str = ""
    progress: str = ""


@dataclass(frozen=True, slots=True)
class CredentialCard:
    """in_use: one line for each role. under_way: what is being proved or drains. history: all, newest first."""

    in_use: list[CredentialLine]
    under_way: list[CredentialLine]
    history: list[CredentialLine]
    from_environment: bool


def credential_card(location: Location, *, now: datetime) -> CredentialCard | None:
    """Return what the page tells about the credentials of `location`; None for a kind that has none."""
    if location.kind not in registry.KINDS or not has_credential(location.kind):
        return None
    lines = [_line(credential, now) for credential in location.credentials.order_by("-version")[:SHOWN]]
    in_use = [line for line in lines if line.credential.state == State.CURRENT]
    return CredentialCard(
        in_use=sorted(in_use, key=lambda line: line.credential.role, reverse=True),
        under_way=[line for line in lines if line.progress],
        history=lines,
        from_environment=any(line.credential.entered_by == ENVIRONMENT for line in in_use),
    )


@require_http_methods(["GET", "POST"])
@admin_only
def location_credentials(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Enter a new credential; it takes over once it is proved. Nothing of it is shown again."""
    location = get_object_or_404(Location, pk=location_id)
    card = credential_card(location, now=clock.SYSTEM_CLOCK.utcnow())
    if card is None:
        messages.info(request, f"{location.name} is opened without a credential.")
        return redirect("location", location.pk)
    role = _role(request)
    form = CredentialForm(request.POST or None, kind=location.kind)
    if request.method == "POST" and form.is_valid() and (entered := _entered(request, form, location, role)):
        messages.success(request, f"Version {entered.version} is entered and is being proved. This page tells how far.")
        return redirect("location", location.pk)
    options = {name: str(value) for name, value in location.options.items()}
    policies = registry.kind_named(location.kind).store_class().policies(options)
    context = {"location": location, "form": form, "credentials": card, "role": role, "policies": policies.items()}
    return render(request, "providers/credentials.html", context | {"roles": Credential.Role})


def _role(request: HttpRequest) -> Credential.Role:
    try:
        return Credential.Role(request.POST.get("role") or request.GET.get("role") or Credential.Role.WRITER)
    except ValueError:
        raise Http404("there is no such role") from None


def _entered(request: HttpRequest, form: Any, location: Location, role: str) -> Credential | None:
    """Begin the rotation; None, with the reason in the form, if it cannot be."""
    options, secrets = form.split()
    actor = request.user.get_username()
    try:
        return rotation_begin(location, {**options, **secrets}, role=role, actor=actor, clock=clock.SYSTEM_CLOCK)
    except (InvalidOptions, SealingError) as error:
        form.add_error(None, f"{error}")
    except RotationRefused as error:
        form.add_error(None, f"{error}. {error.advice}")
    return None


def _line(credential: Credential, now: datetime) -> CredentialLine:
    state, key = State(credential.state), _key(credential)
    if state != State.CURRENT:
        return CredentialLine(credential, _TONES.get(state, "attention"), key, progress=_PROGRESS.get(state, ""))
    age = now - credential.created_at
    notice = ""
    if age >= CREDENTIAL_AGE_NOTICE:
        notice = "Make a new key at the provider and enter it here."
    tone = "attention" if age > CREDENTIAL_AGE_MAX else "safe"
    return CredentialLine(credential, tone, key, age_words(credential, now), notice)


def _key(credential: Credential) -> str:
    try:
        shown = shown_parts(credential)
    except SealingError:
        return ""
    described = {field.name: field for field in credential_fields(registry.options_class(credential.location.kind))}
    return ", ".join(f"{described[name].metadata['label']} {value}" for name, value in shown.items())
