"""Small drawings as SVG: everything is an attribute, because the Content-Security-Policy allows no inline style."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_RING_RADIUS = 15.0
_RING_LENGTH = 2 * math.pi * _RING_RADIUS

# Paths on a 24 x 24 grid, drawn with the text's colour. Shape and word always come together with colour.
_ICONS = {
    "rings": '<circle cx="9" cy="12" r="6.2"/><circle cx="15" cy="12" r="6.2"/>',
    "safe": (
        '<path d="M12 3l7.5 3v5.5c0 4.6-3 8-7.5 9.5-4.5-1.5-7.5-4.9-7.5-9.5V6z"/><path d="M8.5 12l2.5 2.5 4.5-5"/>'
    ),
    "attention": '<path d="M12 4l9 16H3z"/><path d="M12 10v4.5M12 17.2v.3"/>',
    "danger": '<path d="M8.5 3h7L21 8.5v7L15.5 21h-7L3 15.5v-7z"/><path d="M12 8v5M12 16v.3"/>',
    "empty": '<circle cx="12" cy="12" r="8.5" stroke-dasharray="3 3"/>',
    "running": '<path d="M20 12a8 8 0 1 1-2.3-5.6"/><path d="M20 3.5V8h-4.5"/>',
    "waiting": '<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3.5 2"/>',
    "stopped": '<circle cx="12" cy="12" r="8.5"/><path d="M8 12h8"/>',
    "info": '<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5M12 7.8v.2"/>',
    "heart": ('<path d="M12 20s-7.5-4.6-7.5-10A4.2 4.2 0 0 1 12 7.5 4.2 4.2 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10z"/>'),
    "overview": '<path d="M4 11l8-7 8 7v9h-5.5v-6h-5v6H4z"/>',
    "locations": (
        '<path d="M12 21s6.5-5.7 6.5-11a6.5 6.5 0 0 0-13 0c0 5.3 6.5 11 6.5 11z"/><circle cx="12" cy="10" r="2.3"/>'
    ),
    "recovery": (
        '<circle cx="12" cy="12" r="8.5"/>'
        '<circle cx="12" cy="12" r="3.5"/>'
        '<path d="M6 6l3.5 3.5M18 6l-3.5 3.5M6 18l3.5-3.5M18 18l-3.5-3.5"/>'
    ),
    "alerts": '<path d="M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5h4"/>',
    "folder": '<path d="M3.5 6.5h6l2 2.5h9v10h-17z"/>',
    "file": '<path d="M6 3.5h8l4 4v13H6zM14 3.5v4h4"/>',
    "upload": '<path d="M12 16V5M7.5 9.5L12 5l4.5 4.5M4.5 16v3.5h15V16"/>',
    "download": '<path d="M12 5v11M7.5 11.5L12 16l4.5-4.5M4.5 16v3.5h15V16"/>',
}


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """One of the drawn signs; decoration beside words, so hidden from screen readers."""
    return format_html(
        '<svg class="icon {}" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false">{}</svg>',
        classes,
        mark_safe(_ICONS[name]),  # noqa: S308  a constant of this file
    )


@register.simple_tag
def ring(score: int | None, tone: str) -> SafeString:
    """A health score from 0 to 100 as a ring with the number inside; None (never probed) is an empty ring."""
    filled = _RING_LENGTH * (score or 0) / 100
    words = "not probed yet" if score is None else f"health {score} of 100"
    return format_html(
        '<svg class="ring tone-{}" viewBox="0 0 36 36" width="44" height="44" role="img" aria-label="{}">'
        '<circle class="ring-track" cx="18" cy="18" r="15"/>'
        '<circle class="ring-part" cx="18" cy="18" r="15" transform="rotate(-90 18 18)" stroke-dasharray="{} {}"/>'
        '<text x="18" y="21.8" text-anchor="middle">{}</text></svg>',
        tone,
        words,
        f"{filled:.2f}",
        f"{_RING_LENGTH:.2f}",
        "–" if score is None else score,  # noqa: RUF001
    )


@register.simple_tag
def sparkline(values: Sequence[float | None], tone: str, label: str) -> SafeString:
    """The last latencies, oldest first; None is a probe without an answer and is drawn at the top."""
    width, height = 120.0, 26.0
    answered = [value for value in values if value is not None]
    if len(values) < 2 or not answered:
        return format_html(
            '<svg class="spark tone-{}" viewBox="0 0 120 26" preserveAspectRatio="none" role="img" aria-label="{}">'
            '<path class="spark-line" d="M0 20H120" stroke-dasharray="3 4"/></svg>',
            tone,
            label,
        )
    top = max(answered) * 1.6 or 1.0
    step = width / (len(values) - 1)
    points = [
        (index * step, 2.0 if value is None else height - 2 - (height - 6) * min(value / top, 1.0))
        for index, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return format_html(
        '<svg class="spark tone-{}" viewBox="0 0 120 26" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<polygon class="spark-area" points="0,26 {} 120,26"/><polyline class="spark-line" points="{}"/></svg>',
        tone,
        label,
        line,
        line,
    )


@register.simple_tag
def pips(tones: Sequence[tuple[str, str]]) -> SafeString:
    """A row of small marks, one per copy: (tone, words). A complete copy is a filled mark, any other is hollow."""
    words = "; ".join(text for _, text in tones)
    marks = format_html_join(
        "",
        '<rect class="pip tone-{}" x="{}" y="1" width="10" height="6" rx="2"/>',
        ((tone, index * 13 + 1) for index, (tone, _) in enumerate(tones)),
    )
    return format_html(
        '<svg class="pips" viewBox="0 0 {} 8" width="{}" height="8" role="img" aria-label="{}">{}</svg>',
        len(tones) * 13,
        len(tones) * 13,
        words,
        marks,
    )
