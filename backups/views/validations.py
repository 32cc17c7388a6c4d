"""Validating a location: the button, and the findings as they come."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from backups.services.validations import validation_request, validation_view
from providers.models import Location
from wedbackup.core.access import person, platform_only
from wedbackup.core.htmx import render_page, wants_fragment


@require_POST
@platform_only
def location_validate_now(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Queue a validation of the location, unless one is under way."""
    location = get_object_or_404(Location, pk=location_id)
    validation_request(location, user=person(request), large="large" in request.POST)
    return _shown(request, location) if wants_fragment(request) else redirect("location-validation", location.pk)


@require_GET
@platform_only
def location_validation(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """The newest validation of the location, live."""
    return _shown(request, get_object_or_404(Location, pk=location_id))


def _shown(request: HttpRequest, location: Location) -> HttpResponse:
    context = {"location": location, "validation": validation_view(location)}
    return render_page(request, "providers/validation.html", "providers/fragments/_validation.html", context)
