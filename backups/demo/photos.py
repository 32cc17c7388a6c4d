"""Write one JPEG as a camera would: painted scene, grain, EXIF with thumbnail."""

from __future__ import annotations

import io
import os
import random
from typing import TYPE_CHECKING

from backups.demo.cameras import TURN_RIGHT, Exposure, exif_block
from backups.demo.painting import paint
from backups.demo.scenario import Venue

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = (160, 120)  # [px], as the EXIF standard wants it
_MID_GREY = 128


def write_photo(
    path: str | os.PathLike[str],
    *,
    scene: str,
    size: tuple[int, int],
    exposure: Exposure,
    rng: random.Random,
    quality: int,
    position: Venue | None = None,
) -> None:
    """Write a JPEG of `size` [px] (as stored; a turned picture lies on its side) to `path`.

    quality:   of the JPEG, 1 to 95.
    position:  the place to note in the EXIF, None for cameras without a receiver.

    Raises OSError if the file cannot be written.
    """
    picture = take_picture(scene, size, exposure, rng)
    thumbnail = _thumbnail(picture)
    with open(path, "wb") as stream:
        picture.save(
            stream, "JPEG", quality=quality, exif=exif_block(exposure, size, thumbnail, position), dpi=(72, 72)
        )


def take_picture(scene: str, size: tuple[int, int], exposure: Exposure, rng: random.Random) -> Image:
    """Return the picture with its grain, stored the way the sensor lay."""
    from PIL import Image

    turned = exposure.orientation == TURN_RIGHT
    half = (size[0] // 2, size[1] // 2)
    small = (max(1, size[0] // 4), max(1, size[1] // 4))
    picture = paint(scene, (small[1], small[0]) if turned else small, rng)
    if turned:
        picture = picture.transpose(Image.Transpose.ROTATE_90)
    picture = picture.resize(half, Image.Resampling.BICUBIC)
    # Grain at half size costs a quarter and survives the JPEG better than single-pixel noise.
    return add_grain(picture, rng, strength=0.10 + 0.02 * (exposure.iso / 800)).resize(size, Image.Resampling.BILINEAR)


def add_grain(picture: Image, rng: random.Random, *, strength: float) -> Image:
    """Return `picture` with noise of up to `strength` of the full range, the same in all three channels.

    Noise from `rng` makes each file's bytes its own: no two share a block, deduplication finds nothing.
    """
    from PIL import Image, ImageChops

    width, height = picture.size
    levels = [round(_MID_GREY + (value - _MID_GREY) * strength) for value in range(256)]
    noise = Image.frombytes("L", (width, height), rng.randbytes(width * height)).point(levels)
    return ImageChops.add(picture, Image.merge("RGB", (noise, noise, noise)), 1, -_MID_GREY)


def _thumbnail(picture: Image) -> bytes:
    from PIL import Image

    small = picture.reduce(max(1, picture.size[0] // (2 * THUMBNAIL[0])))
    small.thumbnail(THUMBNAIL, Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=70)
    return stream.getvalue()
