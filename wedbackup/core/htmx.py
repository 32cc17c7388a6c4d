"""One URL, two renderings: the whole page for a browser, only the changed part for htmx.

A fragment is sent only to a plain htmx request. A boosted link and a restored history entry want the whole page. The
answer varies by the headers that decided, so that no cache hands a fragment to a browser.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

_DECIDING_HEADERS = ("HX-Request", "HX-Boosted", "HX-History-Restore-Request", "HX-Target")


def wants_fragment(request: HttpRequest) -> bool:
    """Whether only the changed part of the page is asked for."""
    htmx: Any = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def render_page(
    request: HttpRequest,
    page: str,
    fragment: str,
    context: dict[str, Any],
    *,
    targets: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """Render `fragment` for htmx and `page` (which includes the fragment) for everybody else.

    targets: other fragments by the id of the element that asks (HX-Target), for panels that show the same rows smaller.
    """
    template = page
    if wants_fragment(request):
        template = (targets or {}).get(request.htmx.target or "", fragment)  # type: ignore[attr-defined]
    response = render(request, template, context, status=status)
    patch_vary_headers(response, _DECIDING_HEADERS)
    return response
