"""Pictures of a wedding, painted: skies, hills, an arch, light chains, confetti and the couple.

Painted small and enlarged by the photo writer, which adds the grain. Lengths are in hundredths of the
picture's shorter side, so a scene looks the same at every size.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
Size = tuple[int, int]
Outline = tuple[tuple[float, float], ...]

DARK: Colour = (28, 24, 34)
IVORY: Colour = (250, 244, 232)
WARM: tuple[Colour, ...] = ((255, 214, 140), (255, 190, 110), (255, 232, 186), (250, 170, 120))
PETALS: tuple[Colour, ...] = ((236, 168, 176), (250, 224, 220), (196, 90, 104), (244, 240, 228), (214, 150, 190))
PARTY: tuple[Colour, ...] = ((240, 90, 130), (90, 170, 240), (250, 210, 90), (150, 110, 230), (110, 220, 170))

# Outlines of the two figures: (right, down) from the point between the feet, in shares of the height.
_SUIT: Outline = (
    (-0.13, -0.80), (0.13, -0.80), (0.11, -0.45), (0.10, 0.0), (0.015, 0.0),
    (0.0, -0.40), (-0.015, 0.0), (-0.10, 0.0), (-0.11, -0.45),
)  # fmt: skip
_GOWN: Outline = ((-0.09, -0.74), (0.09, -0.74), (0.065, -0.55), (0.24, 0.0), (-0.24, 0.0), (-0.065, -0.55))


@dataclass
class Canvas:
    """A picture being painted, with its own chance."""

    image: Image
    rng: random.Random

    @property
    def unit(self) -> float:
        """One hundredth of the shorter side [px]."""
        return min(self.image.size) / 100

    def pen(self) -> ImageDraw:
        """Return a pen whose colours may be see-through."""
        from PIL import ImageDraw

        return ImageDraw.Draw(self.image, "RGBA")

    def blur(self, radius: float) -> None:
        """Put everything painted so far out of focus by `radius` [units]."""
        from PIL import ImageFilter

        self.image = self.image.filter(ImageFilter.BoxBlur(radius * self.unit))


def paint(scene: str, size: Size, rng: random.Random) -> Image:
    """Return a picture of `scene` (a key of `SCENES`) of `size` [px], mode RGB."""
    skies, compose = SCENES[scene]
    canvas = Canvas(_backdrop(size, rng.choice(skies), rng), rng)
    compose(canvas)
    return canvas.image


def _backdrop(size: Size, colours: tuple[Colour, ...], rng: random.Random) -> Image:
    """Return a soft upright gradient through `colours`, a little different each time."""
    from PIL import Image

    shift = [rng.randint(-14, 14) for _ in range(3)]
    column = Image.new("RGB", (2, len(colours)))
    for y, colour in enumerate(colours):
        for x in range(2):
            tinted = [max(0, min(255, part + by + rng.randint(-6, 6))) for part, by in zip(colour, shift, strict=True)]
            column.putpixel((x, y), (tinted[0], tinted[1], tinted[2]))
    return column.resize(size, Image.Resampling.BICUBIC)


def _disc(pen: ImageDraw, x: float, y: float, radius: float, colour: Colour, alpha: int = 255) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, alpha))


def _bokeh(canvas: Canvas, colours: tuple[Colour, ...], count: int, *, lowest: float = 1.0) -> None:
    """Strew `count` out-of-focus lights over the picture down to the share `lowest` of its height."""
    pen, rng = canvas.pen(), canvas.rng
    width, height = canvas.image.size
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height * lowest)
        radius = rng.uniform(1.5, 7) * canvas.unit
        colour = rng.choice(colours)
        _disc(pen, x, y, radius, colour, rng.randint(25, 90))
        _disc(pen, x, y, radius * 0.82, colour, rng.randint(15, 50))


def _hills(canvas: Canvas, horizon: float, colours: tuple[Colour, ...]) -> None:
    pen, rng = canvas.pen(), canvas.rng
    width, height = canvas.image.size
    for depth, colour in enumerate(colours):
        base = height * (horizon + 0.09 * depth)
        waves = [(rng.uniform(1, 4) * canvas.unit, rng.uniform(1, 5), rng.uniform(0, 6)) for _ in range(3)]
        ridge = [
            (x, base + sum(tall * math.sin(often * x / width * 6.28 + start) for tall, often, start in waves))
            for x in range(0, width + 12, 12)
        ]
        pen.polygon([*ridge, (width, height), (0, height)], fill=colour)


def _couple(canvas: Canvas, x: float, foot: float, tall: float, shade: Colour = DARK) -> None:
    """Stand the couple with their feet at (`x`, `foot`) [px]; `tall` is the taller one's height [px]."""
    pen, rng = canvas.pen(), canvas.rng
    head = tall * 0.075
    apart = tall * rng.uniform(0.12, 0.2) * rng.choice((-1, 1))
    dress = tuple(round(part * 0.35 + 0.65 * ivory) for part, ivory in zip(shade, IVORY, strict=True))
    left, right = x - apart, x + apart
    pen.polygon([(left + a * tall, foot + b * tall) for a, b in _SUIT], fill=shade)
    pen.polygon([(right + a * tall, foot + b * tall) for a, b in _GOWN], fill=(dress[0], dress[1], dress[2]))
    _disc(pen, left, foot - tall * 0.9, head, shade)
    _disc(pen, right, foot - tall * 0.82, head * 0.92, shade)
    _disc(pen, right + math.copysign(head * 0.5, apart), foot - tall * 0.85, head * 0.75, shade)
    hand = (x, foot - tall * rng.uniform(0.42, 0.55))
    for shoulder in (
        (left + math.copysign(0.11 * tall, apart), -0.76),
        (right - math.copysign(0.07 * tall, apart), -0.7),
    ):
        pen.line([(shoulder[0], foot + shoulder[1] * tall), hand], fill=shade, width=max(1, round(tall * 0.045)))


def _flowers(canvas: Canvas, x: float, y: float, spread: float, count: int) -> None:
    pen, rng = canvas.pen(), canvas.rng
    for _ in range(count):
        at = (x + rng.gauss(0, spread), y + rng.gauss(0, spread))
        petal = rng.choice((*PETALS, (104, 132, 96), (84, 116, 84)))
        radius = rng.uniform(0.8, 2.2) * canvas.unit
        _disc(pen, *at, radius, petal, 230)
        _disc(pen, at[0] - radius * 0.2, at[1] - radius * 0.2, radius * 0.45, IVORY, 90)


def _arch(canvas: Canvas, x: float, foot: float, wide: float, tall: float) -> None:
    for step in range(25):
        angle = math.pi * step / 24
        at = (x + wide * math.cos(angle), foot - tall * (0.25 + 0.75 * math.sin(angle)))
        _flowers(canvas, *at, 1.3 * canvas.unit, 9)


def _chairs(canvas: Canvas, foot: float) -> None:
    pen, unit = canvas.pen(), canvas.unit
    width, height = canvas.image.size
    for row in range(4):
        y = foot + (height - foot) * (row + 0.6) / 4
        scale = unit * (3 + 1.8 * row)
        for place in range(-6, 7):
            if place:  # the aisle stays free
                x = width / 2 + place * scale * 2.1 + math.copysign(scale, place)
                pen.rounded_rectangle((x - scale * 0.8, y - scale * 1.7, x + scale * 0.8, y), scale * 0.3, fill=IVORY)
                _disc(pen, x, y - scale * 2.1, scale * 0.62, canvas.rng.choice((DARK, (92, 66, 48), (150, 112, 72))))


def _light_chain(canvas: Canvas, y: float, sag: float) -> None:
    pen, unit, rng = canvas.pen(), canvas.unit, canvas.rng
    width = canvas.image.size[0]
    bulbs = rng.randint(14, 22)
    for number in range(bulbs + 1):
        share = number / bulbs
        at = (share * width, y + sag * 4 * share * (1 - share))
        glow = rng.choice(WARM)
        for radius, alpha in ((4.5, 26), (2.6, 60), (1.1, 255)):
            _disc(pen, *at, radius * unit, glow, alpha)


def _tables(canvas: Canvas, horizon: float) -> None:
    pen, unit, rng = canvas.pen(), canvas.unit, canvas.rng
    width, height = canvas.image.size
    for row in range(3):
        y = height * (horizon + (0.98 - horizon) * (row + 0.5) / 3)
        wide = unit * (14 + 9 * row)
        offset = rng.uniform(-0.5, 0.5) * wide
        for x in range(round(offset - wide), round(width + wide), round(wide * 2.5)):
            pen.ellipse((x - wide, y - wide * 0.22, x + wide, y + wide * 0.22), fill=(228, 216, 200, 255))
            _flowers(canvas, x, y - wide * 0.2, wide * 0.09, 14)
            for candle in (-0.5, 0.5):
                _disc(pen, x + candle * wide, y - wide * 0.18, wide * 0.12, WARM[0], 70)
                _disc(pen, x + candle * wide, y - wide * 0.18, wide * 0.04, WARM[2])


def confetti(canvas: Canvas, count: int, colours: tuple[Colour, ...] = PARTY) -> None:
    """Throw `count` paper snippets into the picture."""
    pen, unit, rng = canvas.pen(), canvas.unit, canvas.rng
    width, height = canvas.image.size
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        turn, long, thin = rng.uniform(0, 3.14), rng.uniform(0.6, 1.8) * unit, rng.uniform(0.2, 0.9) * unit
        along, across = (math.cos(turn) * long, math.sin(turn) * long), (-math.sin(turn) * thin, math.cos(turn) * thin)
        corners = [
            (x + a * along[0] + b * across[0], y + a * along[1] + b * across[1])
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        pen.polygon(corners, fill=(*rng.choice(colours), rng.randint(150, 240)))


def _beams(canvas: Canvas) -> None:
    pen, rng = canvas.pen(), canvas.rng
    width, height = canvas.image.size
    for _ in range(rng.randint(4, 7)):
        start, end = rng.uniform(0, width), rng.uniform(0, width)
        half = width * rng.uniform(0.05, 0.14)
        pen.polygon([(start, 0), (end - half, height), (end + half, height)], fill=(*rng.choice(PARTY), 48))


def _ceremony(canvas: Canvas) -> None:
    width, height = canvas.image.size
    _hills(canvas, canvas.rng.uniform(0.42, 0.5), ((148, 174, 140), (118, 150, 108), (142, 172, 112)))
    canvas.blur(1.2)
    _bokeh(canvas, ((255, 255, 240), (210, 232, 190)), 18, lowest=0.5)
    x, foot = width * canvas.rng.uniform(0.44, 0.56), height * 0.72
    _arch(canvas, x, foot, 22 * canvas.unit, 52 * canvas.unit)
    _couple(canvas, x, foot, canvas.rng.uniform(30, 38) * canvas.unit, (58, 52, 66))
    _chairs(canvas, foot)


def _reception(canvas: Canvas) -> None:
    height = canvas.image.size[1]
    _bokeh(canvas, WARM, 70, lowest=0.7)
    canvas.blur(0.5)
    for _ in range(3):
        _light_chain(canvas, height * canvas.rng.uniform(0.02, 0.25), height * canvas.rng.uniform(0.05, 0.2))
    _tables(canvas, canvas.rng.uniform(0.5, 0.6))


def _portraits(canvas: Canvas) -> None:
    width, height = canvas.image.size
    _disc(canvas.pen(), width * canvas.rng.uniform(0.2, 0.8), height * 0.4, 13 * canvas.unit, (255, 240, 204), 210)
    canvas.blur(3)
    _hills(canvas, canvas.rng.uniform(0.5, 0.6), ((176, 132, 108), (132, 98, 92), (84, 66, 70)))
    canvas.blur(0.8)
    _bokeh(canvas, WARM, 40)
    _couple(canvas, width * canvas.rng.uniform(0.35, 0.65), height * 0.97, canvas.rng.uniform(55, 76) * canvas.unit)


def _details(canvas: Canvas) -> None:
    width, height = canvas.image.size
    rng, unit = canvas.rng, canvas.unit
    _bokeh(canvas, (*PETALS, *WARM), 50)
    canvas.blur(1.5)
    for _ in range(7):
        _flowers(canvas, width * rng.uniform(0.1, 0.9), height * rng.uniform(0.1, 0.5), 6 * unit, 50)
    x, y = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.6, 0.72)
    for shift, radius in ((-7, 13), (8, 11)):
        box = (x + (shift - radius) * unit, y - radius * unit, x + (shift + radius) * unit, y + radius * unit)
        canvas.pen().ellipse(box, outline=(150, 108, 44), width=round(3.2 * unit))
        canvas.pen().ellipse(box, outline=(238, 204, 128), width=round(1.6 * unit))


def _party(canvas: Canvas) -> None:
    width, height = canvas.image.size
    _beams(canvas)
    _bokeh(canvas, PARTY, 60)
    canvas.blur(1.2)
    _light_chain(canvas, height * 0.05, height * 0.12)
    _couple(
        canvas,
        width * canvas.rng.uniform(0.3, 0.7),
        height * 0.96,
        canvas.rng.uniform(48, 64) * canvas.unit,
        (16, 12, 26),
    )
    confetti(canvas, canvas.rng.randint(120, 260))


Skies = tuple[tuple[Colour, ...], ...]

SCENES: dict[str, tuple[Skies, Callable[[Canvas], None]]] = {
    "details": (
        (((244, 232, 222), (226, 206, 194), (188, 160, 148)), ((224, 230, 226), (196, 208, 200), (150, 168, 156))),
        _details,
    ),
    "ceremony": (
        (((128, 178, 226), (188, 214, 236), (236, 240, 232)), ((176, 190, 204), (208, 214, 220), (232, 232, 226))),
        _ceremony,
    ),
    "portraits": (
        (
            ((92, 104, 158), (232, 150, 116), (255, 206, 140), (180, 110, 90)),
            ((250, 190, 130), (255, 222, 170), (150, 96, 80)),
        ),
        _portraits,
    ),
    "reception": (
        (((52, 36, 34), (104, 66, 48), (72, 46, 40)), ((38, 40, 56), (84, 70, 74), (58, 46, 46))),
        _reception,
    ),
    "party": ((((22, 14, 48), (70, 28, 92), (24, 14, 40)), ((10, 20, 52), (28, 60, 110), (14, 14, 40))), _party),
}
