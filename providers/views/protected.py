"""The marker that a person restored through Carbonite: what it proves."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from providers.models import Location
from providers.services.protected import KIND, marker_moment
from providers.stores.errors import StoreError
from wedbackup.core.access import platform_only


@require_POST
@platform_only
def marker_checked(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Say when Carbonite saw the folder, by the marker that came back from it."""
    location = get_object_or_404(Location, pk=location_id, kind=KIND)
    try:
        moment = marker_moment(location, request.POST.get("marker", "")[:2000])
    except StoreError as error:
        messages.error(request, f"{error}. {error.advice}")
    else:
        if moment is None:
            messages.error(
                request, "That is no marker of this folder. Restore it through Carbonite, then paste it all."
            )
        else:
            messages.success(request, f"Carbonite held this folder as it was on {moment:%d %B %Y, %H:%M} UTC or later.")
    return redirect("location", location.pk)
