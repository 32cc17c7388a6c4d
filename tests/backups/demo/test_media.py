"""Photos, raws and films are what they claim to be, read by programs that did not write them."""

from __future__ import annotations

import io
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import ExifTags, Image

from backups.demo.wedding import SMALL, WeddingFiles

FORMATS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "B", 10: "ii"}


def read_ifd(raw: bytes, at: int) -> dict[int, Any]:
    """Return tag -> value of the directory at `at`: written from the TIFF specification, not from our writer."""
    (count,) = struct.unpack_from("<H", raw, at)
    found: dict[int, Any] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from("<HHI", raw, entry)
        form = f"<{number}s" if kind == 2 else "<" + FORMATS[kind] * number
        room = struct.calcsize(form)
        start = entry + 8 if room <= 4 else struct.unpack_from("<I", raw, entry + 8)[0]
        value = struct.unpack_from(form, raw, start)
        found[tag] = value[0].rstrip(b"\0").decode() if kind == 2 else value
    return found


def files(wedding: WeddingFiles, folder: str) -> list[Path]:
    found = sorted((wedding.root / folder).rglob("*.*"))
    assert found, folder
    return found


def test_every_jpeg_decodes_and_tells_its_camera_lens_and_moment(wedding: WeddingFiles) -> None:
    for path in files(wedding, "media/photos"):
        head = path.read_bytes()[:24]
        assert head[:3] == b"\xff\xd8\xff" and head[6:10] == b"JFIF"
        with Image.open(path) as picture:
            picture.load()
            exif = picture.getexif()
            detail = exif.get_ifd(ExifTags.IFD.Exif)
        assert exif[ExifTags.Base.Make] in ("Canon", "Apple")
        assert exif[ExifTags.Base.Model] in ("Canon EOS R6", "iPhone 13")
        assert exif[ExifTags.Base.Orientation] in (1, 6)
        taken = datetime.strptime(detail[ExifTags.Base.DateTimeOriginal], "%Y:%m:%d %H:%M:%S")
        assert taken.date() == wedding.scenario.day
        assert detail[ExifTags.Base.LensModel]
        assert detail[ExifTags.Base.ISOSpeedRatings] in (100, 200, 400, 1600, 3200, 6400)
        assert 0 < detail[ExifTags.Base.ExposureTime] < 0.1
        assert (detail[ExifTags.Base.ExifImageWidth], detail[ExifTags.Base.ExifImageHeight]) == picture.size


def test_camera_photos_carry_the_time_of_their_exif_as_mtime(wedding: WeddingFiles) -> None:
    for path in [*files(wedding, "media/photos/from-guests"), *files(wedding, "media/raw")]:
        with Image.open(path) as picture:
            detail = picture.getexif().get_ifd(ExifTags.IFD.Exif)
        stamp = detail[ExifTags.Base.DateTimeOriginal] + detail[ExifTags.Base.OffsetTimeOriginal]
        assert abs(datetime.strptime(stamp, "%Y:%m:%d %H:%M:%S%z").timestamp() - path.stat().st_mtime) < 1


def test_turned_pictures_lie_on_their_side_in_the_file(wedding: WeddingFiles) -> None:
    seen = set()
    for path in files(wedding, "media/photos/proofs"):
        with Image.open(path) as picture:
            assert picture.size == SMALL.proof_pixels
            seen.add(picture.getexif()[ExifTags.Base.Orientation])
    assert seen == {1, 6}


def test_thumbnails_show_the_picture(wedding: WeddingFiles) -> None:
    for path in files(wedding, "media/photos"):
        with Image.open(path) as picture:
            first = picture.getexif().get_ifd(ExifTags.IFD.IFD1)
            block = picture.info["exif"][6:]
            overall = picture.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        start, length = first[0x0201], first[0x0202]
        assert block[start : start + 3] == b"\xff\xd8\xff"

        with Image.open(io.BytesIO(block[start : start + length])) as thumbnail:
            assert max(thumbnail.size) <= 160
            mean = thumbnail.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        assert mean == pytest.approx(overall, abs=10), path


def test_only_telephones_know_where_they_were(wedding: WeddingFiles) -> None:
    for path in files(wedding, "media/photos"):
        with Image.open(path) as picture:
            gps = picture.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert bool(gps) == ("from-guests" in path.parts)
        if gps:
            degrees, minutes, seconds = (float(part) for part in gps[ExifTags.GPS.GPSLatitude])
            assert degrees + minutes / 60 + seconds / 3600 == pytest.approx(wedding.scenario.venue.latitude, abs=1e-4)


def test_a_dng_holds_a_preview_and_a_full_bayer_mosaic(wedding: WeddingFiles) -> None:
    width, height = SMALL.raw_pixels
    for path in files(wedding, "media/raw"):
        raw = path.read_bytes()
        order, magic, first = struct.unpack_from("<2sHI", raw)
        assert (order, magic) == (b"II", 42)
        main = read_ifd(raw, first)
        assert main[0x00FE] == (1,) and main[0xC612] == (1, 4, 0, 0)
        assert (main[0x010F], main[0x0110]) == ("NIKON CORPORATION", "NIKON D3S")
        assert main[0x0117][0] == main[0x0100][0] * main[0x0101][0] * 3
        sensor = read_ifd(raw, main[0x014A][0])
        assert sensor[0x00FE] == (0,) and sensor[0x0106] == (32803,)
        assert (sensor[0x0100][0], sensor[0x0101][0]) == (width, height)
        assert sensor[0x828D] == (2, 2) and sensor[0x828E] == (0, 1, 1, 2)
        assert sensor[0x0117] == (width * height * 2,)
        values = struct.unpack_from(f"<{width * height}H", raw, sensor[0x0111][0])
        assert max(values) <= sensor[0xC61D][0] == 16383
        assert len(set(values)) > 4000  # a picture with noise, not a pattern
        assert sensor[0x0111][0] + sensor[0x0117][0] <= len(raw)
        detail = read_ifd(raw, main[0x8769][0])
        assert detail[0x9003].startswith(wedding.scenario.day.strftime("%Y:%m:%d"))


def test_pillow_opens_the_dng_and_sees_its_preview(wedding: WeddingFiles) -> None:
    for path in files(wedding, "media/raw"):
        with Image.open(path) as picture:
            picture.load()
            assert picture.mode == "RGB"
            assert len(picture.getcolors(maxcolors=1 << 20) or []) > 100


def test_the_film_decodes_to_the_last_frame(wedding: WeddingFiles) -> None:
    (path,) = files(wedding, "media/video")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height) == SMALL.video_pixels
        assert container.metadata["creation_time"].startswith(wedding.scenario.day.isoformat())
        assert sum(1 for _ in container.decode(stream)) == round(SMALL.video_seconds * 25)
