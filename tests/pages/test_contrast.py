"""Every text colour of the style sheet is readable where it is used: WCAG AA, 4.5 to 1, in light and in dark."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

CSS = (settings.BASE_DIR / "static" / "css" / "base.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.+?)\n *\}", CSS, re.S)[:2]
)
TONES = ("safe", "attention", "danger", "calm")
PAIRS = [
    *((text, ground) for text in ("text", "muted", "brand", *TONES) for ground in ("page", "card", "sunken")),
    *((tone, f"{tone}-soft") for tone in TONES),
    *((text, f"{tone}-soft") for text in ("text", "muted") for tone in (*TONES, "brand")),
    ("button-text", "button"),
    ("page", "text"),
    ("card", "danger"),
]  # fmt: skip


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_is_readable_on_what_it_stands_on(theme: dict[str, str]) -> None:
    poor = {
        f"{text} on {ground}": round(contrast(theme[text], theme[ground]), 2)
        for text, ground in PAIRS
        if contrast(theme[text], theme[ground]) < 4.5
    }
    assert poor == {}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_edge_of_a_field_and_the_focus_ring_can_be_seen(theme: dict[str, str]) -> None:
    for edge in ("line-strong", "calm"):
        assert contrast(theme[edge], theme["card"]) >= 3, edge
        assert contrast(theme[edge], theme["page"]) >= 3, edge
