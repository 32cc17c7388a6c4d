"""Write a short film of the confetti: H.264 in MP4."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING

from backups.demo.painting import Canvas, confetti, paint
from backups.demo.photos import add_grain

if TYPE_CHECKING:
    from PIL.Image import Image

FRAMES_PER_SECOND = 25
BITS_PER_PIXEL = 0.24  # about 5.5 Mbit/s at 1280 x 720


def write_video(
    path: str | os.PathLike[str],
    *,
    scene: str,
    size: tuple[int, int],
    seconds: float,
    at: datetime,
    rng: random.Random,
) -> None:
    """Write a film of `seconds` [s] and `size` [px] (two even numbers), taken at `at`, to `path`.

    Raises OSError if the file cannot be written.
    """
    import av

    with av.open(os.fspath(path), "w", format="mp4") as container:
        container.metadata["creation_time"] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # "veryfast" on one thread: the bytes must not depend on how many cores a machine has.
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"preset": "veryfast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = round(size[0] * size[1] * FRAMES_PER_SECOND * BITS_PER_PIXEL)
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        stream.codec_context.thread_count = 1
        for picture in _frames(scene, size, round(seconds * FRAMES_PER_SECOND), rng):
            frame = av.VideoFrame.from_image(picture)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _frames(scene: str, size: tuple[int, int], count: int, rng: random.Random) -> Iterator[Image]:
    """Yield a slow pan over the scene while confetti falls."""
    from PIL import Image

    width, height = size
    background = paint(scene, (width + width // 5, height), rng)
    paper = Canvas(Image.new("RGBA", (width, 2 * height)), rng)
    confetti(paper, 400)
    for number in range(count):
        share = number / count
        left, top = round(share * width / 5), round((1 - share) * height)
        frame = background.crop((left, 0, left + width, height))
        falling = paper.image.crop((0, top, width, top + height))
        frame.paste(falling, (0, 0), falling)
        yield add_grain(frame, rng, strength=0.08)
