"""Write a DNG: a preview, EXIF, and a full-size Bayer mosaic of 14-bit values in 16-bit words.

The values are a picture with sensor noise, so they compress as little as real raw files do that are
stored without compression. Adobe's DNG Specification 1.4 names the tags.
"""

from __future__ import annotations

import os
import random

from backups.demo import tiff
from backups.demo.cameras import Exposure, exif_ifd, main_fields
from backups.demo.photos import take_picture
from backups.demo.tiff import ASCII, BYTE, LONG, RATIONAL, SHORT, SRATIONAL, Fields, Ifd

PREVIEW = (256, 170)  # [px]
WHITE_LEVEL = (1 << 14) - 1

_NEW_SUBFILE_TYPE, _SUB_IFDS, _EXIF = 0x00FE, 0x014A, 0x8769
_STRIP_OFFSETS, _STRIP_LENGTHS = 0x0111, 0x0117
_COLOUR_FILTER, _RGB = 32803, 2  # photometric interpretation
# XYZ to the camera's colours under daylight, in ten-thousandths, rounded: a plausible full-frame sensor.
_COLOUR_MATRIX = (8140, -2630, -700, -4690, 12430, 2510, -810, 1580, 6470)

# What the sensor sees of white, in red, green and blue: most of its light falls on green.
_NEUTRAL = ((1, 2), (1, 1), (2, 3))


def write_dng(
    path: str | os.PathLike[str], *, scene: str, size: tuple[int, int], exposure: Exposure, rng: random.Random
) -> None:
    """Write a DNG whose mosaic is `size` [px] (two even numbers) to `path`; 2 bytes a pixel.

    Raises OSError if the file cannot be written.
    """
    preview, mosaic = _develop_backwards(scene, size, exposure, rng)
    sensor = Ifd(_sensor_fields(size), content=(_STRIP_OFFSETS, _STRIP_LENGTHS, mosaic))
    main = Ifd(
        {**main_fields(exposure), **_preview_fields(), **_camera_profile(exposure)},
        children={_SUB_IFDS: sensor, _EXIF: exif_ifd(exposure, size)},
        content=(_STRIP_OFFSETS, _STRIP_LENGTHS, preview),
    )
    with open(path, "wb") as stream:
        stream.write(tiff.assemble([main]))


def _develop_backwards(
    scene: str, size: tuple[int, int], exposure: Exposure, rng: random.Random
) -> tuple[bytes, bytes]:
    """Return (preview pixels, mosaic) of one picture.

    Upper six bits of each value: the red, green or blue of the picture at that place. Lower eight bits: noise.
    """
    from PIL import Image

    picture = take_picture(scene, size, exposure, rng)
    preview = picture.resize(PREVIEW, Image.Resampling.BOX).tobytes()
    # A row of the mosaic is R G R G ... or G B G B ...: every colour fills its own places.
    every = (size[0] // 2, size[1] // 2)
    red, green, blue = (
        plane.resize(every, Image.Resampling.NEAREST).tobytes().translate(_filtered(share))
        for plane, share in zip(picture.split(), _NEUTRAL, strict=True)
    )
    width = size[0]
    high = bytearray(width * size[1])
    for row in range(every[1]):
        here, there = 2 * row * width, (2 * row + 1) * width
        source = slice(row * every[0], (row + 1) * every[0])
        high[here : here + width : 2], high[here + 1 : here + width : 2] = red[source], green[source]
        high[there : there + width : 2], high[there + 1 : there + width : 2] = green[source], blue[source]
    mosaic = bytearray(2 * len(high))
    mosaic[0::2] = rng.randbytes(len(high))
    mosaic[1::2] = high
    return preview, bytes(mosaic)


def _filtered(share: tuple[int, int]) -> bytes:
    """Return the table from 8 bits of a developed picture to the upper 6 bits behind a colour filter."""
    return bytes((value * share[0] // share[1]) >> 2 for value in range(256))


def _preview_fields() -> Fields:
    return {
        _NEW_SUBFILE_TYPE: (LONG, (1,)),
        0x0100: (LONG, (PREVIEW[0],)),
        0x0101: (LONG, (PREVIEW[1],)),
        0x0102: (SHORT, (8, 8, 8)),
        0x0103: (SHORT, (1,)),
        0x0106: (SHORT, (_RGB,)),
        0x0115: (SHORT, (3,)),
        0x0116: (LONG, (PREVIEW[1],)),
        0x011C: (SHORT, (1,)),
    }


def _sensor_fields(size: tuple[int, int]) -> Fields:
    return {
        _NEW_SUBFILE_TYPE: (LONG, (0,)),
        0x0100: (LONG, (size[0],)),
        0x0101: (LONG, (size[1],)),
        0x0102: (SHORT, (16,)),
        0x0103: (SHORT, (1,)),
        0x0106: (SHORT, (_COLOUR_FILTER,)),
        0x0115: (SHORT, (1,)),
        0x0116: (LONG, (size[1],)),
        0x011C: (SHORT, (1,)),
        0x828D: (SHORT, (2, 2)),  # CFARepeatPatternDim
        0x828E: (BYTE, bytes((0, 1, 1, 2))),  # CFAPattern: RG / GB
        0xC616: (BYTE, bytes((0, 1, 2))),  # CFAPlaneColor
        0xC617: (SHORT, (1,)),  # CFALayout: rectangular
        0xC61A: (SHORT, (0,)),  # BlackLevel
        0xC61D: (LONG, (WHITE_LEVEL,)),
    }


def _camera_profile(exposure: Exposure) -> Fields:
    """Return what every DNG must say about its camera and colours."""
    return {
        0xC612: (BYTE, bytes((1, 4, 0, 0))),  # DNGVersion
        0xC613: (BYTE, bytes((1, 1, 0, 0))),  # DNGBackwardVersion
        0xC614: (ASCII, exposure.camera.model),  # UniqueCameraModel
        0xC621: (SRATIONAL, tuple(part for number in _COLOUR_MATRIX for part in (number, 10000))),
        0xC628: (RATIONAL, tuple(part for share in _NEUTRAL for part in share)),  # AsShotNeutral
        0xC65A: (SHORT, (21,)),  # CalibrationIlluminant1: D65
        0xC62F: (ASCII, exposure.camera.serial),
    }
