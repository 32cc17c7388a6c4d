"""All addresses of the site, found by walking the URL configuration: a new one cannot be forgotten by a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

_PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Address:
    """name: as in reverse(). route: the pattern. needs: the ids it takes."""

    name: str
    route: str

    @property
    def needs(self) -> list[str]:
        return _PLACEHOLDER.findall(self.route)

    def filled(self, ids: dict[str, str]) -> str:
        return "/" + _PLACEHOLDER.sub(lambda match: ids[match[1]], self.route)


def all_addresses() -> list[Address]:
    """Every address of our own; the admin site has its own tests."""
    return [address for address in _walk(get_resolver().url_patterns, "") if not address.route.startswith("admin/")]


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Address]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        else:
            yield Address(str(pattern.name), route)
