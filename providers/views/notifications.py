"""Where providers send their notifications: no session, no form, only a signature."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from providers.models import Location
from providers.notices import ShapeUnknown, handshake_code
from providers.services import notifications
from wedbackup.core import clock
from wedbackup.core.access import admin_only
from wedbackup.core.signing import SignatureRefused


@csrf_exempt
@login_not_required
@require_POST
def notification_taken(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Take what a provider tells about a location. Unknown locations and wrong signatures are answered alike."""
    body = request.read(notifications.BODY_BYTES_MAX + 1)
    if len(body) > notifications.BODY_BYTES_MAX:
        return JsonResponse({"error": "at most 1 MiB in one message"}, status=413)
    location = Location.objects.filter(pk=location_id).first()
    try:
        if location is None:
            raise SignatureRefused("there is no such location, or the signature is wrong")
        headers = {name.lower(): value for name, value in request.headers.items()}
        notifications.notification_check(location, headers, body, now=clock.SYSTEM_CLOCK.utcnow())
    except SignatureRefused as refused:
        return JsonResponse({"error": str(refused)}, status=401)
    try:
        if code := handshake_code(body):
            return JsonResponse({"validationResponse": code})
        received = notifications.notification_receive(location, body, clock=clock.SYSTEM_CLOCK)
    except ShapeUnknown as unknown:
        return JsonResponse({"error": str(unknown)}, status=400)
    return JsonResponse({"fresh": received.fresh, "repeated": received.repeated, "stale": received.stale})


@require_POST
@admin_only
def notifications_open(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Make a new secret for a location's notifications and show it, once, with the address to enter."""
    location = get_object_or_404(Location, pk=location_id)
    secret = notifications.notifications_open(location, actor=request.user.get_username())
    address = request.build_absolute_uri(f"/notifications/{location.pk}/")
    return render(request, "providers/notifications.html", {"location": location, "secret": secret, "address": address})
