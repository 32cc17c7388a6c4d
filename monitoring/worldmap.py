"""Where the copies are: land as dots, each location as a spot, as numbers for one SVG.

Land: Natural Earth 1:110m (public domain), sampled every 2.5 degrees, in land-mask.json.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from providers.reads import LocationCard

WIDTH = 720.0
_TOP_SHOWN, _BOTTOM_SHOWN = 76.0, -56.0  # degrees; nobody keeps copies beyond
HEIGHT = WIDTH * (_TOP_SHOWN - _BOTTOM_SHOWN) / 360
_NEAR = 60.0  # spots closer than this share one label [SVG units]


@dataclass(frozen=True)
class Spot:
    """One location on the map; `label` is empty where a neighbour's label speaks for it."""

    x: float
    y: float
    tone: str
    label: str
    anchor: str
    label_x: float


@dataclass(frozen=True)
class WorldMap:
    land: str
    spots: list[Spot]
    links: list[str]
    missing: int

    width = WIDTH
    height = HEIGHT


def _project(latitude: float, longitude: float) -> tuple[float, float]:
    """Equirectangular: longitude across, latitude down."""
    return (longitude + 180) / 360 * WIDTH, (_TOP_SHOWN - latitude) / 360 * WIDTH


@functools.cache
def land_path() -> str:
    """Return all dots as one path of tiny lines with round ends: 100 times less markup than circles."""
    mask = json.loads((Path(__file__).parent / "land-mask.json").read_text())
    dots = []
    for row, text in enumerate(mask["rows_hex"]):
        latitude = mask["top_latitude"] - row * mask["step_degrees"]
        if not _BOTTOM_SHOWN <= latitude <= _TOP_SHOWN:
            continue
        bits = bin(int(text, 16))[2:].zfill(len(text) * 4)
        for column, bit in enumerate(bits):
            if bit == "1":
                x, y = _project(latitude, mask["left_longitude"] + column * mask["step_degrees"])
                dots.append(f"M{x:.0f} {y:.0f}h0")
    return "".join(dots)


def world_map(cards: Sequence[LocationCard]) -> WorldMap:
    """Return the map of `cards`; those without coordinates are counted in `missing`."""
    placed = [card for card in cards if card.location.latitude is not None and card.location.longitude is not None]
    points = [_project(card.location.latitude or 0, card.location.longitude or 0) for card in placed]
    groups = _groups(points)
    spots: list[Spot] = []
    for index, (card, (x, y)) in enumerate(zip(placed, points, strict=True)):
        group = next(group for group in groups if index in group)
        label = _label([placed[other] for other in group]) if _easternmost(group, points) == index else ""
        right = x < WIDTH * 0.72
        spots.append(Spot(x, y, card.health.tone, label, "start" if right else "end", x + 11 if right else x - 11))
    return WorldMap(land_path(), spots, _links(points), len(cards) - len(placed))


def _groups(points: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Return the spots by number in groups of neighbours; a group has one label."""
    groups: list[list[int]] = []
    for index, point in enumerate(points):
        near = next((group for group in groups if _distance(points[group[0]], point) < _NEAR), None)
        if near is None:
            groups.append([index])
        else:
            near.append(index)
    return groups


def _easternmost(group: Sequence[int], points: Sequence[tuple[float, float]]) -> int:
    """Return the spot that carries the group's label: beside it nothing is in the way."""
    return max(group, key=lambda index: points[index][0])


def _label(cards: Sequence[LocationCard]) -> str:
    if len(cards) == 1:
        state = "" if cards[0].health.tone == "safe" else f", {cards[0].health.words}"
        return f"{cards[0].location.city or cards[0].location.name}{state}"
    ill = sum(card.health.tone in {"attention", "danger"} for card in cards)
    cities = list(dict.fromkeys(card.location.city or card.location.name for card in cards))
    names = ", ".join(cities) if len(cities) <= 3 else f"{len(cards)} here"
    return f"{names}: {ill} not well" if ill else names


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) ** 0.5)


def _links(points: Sequence[tuple[float, float]]) -> list[str]:
    """Return curves from the first point to each that is far from it."""
    if not points:
        return []
    x0, y0 = points[0]
    far = [point for point in points[1:] if _distance(points[0], point) > _NEAR]
    return [
        f"M{x0:.1f} {y0:.1f}Q{(x0 + x) / 2:.1f} {min(y0, y) - abs(x - x0) * 0.18:.1f} {x:.1f} {y:.1f}" for x, y in far
    ]
