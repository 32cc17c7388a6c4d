"""Uploads by browser: the page, and the address that takes pieces."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from backups.models import Vault
from backups.services.uploads import PIECE_BYTES_MAX, UploadRefused, WrongOffset, upload_offset, upload_piece
from wedbackup.core.access import fetch


@require_GET
def upload_page(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Choose files and see them arrive."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation")
    return render(request, "backups/upload.html", {"vault": vault, "piece_bytes": PIECE_BYTES_MAX})


@require_http_methods(["GET", "POST"])
def upload_piece_taken(request: HttpRequest, vault_id: uuid.UUID) -> JsonResponse:
    """GET: how much of ?name=&size= is here. POST: take the piece at ?offset=. Both answer {"offset": bytes}.

    409 names the offset to go on from; 400 says why the file is refused.
    """
    vault = fetch(Vault, request.user, vault_id)
    try:
        name, size = request.GET.get("name", ""), int(request.GET.get("size", "-1"))
        if request.method == "GET":
            return JsonResponse({"offset": upload_offset(vault, name, size)})
        offset = int(request.GET.get("offset", "-1"))
        return JsonResponse({"offset": upload_piece(vault, name, size_bytes=size, offset=offset, piece=request.body)})
    except WrongOffset as wrong:
        return JsonResponse({"offset": wrong.offset}, status=409)
    except UploadRefused as refusal:
        return JsonResponse({"error": str(refusal)}, status=400)
    except ValueError:
        return JsonResponse({"error": "Size and offset are whole numbers of bytes."}, status=400)
