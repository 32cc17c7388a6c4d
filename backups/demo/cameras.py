"""The cameras at the wedding, and what each writes into its pictures."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime

from backups.demo import tiff
from backups.demo.scenario import Venue
from backups.demo.tiff import ASCII, RATIONAL, SHORT, UNDEFINED, Fields, Ifd

UPRIGHT = 1  # EXIF orientation: as stored
TURN_RIGHT = 6  # EXIF orientation: turn clockwise by 90 degrees to look at it


@dataclass(frozen=True)
class Camera:
    """A body with its lenses (name, focal length [mm], widest f-number in tenths)."""

    make: str
    model: str
    serial: str
    software: str
    lens_make: str
    lenses: tuple[tuple[str, int, int], ...]


FIRST_BODY = Camera(
    "Canon", "Canon EOS R6", "032021004417", "Firmware Version 1.8.2", "Canon",
    (("RF50mm F1.2 L USM", 50, 12), ("RF85mm F1.2 L USM", 85, 12), ("RF24-70mm F2.8 L IS USM", 35, 28)),
)  # fmt: skip
SECOND_BODY = Camera(
    "Canon", "Canon EOS R6", "032021009902", "Firmware Version 1.8.2", "Canon",
    (("RF35mm F1.8 MACRO IS STM", 35, 18), ("RF70-200mm F2.8 L IS USM", 135, 28)),
)  # fmt: skip
RAW_BODY = Camera(
    "NIKON CORPORATION", "NIKON D3S", "2016177", "Adobe DNG Converter 13.0", "Nikon",
    (("AF-S NIKKOR 24-70mm f/2.8G ED", 48, 28), ("AF-S NIKKOR 85mm f/1.4G", 85, 14)),
)  # fmt: skip
PHONE = Camera("Apple", "iPhone 13", "", "17.5.1", "Apple", (("iPhone 13 back dual wide camera 5.1mm f/1.6", 5, 16),))


@dataclass(frozen=True)
class Exposure:
    """How one picture was taken. `at` is the venue's local time."""

    camera: Camera
    at: datetime
    orientation: int
    iso: int
    shutter: int  # 1/n [s]
    lens: tuple[str, int, int]


def expose(rng: random.Random, camera: Camera, at: datetime, *, upright: bool, dim: bool) -> Exposure:
    """Return a believable exposure; `dim` is indoors or at night."""
    return Exposure(
        camera=camera,
        at=at,
        orientation=UPRIGHT if upright else TURN_RIGHT,
        iso=rng.choice((1600, 3200, 6400) if dim else (100, 200, 400)),
        shutter=rng.choice((60, 125, 160) if dim else (500, 1000, 2000)),
        lens=rng.choice(camera.lenses),
    )


def main_fields(exposure: Exposure) -> Fields:
    """Return the fields of the first directory: who, with what, when, which way up."""
    camera = exposure.camera
    return {
        0x010F: (ASCII, camera.make),
        0x0110: (ASCII, camera.model),
        0x0112: (SHORT, (exposure.orientation,)),
        0x011A: (RATIONAL, (72, 1)),
        0x011B: (RATIONAL, (72, 1)),
        0x0128: (SHORT, (2,)),
        0x0131: (ASCII, camera.software),
        0x0132: (ASCII, _stamp(exposure.at)),
    }


def exif_ifd(exposure: Exposure, size: tuple[int, int]) -> Ifd:
    """Return the EXIF directory (tag 0x8769) for a picture of `size` [px] as stored."""
    camera, (lens, focal, aperture) = exposure.camera, exposure.lens
    offset = exposure.at.strftime("%z")
    fields: Fields = {
        0x829A: (RATIONAL, (1, exposure.shutter)),
        0x829D: (RATIONAL, (aperture, 10)),
        0x8822: (SHORT, (3,)),
        0x8827: (SHORT, (exposure.iso,)),
        0x9000: (UNDEFINED, b"0231"),
        0x9003: (ASCII, _stamp(exposure.at)),
        0x9004: (ASCII, _stamp(exposure.at)),
        0x9011: (ASCII, f"{offset[:3]}:{offset[3:5]}"),
        0x9209: (SHORT, (16,)),
        0x920A: (RATIONAL, (focal, 1)),
        0x9291: (ASCII, f"{exposure.at.microsecond // 10000:02d}"),
        0xA001: (SHORT, (1,)),
        0xA002: (tiff.LONG, (size[0],)),
        0xA003: (tiff.LONG, (size[1],)),
        0xA433: (ASCII, camera.lens_make),
        0xA434: (ASCII, lens),
    }
    if camera.serial:
        fields[0xA431] = (ASCII, camera.serial)
    return Ifd(fields)


def gps_ifd(venue: Venue) -> Ifd:
    """Return the position directory (tag 0x8825), as telephones write it."""
    return Ifd(
        {
            0x0000: (tiff.BYTE, bytes((2, 3, 0, 0))),
            0x0001: (ASCII, "N" if venue.latitude >= 0 else "S"),
            0x0002: (RATIONAL, _degrees(venue.latitude)),
            0x0003: (ASCII, "E" if venue.longitude >= 0 else "W"),
            0x0004: (RATIONAL, _degrees(venue.longitude)),
        }
    )


def exif_block(exposure: Exposure, size: tuple[int, int], thumbnail: bytes, venue: Venue | None = None) -> bytes:
    """Return the content of a JPEG's EXIF segment, with the JPEG `thumbnail` and, if given, the position."""
    children = {0x8769: exif_ifd(exposure, size)}
    if venue:
        children[0x8825] = gps_ifd(venue)
    main = Ifd(main_fields(exposure), children)
    small = Ifd({0x0103: (SHORT, (6,))}, content=(0x0201, 0x0202, thumbnail))
    return b"Exif\0\0" + tiff.assemble([main, small])


def _stamp(at: datetime) -> str:
    return at.strftime("%Y:%m:%d %H:%M:%S")


def _degrees(angle: float) -> tuple[int, ...]:
    hundredths = round(abs(angle) * 360000)
    degrees, rest = divmod(hundredths, 360000)
    minutes, seconds = divmod(rest, 6000)
    return (degrees, 1, minutes, 1, seconds, 100)
