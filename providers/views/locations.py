"""Locations, for the people who run the platform: their health, one in detail, switched on and off."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from providers import registry
from providers.models import Location
from providers.reads import location_cards, newest_validation, option_lines
from providers.services.locations import location_enable
from providers.services.notifications import KINDS as NOTIFYING_KINDS
from providers.services.protected import folder_freshness
from providers.services.trafficwords import traffic_facts
from providers.views.credentials import credential_card
from wedbackup.core import clock
from wedbackup.core.access import admin_only, platform_only
from wedbackup.core.htmx import render_page


@require_GET
@platform_only
def location_list(request: HttpRequest) -> HttpResponse:
    """All locations and how they are; the overview asks for the same rows as cards."""
    cards = location_cards(Location.objects.all(), now=clock.SYSTEM_CLOCK.utcnow())
    answering = sum(card.health.tone == "safe" for card in cards)
    return render_page(
        request,
        "providers/locations.html",
        "providers/fragments/_locations.html",
        {"cards": cards, "answering": answering},
        targets={"location-cards": "providers/fragments/_cards.html"},
    )


@require_GET
@platform_only
def location_page(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """One location: what it is, how it is, what to do."""
    location = get_object_or_404(Location, pk=location_id)
    card = location_cards([location], now=clock.SYSTEM_CLOCK.utcnow())[0]
    context = {
        "location": location,
        "card": card,
        "options": option_lines(location),
        "facts": traffic_facts(location),
        "samples": list(location.samples.all()[:6]),
        "takes_notifications": location.kind in NOTIFYING_KINDS,
        "freshness": folder_freshness(location),
        "kind": registry.KINDS.get(location.kind),
        "copies": location.copies.count(),  # the reverse side of a key of backups
        "credentials": credential_card(location, now=clock.SYSTEM_CLOCK.utcnow()),
        "validation": newest_validation(location),
    }
    return render_page(
        request,
        "providers/location.html",
        "providers/fragments/_location.html",
        context,
        targets={"credentials": "providers/fragments/_credentials.html"},
    )


@require_POST
@admin_only
def location_switch(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Use the location from now on, or leave it alone."""
    location = get_object_or_404(Location, pk=location_id)
    location_enable(location, not location.enabled, actor=request.user.get_username())
    messages.success(request, f"{location.name} is {'used again' if location.enabled else 'left alone from now on'}.")
    return redirect("location", location.pk)
