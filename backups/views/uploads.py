"""Uploads by browser: the page, and the address that takes pieces."""

from __future__ import annotations

import re
import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from backups.models import Vault
from backups.services.uploads.arrivals import upload_finish, upload_piece, upload_standing
from backups.services.uploads.keeping import Kept, uploads_kept
from backups.services.uploads.names import UploadRefused, safe_name
from backups.services.uploads.parts import PIECE_BYTES, Claim, PieceDamaged, WrongOffset
from backups.services.verdicts import Verdict, vault_verdict
from wedbackup.core.access import fetch

_DIGEST = re.compile(r"[0-9a-f]{64}")


@require_GET
def upload_page(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Choose files and see them arrive."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation", "policy")
    return render(request, "backups/upload.html", {"vault": vault, "piece_bytes": PIECE_BYTES, **_kept(vault)})


@require_GET
def upload_kept(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Say which of the uploaded files are in a backup: the part of the page that follows the truth."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation", "policy")
    return render(request, "backups/fragments/_uploads_kept.html", {"vault": vault, **_kept(vault)})


@require_http_methods(["GET", "POST"])
def upload_pieces(request: HttpRequest, vault_id: uuid.UUID) -> JsonResponse:
    """The file is named by ?name=&size=&modified=&first=&branch= (services.uploads.parts.Claim).

    GET:  {"digests": [of each piece that is here], "alike": [{"name", "digest"} of whole files that it may be]}.
    POST: takes the piece at ?offset= whose SHA-256 is ?digest=; answers {"offset": how much is here}.
          With ?whole= the file is complete; answers {"name": where it is, "already": it was here before}.

    409 names the offset to go on from; 422: the piece arrived damaged, send it again; 400 says why it is refused.
    """
    vault = fetch(Vault, request.user, vault_id)
    try:
        claim = _claim(request)
        if request.method == "GET":
            standing = upload_standing(vault, claim)
            alike = [{"name": file.name, "digest": file.digest} for file in standing.alike]
            return JsonResponse({"digests": standing.digests, "alike": alike})
        return JsonResponse(_taken(request, vault, claim))
    except WrongOffset as wrong:
        return JsonResponse({"offset": wrong.offset}, status=409)
    except PieceDamaged:
        return JsonResponse({"error": "The piece was damaged on its way."}, status=422)
    except UploadRefused as refusal:
        return JsonResponse({"error": str(refusal)}, status=400)
    except ValueError:
        return JsonResponse({"error": "Size, offset and digests are not as they should be."}, status=400)


def _kept(vault: Vault) -> dict[str, Kept | Verdict]:
    return {"kept": uploads_kept(vault), "verdict": vault_verdict(vault)}


def _taken(request: HttpRequest, vault: Vault, claim: Claim) -> dict[str, int | str | bool]:
    whole = request.GET.get("whole")
    offset = 0
    if request.body or not whole:
        place, digest = int(request.GET.get("offset", "-1")), _digest(request, "digest")
        offset = upload_piece(vault, claim, offset=place, piece=request.body, digest=digest)
    if not whole:
        return {"offset": offset}
    arrival = upload_finish(vault, claim, digest=_digest(request, "whole"))
    return {"name": arrival.name, "already": arrival.already}


def _claim(request: HttpRequest) -> Claim:
    branch = request.GET.get("branch", "")
    return Claim(
        name=safe_name(request.GET.get("name", "")),
        size_bytes=int(request.GET.get("size", "-1")),
        modified=int(request.GET.get("modified", "0")),
        first=_digest(request, "first"),
        branch=branch if not branch else _digest(request, "branch"),
    )


def _digest(request: HttpRequest, name: str) -> str:
    value = request.GET.get(name, "")
    if not _DIGEST.fullmatch(value):
        raise ValueError(name)
    return value
