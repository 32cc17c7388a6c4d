"""The set-up guide and troubleshooting of each kind of location: the pages of docs/providers, readable on the site."""

from __future__ import annotations

import functools
import itertools
import re

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET
from markdown_it import MarkdownIt
from markdown_it.token import Token

from providers import registry
from wedbackup.core.access import platform_only

FOLDER = settings.BASE_DIR / "docs" / "providers"


@require_GET
@platform_only
def guide_page(request: HttpRequest, kind: str) -> HttpResponse:
    """How to set up a location of `kind`, and what each of its errors means (#AccessDenied ...)."""
    if kind not in registry.KINDS or not (FOLDER / f"{kind}.md").is_file():
        raise Http404(f"there is no guide for {kind}")
    context = {"label": registry.KINDS[kind].label, "guide": _rendered(kind)}
    return render(request, "providers/guide.html", context)


@functools.lru_cache(maxsize=64)
def _rendered(kind: str) -> SafeString:
    """Return the guide as HTML. HTML in the text stays text; each heading can be linked by its words."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse((FOLDER / f"{kind}.md").read_text(encoding="utf-8"))
    for opening, content in itertools.pairwise(tokens):
        if opening.type == "heading_open" and opening.tag != "h1":
            opening.attrSet("id", _anchor(content))
    return mark_safe(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S308 - our own text, HTML is off


def _anchor(content: Token) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", content.content).strip("-")
