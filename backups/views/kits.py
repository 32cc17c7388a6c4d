"""The recovery kit of a wedding: asked for on one page, shown on the next, and kept by no cache."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from backups.models import Vault, Wedding
from backups.services.backups import in_class_order
from backups.services.kits import kit_context, kit_make
from backups.services.vaults import VaultSealed
from wedbackup.core import clock
from wedbackup.core.access import admin_only, fetch, person


@require_http_methods(["GET", "POST"])
@admin_only
@never_cache
def recovery_kit(request: HttpRequest, wedding_id: uuid.UUID) -> HttpResponse:
    """GET: what the kit is, and a button. POST: the passwords of all vaults, after a line in the audit trail each."""
    wedding = fetch(Wedding, request.user, wedding_id)
    own = Vault.objects.visible_to(request.user).filter(wedding=wedding).select_related("organisation", "wedding")
    vaults = list(own.order_by("organisation__name", in_class_order()))
    context = {"wedding": wedding, "vaults": vaults}
    if request.method == "GET" or not vaults:
        return render(request, "backups/kit_ask.html", context)
    try:
        kits = kit_make(vaults, actor=person(request))
    except VaultSealed as error:
        return render(
            request, "backups/kit_ask.html", context | {"trouble": str(error), "advice": error.advice}, status=409
        )
    made_at = clock.SYSTEM_CLOCK.utcnow()
    return render(request, "backups/kit_page.html", context | kit_context(kits) | {"made_at": made_at})
