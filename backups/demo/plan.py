"""Which files the wedding has, how large they will be and when they were made, without writing any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from backups.demo.cameras import FIRST_BODY, PHONE, RAW_BODY, SECOND_BODY, expose
from backups.demo.documents import papers
from backups.demo.photos import write_photo
from backups.demo.raw import write_dng
from backups.demo.scenario import Scenario
from backups.demo.seeds import chance
from backups.demo.video import BITS_PER_PIXEL, FRAMES_PER_SECOND, write_video

SMALLEST_CUSTOM = 60  # [files]: below this the documents alone fill the wedding; SMALL is for tests
PAPER_BYTES = 2500  # an average document [bytes]
PAPERS_WITHOUT_SUPPLIERS, PAPERS_PER_SUPPLIER = 6, 2
UPRIGHT_SHARE = 0.72  # the rest is taken with the camera turned


class Kind(Enum):
    """What a planned file is."""

    PHOTO = "photo"
    GUEST_PHOTO = "guest photo"
    PROOF = "proof"
    RAW = "raw"
    VIDEO = "video"
    PAPER = "paper"


@dataclass(frozen=True)
class Size:
    """How much of everything. Pictures are (width, height) in pixels."""

    photos: int
    guest_photos: int
    proofs: int
    raws: int
    guests: int
    suppliers: int
    photo_pixels: tuple[int, int] = (5472, 3648)
    guest_photo_pixels: tuple[int, int] = (4032, 3024)
    proof_pixels: tuple[int, int] = (1600, 1068)
    raw_pixels: tuple[int, int] = (4256, 2832)
    video_pixels: tuple[int, int] = (1280, 720)
    video_seconds: float = 6.0

    @property
    def files(self) -> int:
        """How many files the wedding will have; one is the film."""
        pictures = self.photos + self.guest_photos + self.proofs + self.raws
        return pictures + 1 + PAPERS_WITHOUT_SUPPLIERS + PAPERS_PER_SUPPLIER * self.suppliers

    @classmethod
    def custom(cls, files: int) -> Size:
        """Return a wedding of exactly `files` files, mixed and as large each as in `DEMO`.

        Raises ValueError for fewer than `SMALLEST_CUSTOM` files.
        """
        if files < SMALLEST_CUSTOM:
            raise ValueError(
                f"A custom wedding has at least {SMALLEST_CUSTOM} files, not {files}; use SMALL for fewer."
            )
        share = files / DEMO.files
        scaled = replace(
            DEMO,
            photos=round(DEMO.photos * share),
            guest_photos=round(DEMO.guest_photos * share),
            raws=round(DEMO.raws * share),
            proofs=0,
        )
        return replace(scaled, proofs=files - scaled.files)


DEMO = Size(photos=68, guest_photos=24, proofs=200, raws=5, guests=152, suppliers=7)
SMALL = Size(
    photos=2,
    guest_photos=3,
    proofs=12,
    raws=2,
    guests=40,
    suppliers=2,
    photo_pixels=(2736, 1824),
    guest_photo_pixels=(1344, 1008),
    raw_pixels=(960, 640),
    video_pixels=(640, 360),
    video_seconds=1.0,
)


@dataclass(frozen=True)
class PlannedFile:
    """One file: its path below the target, kind, expected size, time of last change, and how to write it."""

    path: str
    kind: Kind
    bytes_expected: int
    changed_at: datetime
    write: Callable[[Path], None]


@dataclass(frozen=True)
class _Series:
    """A part of the day: folder, scene of `SCENES`, first and last minute after noon, light, share of pictures."""

    folder: str
    scene: str
    first: float
    last: float
    dim: bool
    share: float


_DAY = (
    _Series("preparations", "details", -180, -20, False, 0.14),
    _Series("ceremony", "ceremony", 80, 135, False, 0.28),
    _Series("portraits", "portraits", 385, 425, False, 0.20),
    _Series("reception", "reception", 215, 380, True, 0.20),
    _Series("party", "party", 445, 690, True, 0.18),
)
_PROOFS_FOLLOW = timedelta(days=3, hours=7)


def plan_wedding(scenario: Scenario, size: Size) -> list[PlannedFile]:
    """Return every file of the wedding, the ones that take longest first."""
    return [
        _film(scenario, size),
        *_raws(scenario, size),
        *_photos(scenario, size),
        *_guest_photos(scenario, size),
        *_proofs(scenario, size),
        *_papers(scenario),
    ]


def plan_late_photos(scenario: Scenario, size: Size, first: int, count: int) -> list[PlannedFile]:
    """Return `count` full-size portraits delivered nine days later, numbered from `first` on."""
    series = _Series("late-delivery", "portraits", 385, 425, False, 1)
    planned = []
    for number in range(first, first + count):
        path = f"media/photos/{series.folder}/R6B_{9000 + number}.JPG"
        photo = _jpeg(scenario, series, path, Kind.PHOTO, size.photo_pixels, share=(number % 50) / 50)
        planned.append(replace(photo, changed_at=scenario.on_the_day(9 * 24 * 60 + number)))
    return planned


def _film(scenario: Scenario, size: Size) -> PlannedFile:
    path, at = "media/video/confetti.mp4", scenario.on_the_day(142)
    pixels = size.video_pixels[0] * size.video_pixels[1]

    def write(target: Path) -> None:
        rng = chance(scenario.seed, path)
        write_video(target, scene="ceremony", size=size.video_pixels, seconds=size.video_seconds, at=at, rng=rng)

    expected = round(pixels * FRAMES_PER_SECOND * BITS_PER_PIXEL * size.video_seconds / 8)
    return PlannedFile(path, Kind.VIDEO, expected, at, write)


def _raws(scenario: Scenario, size: Size) -> Iterator[PlannedFile]:
    for number in range(size.raws):
        series = _DAY[(number + 1) % len(_DAY)]
        path = f"media/raw/DSC_{4100 + 13 * number:04d}.DNG"
        yield _raw(scenario, series, path, size.raw_pixels)


def _raw(scenario: Scenario, series: _Series, path: str, pixels: tuple[int, int]) -> PlannedFile:
    rng = chance(scenario.seed, path, "exposure")
    at = scenario.on_the_day(rng.uniform(series.first, series.last))
    exposure = expose(rng, RAW_BODY, at, upright=True, dim=series.dim)

    def write(target: Path) -> None:
        write_dng(target, scene=series.scene, size=pixels, exposure=exposure, rng=chance(scenario.seed, path))

    return PlannedFile(path, Kind.RAW, 2 * pixels[0] * pixels[1] + 131_000, at, write)


def _photos(scenario: Scenario, size: Size) -> Iterator[PlannedFile]:
    for number, series, share in _spread(size.photos):
        body = "R6A" if number % 3 else "R6B"
        path = f"media/photos/{series.folder}/{body}_{2200 + 3 * number:04d}.JPG"
        yield _jpeg(scenario, series, path, Kind.PHOTO, size.photo_pixels, share=share)


def _guest_photos(scenario: Scenario, size: Size) -> Iterator[PlannedFile]:
    for number, series, share in _spread(size.guest_photos):
        path = f"media/photos/from-guests/IMG_{5003 + 11 * number}.JPG"
        yield _jpeg(scenario, series, path, Kind.GUEST_PHOTO, size.guest_photo_pixels, share=share)


def _proofs(scenario: Scenario, size: Size) -> Iterator[PlannedFile]:
    for number, series, share in _spread(size.proofs):
        path = f"media/photos/proofs/{series.folder}-{number + 1:03d}.jpg"
        proof = _jpeg(scenario, series, path, Kind.PROOF, size.proof_pixels, share=share)
        yield replace(proof, changed_at=proof.changed_at + _PROOFS_FOLLOW)


def _spread(count: int) -> Iterator[tuple[int, _Series, float]]:
    """Yield `count` times (number, part of the day, share of that part that has passed)."""
    for number in range(count):
        along = (number + 0.5) / count
        for series in _DAY:
            if along < series.share or series is _DAY[-1]:
                yield number, series, min(0.99, along / series.share)
                break
            along -= series.share


def _jpeg(
    scenario: Scenario, series: _Series, path: str, kind: Kind, pixels: tuple[int, int], *, share: float
) -> PlannedFile:
    rng = chance(scenario.seed, path, "exposure")
    at = scenario.on_the_day(series.first + share * (series.last - series.first) + rng.uniform(0, 0.9))
    by_guest = kind is Kind.GUEST_PHOTO
    body = PHONE if by_guest else SECOND_BODY if "R6B" in path else FIRST_BODY
    exposure = expose(rng, body, at, upright=rng.random() < UPRIGHT_SHARE, dim=series.dim)
    quality, bytes_per_pixel = _JPEG_QUALITY[kind]

    def write(target: Path) -> None:
        write_photo(
            target,
            scene=series.scene,
            size=pixels,
            exposure=exposure,
            rng=chance(scenario.seed, path),
            quality=quality,
            position=scenario.venue if by_guest else None,
        )

    return PlannedFile(path, kind, round(pixels[0] * pixels[1] * bytes_per_pixel), at, write)


# Quality of the JPEG and the bytes a pixel then takes, as measured.
_JPEG_QUALITY = {Kind.PHOTO: (90, 0.20), Kind.GUEST_PHOTO: (84, 0.154), Kind.PROOF: (80, 0.151)}


def _papers(scenario: Scenario) -> Iterator[PlannedFile]:
    for paper in papers(scenario):
        yield PlannedFile(paper.path, Kind.PAPER, PAPER_BYTES, paper.changed_at, _saving(paper.render))


def _saving(render: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        target.write_bytes(render())

    return write
